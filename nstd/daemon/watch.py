"""The watch on the inbox: whatever happens there is only a hint to look."""

import contextlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import structlog
from watchdog.events import FileClosedNoWriteEvent, FileOpenedEvent, FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

_log = structlog.get_logger()


class _Hinter(FileSystemEventHandler):
    """Runs under the observer's lock, so it does nothing but pass the hint on."""

    def __init__(self, hint: Callable[[], None]) -> None:
        self._hint = hint

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Hint, unless somebody has only read: our own look at the inbox is such an event."""
        if not isinstance(event, FileOpenedEvent | FileClosedNoWriteEvent):
            self._hint()


class _Chatter(logging.Handler):
    """Keeps watchdog's complaints, as of an event that comes while it stops, from standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log the line for developers."""
        _log.debug("watchdog_said", line=record.getMessage())


@contextlib.contextmanager
def _overheard() -> Iterator[None]:
    logger, chatter = logging.getLogger("watchdog"), _Chatter()
    logger.addHandler(chatter)
    try:
        yield
    finally:
        logger.removeHandler(chatter)


@contextlib.contextmanager
def watching(inbox: Path, hint: Callable[[], None]) -> Iterator[None]:
    """Call `hint`, from another thread, soon after something has changed in the inbox or a folder in it.

    Where the system refuses the watch, the daemon's regular look at the inbox has to do.
    """
    observer = Observer()
    observer.schedule(_Hinter(hint), str(inbox), recursive=True)
    with _overheard():
        try:
            observer.start()
        except OSError as error:
            _log.warning("inbox_unwatched", inbox=str(inbox), reason=error.strerror)
            yield
            return
        try:
            yield
        finally:
            observer.stop()
            observer.join()
