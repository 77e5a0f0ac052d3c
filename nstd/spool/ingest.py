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

from nstd.errors import DropError, SpoolError
from nstd.job import DropIdentity, FailureKind, FileFacts, FrozenStyle, Job
from nstd.preset import Preset
from nstd.spool.disposal import dispose
from nstd.spool.drops import Drop, identity_of
from nstd.spool.durable import (
    Copied,
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
from nstd.spool.writers import Writers

_MIB: Final = 1 << 20
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_SUCH_FILE: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.ENODEV})
_DROPS_OWN: Final = frozenset({errno.EACCES, errno.EPERM, errno.EIO})
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Ingested:
    """What became of a drop.

    Attributes:
        jobs: made from it; none if it is no longer what had settled, or is still open, and must settle again.
        refusal: why the jobs went to `failed/` at once; empty if they did not.
        trouble: why the photo has not left the inbox yet; its jobs wait for that, and the next scan does not find it.
        still_open: no jobs were made because somebody has it open for writing, whether or not it has changed.
    """

    jobs: tuple[Job, ...]
    refusal: str = ""
    trouble: SpoolError | None = None
    still_open: bool = False


class _UnsettledError(Exception):
    """The drop is not complete after all."""

    def __init__(self, *, still_open: bool = False) -> None:
        super().__init__()
        self.still_open = still_open


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
        writers: knows who still has a drop open for writing.
    """

    def __init__(
        self, folders: Folders, *, keep_originals: bool, max_bytes: int, writers: Writers | None = None
    ) -> None:
        self._folders = folders
        self._writers = writers or Writers()
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
            DropError: this drop cannot be read or taken; it stays.
            SpoolError: the machine is in trouble; the drop stays and nothing is queued.
        """
        with trouble(f"ingest {drop.identity.path}"):
            plan = self._plan(drop, presets, now)
            try:
                jobs = self._commit(plan)
            except _UnsettledError as error:
                return Ingested((), still_open=error.still_open)
        try:
            self._finish(jobs, plan)
        except SpoolError as error:
            return Ingested(jobs, plan.refusal, error)
        return Ingested(jobs, plan.refusal)

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
            changed_ns = os.fstat(source).st_ctime_ns
            self._require_settled(source, plan.drop)
            for recipe in plan.recipes:
                undo.callback(shutil.rmtree, self._folders.tmp / recipe.job_id, ignore_errors=True)
            jobs = tuple(self._stage_one(source, plan, recipe) for recipe in plan.recipes)
            self._require_settled(source, plan.drop)
            # Whoever rewrites a file in place may set its times back, but not this one; a link of ours changes it, too.
            if os.fstat(source).st_ctime_ns != changed_ns and not plan.refusal:
                raise _UnsettledError
            if len(jobs) > 1:  # the others must still be there, whenever the first is
                fsync_folder(self._folders.tmp)
            (self._folders.tmp / jobs[0].id).rename(self._folders.new / jobs[0].id)
            undo.pop_all()
            return jobs

    def _require_settled(self, source: int, drop: DropIdentity) -> None:
        # Writers first: what one has written who closes the file between the two questions is seen by the second.
        if self._writers.is_being_written(source):
            raise _UnsettledError(still_open=True)
        if not _is_unchanged(source, drop):
            raise _UnsettledError

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
            copied = _copied(source, plan.drop, path)
        return FileFacts(name=to_text(drop.name), bytes=copied.bytes, sha256=copied.sha256)

    def _finish(self, jobs: Sequence[Job], plan: _Plan) -> None:
        queued = [JobFolder(self._folders.new / job.id) for job in jobs]
        dispose(self._folders, queued[0], keep_originals=self._keep_originals)
        if plan.refusal:
            for folder in queued:
                finish_failure(self._folders, folder, plan.now)


def _copied(source: int, drop: DropIdentity, path: Path) -> Copied:
    try:
        return copy_durably(source, path)
    except OSError as error:
        if error.filename is None:
            raise _unreadable(drop, error) from error
        raise


@contextlib.contextmanager
def _opened(inbox: Path, drop: DropIdentity) -> Iterator[int]:
    """Open a drop without following links.

    Raises:
        _UnsettledError: something else lies there by now, or another program has a lease on it.
    """
    relative = Path(to_name(drop.path))
    with contextlib.ExitStack() as stack:
        try:
            folder = os.open(inbox / relative.parent, _FOLDER)
            stack.callback(os.close, folder)
            source = os.open(relative.name, _FILE, dir_fd=folder)
            stack.callback(os.close, source)
        except BlockingIOError as error:
            # As a file server takes it for a client that may still hold changes back.
            raise _UnsettledError(still_open=True) from error
        except OSError as error:
            if error.errno in _DROPS_OWN:
                raise _unreadable(drop, error) from error
            if error.errno not in _NO_SUCH_FILE:
                raise
            raise _UnsettledError from error
        _check_removable(folder, source, drop)
        yield source


def _unreadable(drop: DropIdentity, error: OSError) -> DropError:
    return DropError(f"{drop.path}: cannot be read: {error.strerror}")


def _check_removable(folder: int, source: int, drop: DropIdentity) -> None:
    """Find out before anything is queued: a job whose photo cannot leave the inbox could not be let go."""
    if not os.access(".", os.W_OK | os.X_OK, dir_fd=folder, effective_ids=True):
        msg = f"{drop.path}: cannot be taken out of the inbox: its folder is not writable"
        raise DropError(msg)
    place, owner, user = os.fstat(folder), os.fstat(source).st_uid, os.geteuid()
    if place.st_mode & stat.S_ISVTX and user not in {0, owner, place.st_uid}:
        msg = f"{drop.path}: cannot be taken out of the inbox: it is another user's, and its folder is sticky"
        raise DropError(msg)


def _is_unchanged(source: int, drop: DropIdentity) -> bool:
    found = os.fstat(source)
    return stat.S_ISREG(found.st_mode) and identity_of(to_name(drop.path), found) == drop
