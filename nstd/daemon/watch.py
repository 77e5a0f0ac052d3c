"""The watch on a folder: whatever happens there is only a hint to look."""

import contextlib
import logging
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final, Self

import structlog
from watchdog.events import FileClosedNoWriteEvent, FileOpenedEvent, FileSystemEvent, FileSystemEventHandler

from nstd.config.settings import Watch
from nstd.daemon.observer import FolderObserver

_POLL_SECONDS: Final = 2.0
_INCOMPLETE: Final = "not every folder in it can be watched: inotify watch limit reached"

_log = structlog.get_logger()


class FolderWatch:
    """Call `hint`, from another thread, soon after something has changed in a folder.

    No watch sees everything for ever, so whoever waits for hints also looks regularly, and calls `renew` each time.

    Args:
        folder: it need not exist yet.
        hint: called at each change, and when a watch begins: something may have changed before.
        mode: what to use; `auto` polls where the system refuses inotify.
        recursive: also watch the folders in it.
        poll_seconds: time between two looks at everything where the folder is polled.
    """

    def __init__(
        self,
        folder: Path,
        hint: Callable[[], None],
        *,
        mode: Watch = Watch.AUTO,
        recursive: bool = True,
        poll_seconds: float = _POLL_SECONDS,
    ) -> None:
        self._folder = folder
        self._hint = hint
        self._recursive = recursive
        self._ways: tuple[float | None, ...] = {
            Watch.AUTO: (None, poll_seconds),
            Watch.INOTIFY: (None,),
            Watch.POLLING: (poll_seconds,),
        }[mode]
        self._observer: FolderObserver | None = None
        self._refusal: str | None = None
        self._overhearing = contextlib.ExitStack()
        self._overhearing.enter_context(_overheard())

    def __enter__(self) -> Self:
        """Begin."""
        self.renew()
        return self

    def __exit__(self, *_: object) -> None:
        """End: nothing hints any more."""
        self.close()

    def renew(self) -> None:
        """Watch what lies there now, unless that is being watched; never raises."""
        blind = self._observer is not None and self._observer.is_blind()
        if self._observer and not blind:
            return
        refusal, self._refusal = self._refusal, self._watch()
        self._tell(refusal, blind=blind)
        if self._observer and not refusal == self._refusal == _INCOMPLETE:
            self._hint()

    def is_alive(self) -> bool:
        """Tell whether the watch runs, if there can be one; one that has ended by itself is begun anew before."""
        if self._observer and not self._observer.is_alive():
            self.renew()
        return self._observer is None or self._observer.is_alive()

    def close(self) -> None:
        """End: nothing hints any more."""
        self._stop()
        self._overhearing.close()

    def _watch(self) -> str | None:
        """Try one way after the other; return why the first did not do."""
        refusal = None
        for poll_seconds in self._ways:
            self._stop()
            try:
                self._observer = FolderObserver(
                    self._folder, _Hinter(self._hint), recursive=self._recursive, poll_seconds=poll_seconds
                )
            except (OSError, RuntimeError) as error:
                refusal = refusal or getattr(error, "strerror", None) or str(error)
                continue
            if self._observer.is_whole():
                break
            refusal = _INCOMPLETE
        return refusal

    def _tell(self, previous: str | None, *, blind: bool) -> None:
        place = str(self._folder)
        if self._refusal and self._refusal != previous:
            polled = self._observer is not None and len(self._ways) > 1
            _log.warning("folder_polled" if polled else "folder_unwatched", folder=place, reason=self._refusal)
        elif self._observer and not self._refusal and (previous or blind):
            _log.info("folder_watched", folder=place)

    def _stop(self) -> None:
        if self._observer:
            self._observer.stop()
            self._observer = None


class FolderWatches:
    """Watches on folders that are others from time to time.

    Args:
        folders: says which, at each `renew`.
        hint: as for `FolderWatch`.
        mode: as for `FolderWatch`.
    """

    def __init__(
        self, folders: Callable[[], Iterable[Path]], hint: Callable[[], None], *, mode: Watch = Watch.AUTO
    ) -> None:
        self._folders = folders
        self._hint = hint
        self._mode = mode
        self._watches: dict[Path, FolderWatch] = {}

    def __enter__(self) -> Self:
        """Begin."""
        self.renew()
        return self

    def __exit__(self, *_: object) -> None:
        """End: nothing hints any more."""
        self.close()

    def renew(self) -> None:
        """Watch the folders that count now, but not the folders in them; never raises."""
        folders = set(self._folders())
        for folder in self._watches.keys() - folders:
            self._watches.pop(folder).close()
        for folder in folders - self._watches.keys():
            self._watches[folder] = FolderWatch(folder, self._hint, mode=self._mode, recursive=False)
        for watch in self._watches.values():
            watch.renew()

    def close(self) -> None:
        """End: nothing hints any more."""
        while self._watches:
            self._watches.popitem()[1].close()


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
    # It warns of a watch that it has twice, whenever a folder is made within a new one.
    warnings.filterwarnings("ignore", category=RuntimeWarning, module="watchdog")
    logger, chatter = logging.getLogger("watchdog"), _Chatter()
    logger.addHandler(chatter)
    try:
        yield
    finally:
        logger.removeHandler(chatter)
