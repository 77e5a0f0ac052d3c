"""Ingest: a settled drop becomes one durable job for each of its presets, then leaves the inbox."""

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from nstd.job import DropIdentity, FailureKind, FileFacts, FrozenStyle, Job
from nstd.preset import Preset
from nstd.spool.disposal import dispose
from nstd.spool.drops import Drop, identity_of
from nstd.spool.durable import (
    copy_durably,
    fsync_folder,
    link_or_copy,
    measure,
    trouble,
    write_new,
)
from nstd.spool.failed import failure_of, finish_failure
from nstd.spool.folders import Folders
from nstd.spool.jobs import JOB_FILE, REASON_FILE, JobFolder, Mark, new_job_id, record_bytes, timestamp
from nstd.spool.names import content_name, to_name, to_text
from nstd.spool.styles import StyleStore

_MIB: Final = 1 << 20
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_SUCH_FILE: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.ENODEV})
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Ingested:
    """What became of a drop.

    Attributes:
        jobs: made from it; none if it is no longer what had settled, and must settle again.
        refusal: why the jobs went to `failed/` at once; empty if they did not.
    """

    jobs: tuple[Job, ...]
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class _Recipe:
    job_id: str
    preset_name: str
    preset: Preset
    styles: tuple[FrozenStyle, ...]


@dataclass(frozen=True, slots=True)
class _Plan:
    drop: DropIdentity
    recipes: tuple[_Recipe, ...]
    refusal: str
    now: datetime


class Ingest:
    """Turns drops into jobs.

    Args:
        folders: of the spool.
        keep_originals: archive the photos; otherwise they are removed.
        max_bytes: a bigger file is refused.
    """

    def __init__(self, folders: Folders, *, keep_originals: bool, max_bytes: int) -> None:
        self._folders = folders
        self._keep_originals = keep_originals
        self._max_bytes = max_bytes
        self._styles = StyleStore(folders.styles)

    def ingest(self, drop: Drop, presets: Mapping[str, Preset], now: datetime) -> Ingested:
        """Take one settled drop in.

        Args:
            drop: as the latest scan found it.
            presets: all presets by name; those of the drop are frozen into its jobs.
            now: the time of ingest.

        Raises:
            ConfigError: a style image cannot be read; the drop stays.
            SpoolError: the machine is in trouble. Either the drop stays and nothing is queued, or the jobs are queued
                and wait for the photo to leave the inbox: then the next scan does not find it.
        """
        with trouble(f"ingest {drop.identity.path}"):
            plan = self._plan(drop, presets, now)
            jobs = self._commit(plan)
        if jobs:
            self._finish(jobs, plan)
        return Ingested(jobs, plan.refusal if jobs else "")

    def _plan(self, drop: Drop, presets: Mapping[str, Preset], now: datetime) -> _Plan:
        recipes = (
            # A microsecond apart, so that the queue keeps the order of `default_presets`.
            _Recipe(
                new_job_id(now + timedelta(microseconds=position)),
                name,
                presets[name],
                self._styles.freeze(name, presets[name]),
            )
            for position, name in enumerate(drop.presets)
        )
        return _Plan(drop.identity, tuple(recipes), self._refusal(drop.identity.bytes), now)

    def _refusal(self, size: int) -> str:
        if size <= self._max_bytes:
            return ""
        return f"the file has {size / _MIB:,.1f} MiB, limits.max_file_mib allows {self._max_bytes / _MIB:,.1f}"

    def _commit(self, plan: _Plan) -> tuple[Job, ...]:
        """Make the jobs in `queue/tmp`, down to the disk; once the first is in `queue/new`, all of them count."""
        with contextlib.ExitStack() as undo, _opened(self._folders.inbox, plan.drop) as source:
            if source is None:
                return ()
            for recipe in plan.recipes:
                undo.callback(shutil.rmtree, self._folders.tmp / recipe.job_id, ignore_errors=True)
            jobs = tuple(self._stage_one(source, plan, recipe) for recipe in plan.recipes)
            if not _is_unchanged(source, plan.drop):
                return ()
            fsync_folder(self._folders.tmp)
            (self._folders.tmp / jobs[0].id).rename(self._folders.new / jobs[0].id)
            undo.pop_all()
            return jobs

    def _stage_one(self, source: int, plan: _Plan, recipe: _Recipe) -> Job:
        folder = self._folders.tmp / recipe.job_id
        folder.mkdir()
        job = Job(
            id=recipe.job_id,
            siblings=tuple(one.job_id for one in plan.recipes),
            created_at=timestamp(plan.now),
            drop=plan.drop,
            content=self._stage_content(source, plan, folder),
            preset_name=recipe.preset_name,
            preset=recipe.preset,
            styles=recipe.styles,
        )
        write_new(folder / JOB_FILE, record_bytes(job))
        if plan.refusal:
            failure = failure_of(job, FailureKind.INPUT, plan.refusal, plan.now)
            write_new(folder / REASON_FILE, record_bytes(failure))
        (folder / Mark.UNDISPOSED).touch()
        fsync_folder(folder)
        return job

    def _stage_content(self, source: int, plan: _Plan, folder: Path) -> FileFacts:
        drop = self._folders.inbox / to_name(plan.drop.path)
        path = folder / content_name(drop.name)
        if plan.refusal:
            # It may be huge, and nobody will paint it: one that need not be copied is not.
            link_or_copy(drop, path)
            copied = measure(path)
        else:
            copied = copy_durably(source, path)
        return FileFacts(name=to_text(drop.name), bytes=copied.bytes, sha256=copied.sha256)

    def _finish(self, jobs: Sequence[Job], plan: _Plan) -> None:
        queued = [JobFolder(self._folders.new / job.id) for job in jobs]
        dispose(self._folders, queued[0], keep_originals=self._keep_originals)
        if plan.refusal:
            for folder in queued:
                finish_failure(self._folders, folder, plan.now)


@contextlib.contextmanager
def _opened(inbox: Path, drop: DropIdentity) -> Iterator[int | None]:
    """Open a drop without following links; yields None if something else lies there by now."""
    relative = Path(to_name(drop.path))
    with contextlib.ExitStack() as stack:
        try:
            folder = os.open(inbox / relative.parent, _FOLDER)
            stack.callback(os.close, folder)
            source = os.open(relative.name, _FILE, dir_fd=folder)
            stack.callback(os.close, source)
        except OSError as error:
            if error.errno not in _NO_SUCH_FILE:
                raise
            yield None
        else:
            yield source if _is_unchanged(source, drop) else None


def _is_unchanged(source: int, drop: DropIdentity) -> bool:
    found = os.fstat(source)
    return stat.S_ISREG(found.st_mode) and identity_of(to_name(drop.path), found) == drop
