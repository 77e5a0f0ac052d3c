"""Writers: whether somebody still has a file open for writing, however long ago he last wrote."""

import contextlib
import errno
import fcntl
import os
import re
import signal
import stat
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Final, NamedTuple

_REMEMBERED_SECONDS: Final = 1.0
# A file's times come from a clock that ticks, so they may lie a little before what other clocks say.
_TICK_SECONDS: Final = 0.05
# There a lease is refused for want of a word from the server, too, and so says nothing of writers.
_NETWORK_FILE_SYSTEMS: Final = frozenset({"nfs4", "cifs", "smb3"})


def by_lease(descriptor: int, network_file_systems: Collection[str] = _NETWORK_FILE_SYSTEMS) -> bool | None:
    """Ask the kernel, which grants a read lease only on a file that nobody has open, or mapped, for writing.

    Args:
        descriptor: of a file that is open for reading only.
        network_file_systems: types of file systems where a refusal tells nothing.

    Returns:
        Whether somebody writes; None if that cannot be told, as where the file is another user's and this process
        lacks CAP_LEASE, or where the file system knows no leases.
    """
    try:
        # Whoever opens the file while we have the lease waits for a moment, and we get a signal: the default one,
        # SIGIO, would end this process; SIGURG does nothing.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        is_refused = error.errno == errno.EAGAIN and _file_system(descriptor) not in network_file_systems
        return True if is_refused else None
    return False


class _Look(NamedTuple):
    at: float
    written: frozenset[tuple[int, int]]


class Writers:
    """Notices who still writes: by a lease, or else by a look at what other processes have open.

    That look sees only the processes that this one may look into, and no file that is mapped but closed.

    Args:
        by_lease: whether somebody writes to the file of a descriptor; None if that cannot be told.
        clock: seconds since the epoch, as a file's times have them.
    """

    def __init__(
        self, *, by_lease: Callable[[int], bool | None] = by_lease, clock: Callable[[], float] = time.time
    ) -> None:
        self._by_lease = by_lease
        self._clock = clock
        self._look = _Look(-float("inf"), frozenset())

    def is_being_written(self, descriptor: int) -> bool:
        """Tell whether another process has a file open for writing, as far as that can be known.

        Args:
            descriptor: of the file, open for reading only.
        """
        told = self._by_lease(descriptor)
        return self._is_open_elsewhere(os.fstat(descriptor)) if told is None else told

    def _is_open_elsewhere(self, found: os.stat_result) -> bool:
        look = self._look
        if not self._will_do(look, found):
            # Replaced at once when it is complete, for several threads may ask.
            look = self._look = _Look(self._clock(), frozenset(_open_for_writing()))
        return (found.st_dev, found.st_ino) in look.written

    def _will_do(self, look: _Look, found: os.stat_result) -> bool:
        """Tell whether an earlier look answers: it is recent, and nothing has happened to the file since."""
        is_recent = 0 <= self._clock() - look.at < _REMEMBERED_SECONDS
        return is_recent and found.st_ctime < look.at - _TICK_SECONDS


def _file_system(descriptor: int) -> str:
    """Name the type of the file system that a file lies on; empty if that cannot be told."""
    try:
        about = Path(f"/proc/self/fdinfo/{descriptor}").read_text("ascii")
        mounts = Path("/proc/self/mountinfo").read_text(errors="replace").split("\n")
    except OSError:
        return ""
    mount = re.search(r"^mnt_id:\s*(\d+)$", about, re.MULTILINE)
    own = (line for line in mounts if mount and line.startswith(f"{mount[1]} "))
    return next(own, "").partition(" - ")[2].partition(" ")[0]


def _open_for_writing() -> Iterator[tuple[int, int]]:
    """Yield device and inode of each regular file that another process has open for writing."""
    with contextlib.suppress(OSError):
        for process in Path("/proc").iterdir():
            if process.name.isdigit() and int(process.name) != os.getpid():
                yield from _written_by(process)


def _written_by(process: Path) -> Iterator[tuple[int, int]]:
    with contextlib.suppress(OSError):  # it has ended, or we may not look
        for link in (process / "fd").iterdir():
            with contextlib.suppress(OSError):  # it has been closed
                # The link's own permissions say what the file was opened for.
                if link.lstat().st_mode & stat.S_IWUSR and stat.S_ISREG((found := link.stat()).st_mode):
                    yield found.st_dev, found.st_ino
