"""One daemon a spool: a lock that dies with its process."""

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from nstd.errors import SpoolLockedError
from nstd.spool.durable import trouble

# `holder` may have the lock for a moment to look at it; a daemon never lets go that soon.
_PAUSES_SECONDS: Final = (0.01, 0.05, 0.2)


@contextlib.contextmanager
def spool_lock(path: Path, *, pause: Callable[[float], object] = time.sleep) -> Iterator[None]:
    """Hold the spool's lock while the block runs.

    Args:
        path: the lock file; made if missing, and never removed.
        pause: called between tries.

    Raises:
        SpoolLockedError: another daemon works on this spool; names its process.
        SpoolError: the file cannot be made.
    """
    with _opened(path, os.O_RDWR | os.O_CREAT) as descriptor:
        _acquire(descriptor, path, pause)
        with trouble("write the lock's holder"):
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            os.ftruncate(descriptor, len(f"{os.getpid()}\n"))
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, 0)


@contextlib.contextmanager
def retry_lock(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Wait for a turn to put failed jobs back, or to remove one; two at once could queue one job twice.

    Args:
        path: the lock file; made if missing, and never removed.
        wait: for whoever has the lock; he may have been stopped for ever.

    Yields:
        Whether the turn has come; always, after a wait.

    Raises:
        SpoolError: the file cannot be made.
    """
    with _opened(path, os.O_RDWR | os.O_CREAT) as descriptor:
        yield _lock(descriptor, fcntl.LOCK_EX, wait=wait)


def holder(path: Path) -> int | None:
    """Say which process works on the spool.

    Returns:
        Its process id; 0 if it has not said yet; None if there is none.

    Raises:
        SpoolError: the lock cannot be read.
    """
    if not path.exists():
        return None
    with _opened(path, os.O_RDONLY) as descriptor:
        pid = _pid(descriptor)
        return pid if not _lock(descriptor, fcntl.LOCK_SH) else None


def _acquire(descriptor: int, path: Path, pause: Callable[[float], object]) -> None:
    for seconds in _PAUSES_SECONDS:
        if _lock(descriptor, fcntl.LOCK_EX):
            return
        pause(seconds)
    if not _lock(descriptor, fcntl.LOCK_EX):
        msg = f"{path.parent}: another nstd (process {_pid(descriptor) or 'unknown'}) works on this spool"
        raise SpoolLockedError(msg)


def _lock(descriptor: int, how: int, *, wait: bool = False) -> bool:
    with trouble("lock the spool"):
        try:
            fcntl.flock(descriptor, how if wait else how | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def _pid(descriptor: int) -> int:
    text = os.pread(descriptor, 32, 0).strip()
    return int(text) if text.isdigit() else 0


@contextlib.contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    with trouble("open the lock"):
        descriptor = os.open(path, flags | os.O_CLOEXEC, 0o644)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
