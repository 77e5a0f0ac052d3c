"""One observer of watchdog's on one folder, and how to tell that it no longer sees everything."""

import contextlib
import errno
import os
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from watchdog.events import (
    DirModifiedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver, EventDispatcher
from watchdog.observers.polling import PollingObserverVFS
from watchdog.utils import BaseThread

_DESCRIPTORS: Final = Path("/proc/self/fd")
_NO_DESCRIPTOR_LEFT: Final = {errno.EMFILE, errno.ENFILE}
# Without a choice watchdog has the kernel report each open and close of a reader: most events would be of our own.
_CHANGES: Final[list[type[FileSystemEvent]]] = [
    FileSystemEvent,  # passes on whatever the others make the kernel report
    DirModifiedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileClosedEvent,
]


class FolderObserver:
    """Report events to a handler, until stopped.

    A root that is deleted, renamed, unmounted or mounted over leaves an observer running and blind, as does an error in
    one of its threads; a sub-folder that inotify's limit leaves out is left out silently. So the kernel is asked.

    Args:
        folder: where links lead is what is observed; links in it are not followed.
        handler: called in the observer's thread.
        recursive: also observe the folders in it.
        poll_seconds: time between two looks at everything; None to be told by inotify.

    Raises:
        OSError: the folder cannot be listed, or the system refuses.
        RuntimeError: the system gives no thread.
    """

    def __init__(
        self, folder: Path, handler: FileSystemEventHandler, *, recursive: bool, poll_seconds: float | None
    ) -> None:
        self._folder = folder
        self._recursive = recursive
        self.place = _place(folder)
        self._wanted = self._count_folders()
        threads, descriptors = set(threading.enumerate()), _inotify_descriptors()
        self._observer = _make(poll_seconds)
        try:
            place = os.path.realpath(folder)
            self._observer.schedule(handler, place, recursive=recursive, event_filter=_CHANGES)
            self._observer.start()
        except (OSError, RuntimeError):
            self._observer.stop()
            raise
        self._threads = set(threading.enumerate()) - threads
        self._descriptors = _inotify_descriptors() - descriptors

    def is_whole(self) -> bool:
        """Tell whether all folders that were there at the start, and still are, are watched."""
        return self._sees(min(self._wanted, self._count_folders()))

    def is_alive(self) -> bool:
        """Tell whether all its threads are."""
        return all(thread.is_alive() for thread in self._threads)

    def is_blind(self) -> bool:
        """Tell whether something else lies there now, or a part of the watch has been lost.

        While there is no descriptor left to look with, the watch, which needs none, counts as well.
        """
        try:
            if _place(self._folder) != self.place:
                return True
        except OSError as error:
            return error.errno not in _NO_DESCRIPTOR_LEFT
        return not self.is_alive() or not self._sees(self._count_folders())

    def stop(self) -> None:
        """End it; the handler is called no more."""
        try:
            self._observer.stop()
        except LookupError:  # watchdog loses count where folders are made and moved at once
            self._abandon()
        self._observer.join()

    def _abandon(self) -> None:
        """End what watchdog's own `stop` did not come to."""
        for thread in self._threads - self._observer.emitters - {self._observer}:
            if isinstance(thread, BaseThread):
                thread.stop()
                thread.join()
        self._observer.event_queue.put(EventDispatcher.stop_event)

    def _sees(self, folders: int) -> bool:
        try:
            return not self._descriptors or _count_watches(self._descriptors) >= folders
        except OSError as error:
            return error.errno in _NO_DESCRIPTOR_LEFT

    def _count_folders(self) -> int:
        """Count the folders that can be listed: no other can be watched."""
        return max(1, sum(1 for _ in os.walk(self._folder))) if self._recursive else 1


def _place(folder: Path) -> tuple[int, int]:
    with os.scandir(folder):  # raises if it is no folder, or not readable
        status = folder.stat()
    return status.st_dev, status.st_ino


def _make(poll_seconds: float | None) -> BaseObserver:
    if poll_seconds is None:
        return Observer()
    # The usual PollingObserver follows links, round and round if they lead back.
    return PollingObserverVFS(os.lstat, os.scandir, polling_interval=poll_seconds)


def _inotify_descriptors() -> set[str]:
    """Find this process's open inotify instances; none where there is no /proc."""
    found = set()
    with contextlib.suppress(OSError):
        for descriptor in _DESCRIPTORS.iterdir():
            with contextlib.suppress(OSError):
                if str(descriptor.readlink()) == "anon_inode:inotify":
                    found.add(descriptor.name)
    return found


def _count_watches(descriptors: Iterable[str]) -> int:
    """Count what the kernel watches: a watch goes when its folder is deleted or unmounted."""
    count = 0
    for descriptor in descriptors:
        with contextlib.suppress(FileNotFoundError):
            lines = (_DESCRIPTORS.with_name("fdinfo") / descriptor).read_text().splitlines()
            count += sum(line.startswith("inotify ") for line in lines)
    return count
