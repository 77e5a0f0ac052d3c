"""Disposal: taking an ingested photo out of the inbox, once, without ever taking another file for it.

A drop is first renamed to a hidden name that carries its job's id, and only then archived or removed. So a file that
replaces the drop at the last moment is noticed and put back, and after a kill there is no doubt whether the file at
the drop's path is the old one or was dropped again.
"""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from nstd.errors import DropError, SpoolError
from nstd.job import DropIdentity, FileFacts, Job
from nstd.spool.drops import is_still
from nstd.spool.durable import (
    copy_durably,
    fsync_file,
    fsync_folder,
    measure,
    opened,
    rename_durably,
    rename_without_replacing,
    trouble,
)
from nstd.spool.folders import Folders
from nstd.spool.jobs import DamagedJobError, JobFolder, Mark, marked
from nstd.spool.names import candidates, join_name, to_name, to_text

TAKEN_PREFIX: Final = ".nstd-"


def undisposed(folders: Folders) -> Iterator[DropIdentity]:
    """Yield the drops that are jobs already, but may still lie in the inbox."""
    for folder in marked(folders, (Mark.UNDISPOSED,)):
        with contextlib.suppress(DamagedJobError):
            yield folder.read().drop


def queue_siblings(folders: Folders, job: Job) -> None:
    """Queue the rest of the jobs made from one drop; all are complete once one is queued."""
    for sibling in job.siblings:
        if (folders.tmp / sibling).exists():
            (folders.tmp / sibling).rename(folders.new / sibling)


def dispose(folders: Folders, folder: JobFolder, *, keep_originals: bool) -> None:
    """Take the photo of a queued job out of the inbox, then let the job and its siblings be claimed.

    Every step can be repeated.

    Args:
        folders: of the spool.
        folder: one of the jobs made from the drop, in `queue/new`.
        keep_originals: archive the photo; otherwise it is removed.

    Raises:
        SpoolError: inbox or originals are in trouble; the jobs wait.
    """
    job = folder.read()
    with trouble(f"take {job.drop.path} out of the inbox"):
        queue_siblings(folders, job)
        fsync_folder(folders.new)
        leader = JobFolder(folders.new / job.siblings[0])
        taken = _taken_path(folders, job)
        if not leader.has(Mark.TAKEN):
            _take(folders, job.drop, taken)
            _mark_taken(leader)
        if keep_originals:
            _archive(folders, job, taken, folder.content(job))
        _remove_taken(taken)
        _release(folders, job)


def restore_orphans(folders: Folders) -> list[str]:
    """Give photos back to the inbox whose jobs are unknown, as after the loss of the state folder.

    Returns:
        Their paths below the inbox, as text.
    """
    restored = []
    with trouble("look for photos to give back to the inbox"):
        places = [path for path in folders.inbox.iterdir() if path.is_dir() and not path.is_symlink()]
        for path in [path for place in (folders.inbox, *places) for path in place.glob(f"{TAKEN_PREFIX}*")]:
            job_id, _, name = path.name.removeprefix(TAKEN_PREFIX).partition("_")
            if name and not (folders.new / job_id).exists():
                restored.append(to_text(_put_back(path, path.with_name(name)).relative_to(folders.inbox)))
    return restored


def _taken_path(folders: Folders, job: Job) -> Path:
    drop = _drop_path(folders, job.drop)
    return drop.with_name(join_name(f"{TAKEN_PREFIX}{job.siblings[0]}_{drop.name}", ""))


def _drop_path(folders: Folders, drop: DropIdentity) -> Path:
    return folders.inbox / to_name(drop.path)


def _take(folders: Folders, drop: DropIdentity, taken: Path) -> None:
    path = _drop_path(folders, drop)
    if not os.path.lexists(taken):
        if not is_still(drop, path):
            _check_inbox_is_there(folders, drop, path)
            return
        _hide(path, taken)
    if not is_still(drop, taken):
        _put_back(taken, path)
    fsync_folder(path.parent)


def _hide(path: Path, taken: Path) -> None:
    try:
        path.rename(taken)
    except PermissionError as error:
        msg = f"{to_text(path)}: cannot be taken out of the inbox: {error.strerror}"
        raise DropError(msg) from error


def _check_inbox_is_there(folders: Folders, drop: DropIdentity, path: Path) -> None:
    """An inbox that is not mounted looks like one whose photo somebody removed."""
    parent = path.parent if path.parent.is_dir() else folders.inbox
    if not os.path.lexists(path) and parent.stat().st_dev != drop.device:
        msg = f"{to_text(path)}: is gone, and the inbox is on another device than at ingest: is it mounted?"
        raise SpoolError(msg)


def _put_back(taken: Path, path: Path) -> Path:
    for name in candidates(path.name):
        with contextlib.suppress(FileExistsError):
            rename_without_replacing(taken, path.with_name(name))
            fsync_folder(path.parent)
            break
    return path.with_name(name)


def _mark_taken(leader: JobFolder) -> None:
    with contextlib.suppress(FileNotFoundError):
        rename_durably(leader.path / Mark.UNDISPOSED, leader.path / Mark.TAKEN)


def _archive(folders: Folders, job: Job, taken: Path, content: Path) -> None:
    """Put the photo into the originals, unless it is there already under a name it could have got."""
    place = folders.originals / Path(to_name(job.drop.path)).parent
    place.mkdir(exist_ok=True)
    for name in candidates(to_name(job.content.name)):
        path = place / name
        if _holds(path, job.content):
            _renew(path)
            return
        with contextlib.suppress(FileExistsError):
            _place(job, taken, content, path, staged=folders.originals_staging / job.siblings[0])
            fsync_folder(place)
            return


def _holds(path: Path, content: FileFacts) -> bool:
    if not path.is_file() or path.stat().st_size != content.bytes:
        return False
    return measure(path).sha256 == content.sha256


def _renew(path: Path) -> None:
    """Let the age of an original begin anew, for housekeeping: the same photo has come again."""
    found = path.stat()
    with contextlib.suppress(PermissionError):  # it is another user's
        os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


def _place(job: Job, taken: Path, content: Path, path: Path, *, staged: Path) -> None:
    if os.path.lexists(taken):
        try:
            rename_without_replacing(taken, path)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
        else:
            fsync_file(path)
            return
    staged.unlink(missing_ok=True)
    with opened(content) as source:
        copy_durably(source, staged)
    os.utime(staged, ns=(job.drop.mtime_ns, job.drop.mtime_ns))
    rename_without_replacing(staged, path)


def _remove_taken(taken: Path) -> None:
    if taken.parent.is_dir():
        taken.unlink(missing_ok=True)
        fsync_folder(taken.parent)


def _release(folders: Folders, job: Job) -> None:
    """Let the jobs go; the first one last, for it knows how far the disposal got."""
    for sibling in reversed(job.siblings):
        folder = JobFolder(folders.new / sibling)
        if folder.path.exists():
            for mark in (Mark.UNDISPOSED, Mark.TAKEN):
                (folder.path / mark).unlink(missing_ok=True)
