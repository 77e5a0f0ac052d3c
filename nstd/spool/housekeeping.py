"""Housekeeping: what has been kept for long enough is removed, and nothing that is not ours.

What counts is how long ago a file's inode has changed (`st_ctime`), as when it was put where it is. Its modification
time tells nothing: an original has the one that the camera gave it, perhaps years ago.
"""

import contextlib
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ValidationError

from nstd.config.settings import SpoolSettings
from nstd.errors import SpoolError
from nstd.job import JobId
from nstd.spool.durable import fsync_folder, opened, remove_folder, trouble
from nstd.spool.folders import Folders
from nstd.spool.jobs import JobFolder, jobs_in
from nstd.spool.lock import retry_lock
from nstd.spool.names import to_name, to_text

_SECONDS_PER_DAY: Final = 86_400
_LOG_SUFFIX: Final = ".json"
_PICTURE_SUFFIX: Final = re.compile(r"\.[a-z0-9]{1,8}")
# Far more than the longest run writes: a bigger file is somebody else's, and must not fill the memory.
_LOG_MAX_BYTES: Final = 64 << 20
_FOLDER: Final = os.O_DIRECTORY | os.O_NOFOLLOW
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Kind(StrEnum):
    """What is kept for a time."""

    RESULT = "result"
    ORIGINAL = "original"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Swept:
    """Something that has been kept for long enough.

    Attributes:
        path: as text; of a result, that of its log.
        trouble: why it is still there; empty if it was removed.
    """

    kind: Kind
    path: str
    trouble: str = ""


class _Output(BaseModel):
    name: str


class _Log(BaseModel):
    job: JobId
    output: _Output


def sweep(folders: Folders, settings: SpoolSettings, now: datetime) -> Iterator[Swept | None]:
    """Remove what is older than the settings allow, as the caller asks for one after the other.

    Wherever it ends, the next sweep goes on. Trouble with one file stops no other.

    Args:
        folders: of the spool.
        settings: for how long results, originals and failed jobs are kept.
        now: the time that ages are reckoned by.

    Yields:
        What was removed or could not be; None for each file that stays, so that the caller may pause there.
    """
    parts = (
        (Kind.RESULT, folders.outbox, _results(folders, _limit(settings.keep_results_days, now))),
        (Kind.ORIGINAL, folders.originals, _originals(folders, _limit(settings.keep_originals_days, now))),
        (Kind.FAILED, folders.failed, _failed(folders, _limit(settings.keep_failed_days, now))),
    )
    for kind, root, part in parts:
        yield from _guarded(kind, root, part)


def _limit(days: float, now: datetime) -> float | None:
    """Return the time up to which what has not changed since is removed; None keeps everything."""
    return now.timestamp() - days * _SECONDS_PER_DAY if days else None


def _results(folders: Folders, limit: float | None) -> Iterator[Swept | None]:
    if limit is not None:
        for place in _shelves(folders.outbox):
            yield from _guarded(Kind.RESULT, place, _in_place(Kind.RESULT, place, _remove_result, limit))


def _originals(folders: Folders, limit: float | None) -> Iterator[Swept | None]:
    if limit is not None:
        for place in (folders.originals, *_shelves(folders.originals)):
            yield from _guarded(Kind.ORIGINAL, place, _in_place(Kind.ORIGINAL, place, _remove_original, limit))


def _failed(folders: Folders, limit: float | None) -> Iterator[Swept | None]:
    if limit is not None:
        for folder in jobs_in(folders.failed):
            yield _tried(Kind.FAILED, folder.path, partial(_remove_failed, folders, folder, limit))


def _shelves(root: Path) -> list[Path]:
    """List the folders in a root that may hold something of ours: no hidden ones, no links."""
    with opened(root, _FOLDER) as descriptor, os.scandir(descriptor) as entries:
        names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    return [root / name for name in names if not name.startswith(".")]


def _in_place(
    kind: Kind, place: Path, remove: Callable[[int, Path, float], bool], limit: float
) -> Iterator[Swept | None]:
    """Go through a folder by its descriptor, so that a link that takes its place in the meantime is not followed."""
    with opened(place, _FOLDER) as folder:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries]
        for name in names:
            if not name.startswith("."):
                yield _tried(kind, place / name, partial(remove, folder, place / name, limit))


def _guarded(kind: Kind, path: Path, part: Iterator[Swept | None]) -> Iterator[Swept | None]:
    """Let trouble with a whole folder end nothing but the part that goes through it."""
    try:
        with trouble(f"look through {to_text(path)}"):
            yield from part
    except SpoolError as error:
        yield Swept(kind, to_text(path), str(error))


def _tried(kind: Kind, path: Path, remove: Callable[[], bool]) -> Swept | None:
    try:
        with trouble(f"remove {to_text(path)}"), contextlib.suppress(FileNotFoundError):  # somebody else was faster
            return Swept(kind, to_text(path)) if remove() else None
    except SpoolError as error:
        return Swept(kind, to_text(path), str(error))
    return None


def _remove_original(folder: int, path: Path, limit: float) -> bool:
    if not _is_over(_look(folder, path.name), limit):
        return False
    os.unlink(path.name, dir_fd=folder)
    return True


def _remove_result(folder: int, log: Path, limit: float) -> bool:
    """Remove a picture, then its log: a picture always has its log."""
    if log.suffix != _LOG_SUFFIX or not _is_over(_look(folder, log.name), limit):
        return False
    picture = _picture_of(folder, log)
    if picture is None:
        return False
    with contextlib.suppress(FileNotFoundError):  # somebody has removed it, or a kill came in between
        if not _is_over(_look(folder, picture), limit):
            return False
        os.unlink(picture, dir_fd=folder)
        fsync_folder(log.parent)
    os.unlink(log.name, dir_fd=folder)
    return True


def _picture_of(folder: int, log: Path) -> str | None:
    """Name the picture that a log describes; None unless it is a log of ours that still has its own name."""
    try:
        name = to_name(_Log.model_validate_json(_read(folder, log.name)).output.name)
    except ValidationError:
        return None
    suffix = name.removeprefix(log.stem)
    is_beside = name == log.stem + suffix and _PICTURE_SUFFIX.fullmatch(suffix) and suffix != _LOG_SUFFIX
    return name if is_beside else None


def _read(folder: int, name: str) -> bytes:
    with os.fdopen(os.open(name, _FILE, dir_fd=folder), "rb") as file:
        return file.read(_LOG_MAX_BYTES)


def _remove_failed(folders: Folders, folder: JobFolder, limit: float) -> bool:
    found = folder.path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_ctime > limit:
        return False
    with retry_lock(folders.retry_lock, wait=False) as is_ours:
        # A job that is put back now, or whose way to or from here is not finished, has time until the next sweep.
        if not is_ours or any((place / folder.id).exists() for place in (folders.new, folders.cur)):
            return False
        remove_folder(folder.path, folders.failed_staging / f"{folder.id}.{secrets.token_hex(4)}.trash")
        return True


def _look(folder: int, name: str) -> os.stat_result:
    return os.stat(name, dir_fd=folder, follow_symlinks=False)


def _is_over(found: os.stat_result, limit: float) -> bool:
    return stat.S_ISREG(found.st_mode) and found.st_ctime <= limit
