"""Housekeeping in the daemon: when it is due, and when the clock is not to be trusted."""

import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Final

import structlog

from nstd.config.settings import SpoolSettings
from nstd.spool.folders import Folders
from nstd.spool.housekeeping import Swept, sweep

_INTERVAL_SECONDS: Final = 3600.0
_BATCH_SECONDS: Final = 0.2
_LARGEST_DRIFT_SECONDS: Final = 60.0

_log = structlog.get_logger()


def _uptime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Housekeeper:
    """Sweep at the start and then every hour, a batch at a time.

    Ages are reckoned by the wall clock. If that has been set since the last sweep, this one is put off, so that a clock
    that was set days ahead does not at once remove what is to be kept for days: it may be set right again.

    Args:
        folders: of the spool.
        settings: for how long results, originals and failed jobs are kept.
        now: the wall clock.
        uptime: seconds that go on while the machine sleeps, and that nobody can set.
    """

    def __init__(
        self,
        folders: Folders,
        settings: SpoolSettings,
        *,
        now: Callable[[], datetime],
        uptime: Callable[[], float] = _uptime,
    ) -> None:
        self._folders = folders
        self._settings = settings
        self._now = now
        self._uptime = uptime
        self._due = uptime()
        self._wall_minus_uptime: float | None = None
        self._sweep: Iterator[Swept | None] | None = None
        self._told: set[Swept] = set()
        self._unremovable: set[Swept] = set()

    def use(self, settings: SpoolSettings) -> None:
        """Take other settings from now on; a sweep by the old ones ends."""
        self._settings = settings
        self._sweep = None

    def seconds_to_next(self) -> float:
        """Say when `advance` has something to do."""
        return 0.0 if self._sweep else max(0.0, self._due - self._uptime())

    def advance(self) -> None:
        """Begin a sweep if one is due, and sweep for a fraction of a second; raises nothing."""
        if self._sweep is None and self._uptime() >= self._due:
            self._begin()
        if self._sweep is None:
            return
        until = self._uptime() + _BATCH_SECONDS
        for swept in self._sweep:
            if swept:
                self._tell(swept)
            if self._uptime() >= until:
                return
        self._sweep = None

    def _begin(self) -> None:
        uptime, now = self._uptime(), self._now()
        self._due = uptime + _INTERVAL_SECONDS
        before, self._wall_minus_uptime = self._wall_minus_uptime, now.timestamp() - uptime
        jump = 0.0 if before is None else self._wall_minus_uptime - before
        if abs(jump) > _LARGEST_DRIFT_SECONDS:
            _log.warning("housekeeping_put_off", clock_jumped_seconds=round(jump), next_seconds=_INTERVAL_SECONDS)
        else:
            self._told, self._unremovable = self._unremovable, set()
            self._sweep = sweep(self._folders, self._settings, now)

    def _tell(self, swept: Swept) -> None:
        if not swept.trouble:
            _log.info("removed", kind=swept.kind.value, path=swept.path)
            return
        if swept not in self._told:
            _log.warning("not_removed", kind=swept.kind.value, path=swept.path, reason=swept.trouble)
        self._unremovable.add(swept)
