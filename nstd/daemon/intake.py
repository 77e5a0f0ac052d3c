"""From the inbox to the queue: look, let settle, ingest."""

import time
from collections import deque
from collections.abc import Callable
from datetime import datetime
from typing import Final

import structlog

from nstd.config.settings import Config
from nstd.daemon.status import Notice
from nstd.errors import ConfigError
from nstd.spool.drops import Drop
from nstd.spool.folders import Folders
from nstd.spool.inbox import Ignored, scan
from nstd.spool.ingest import Ingest
from nstd.spool.settle import Settler

_MIB: Final = 1 << 20
_BETWEEN_LOOKS_SECONDS: Final = 0.2
_BATCH_SECONDS: Final = 0.2

_log = structlog.get_logger()


class Intake:
    """Look at the inbox when it is due, and ingest what has settled, a batch at a time.

    Args:
        folders: of the spool.
        config: for presets, limits and times.
        now: the wall clock.
        clock: seconds that never run backwards.

    Attributes:
        notices: what lies in the inbox and cannot become a job.
        refused: how many jobs went to `failed/` at once.
    """

    def __init__(
        self,
        folders: Folders,
        config: Config,
        *,
        now: Callable[[], datetime],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folders = folders
        self._config = config
        self._now = now
        self._clock = clock
        self._settler = Settler(settle_seconds=config.spool.settle_seconds, clock=clock)
        max_bytes = int(config.limits.max_file_mib * _MIB)
        self._ingest = Ingest(folders, keep_originals=config.spool.keep_originals, max_bytes=max_bytes)
        self._found: tuple[Drop, ...] = ()
        self._settled: deque[Drop] = deque()
        self._blocked: dict[str, Notice] = {}
        self._ignored: tuple[Notice, ...] = ()
        self._looked_at = -float("inf")
        self._due = clock()
        self.refused = 0

    @property
    def notices(self) -> tuple[Notice, ...]:
        """What lies in the inbox and cannot become a job, and why."""
        return self._ignored + tuple(self._blocked.values())

    @property
    def blocked(self) -> int:
        """How many drops cannot become jobs before the operator has acted."""
        return len(self._blocked)

    def hint(self) -> None:
        """Look again soon: something has changed."""
        self._due = min(self._due, max(self._clock(), self._looked_at + _BETWEEN_LOOKS_SECONDS))

    def seconds_to_next(self) -> float:
        """Say when `advance` has something to do."""
        return 0.0 if self._settled else max(0.0, self._due - self._clock())

    def advance(self) -> None:
        """Look at the inbox if that is due, and ingest for a fraction of a second.

        Raises:
            SpoolError: the machine is in trouble; no drop is lost.
        """
        if not self._settled and self._clock() >= self._due:
            self._look()
        until = self._clock() + _BATCH_SECONDS
        while self._settled and self._clock() < until:
            self._take_in(self._settled.popleft())

    def is_drained(self) -> bool:
        """Look once more, and tell whether the inbox holds nothing that will become a job.

        Raises:
            SpoolError: the inbox cannot be read.
        """
        self._look()
        return all(drop.identity.path in self._blocked for drop in self._found)

    def _look(self) -> None:
        self._looked_at = self._clock()
        found = scan(self._folders, self._config.presets, self._config.default_presets)
        self._due = self._looked_at + self._config.spool.rescan_seconds
        self._found = found.drops
        self._settled = deque(self._settler.settled(found.drops))
        if (settling := self._settler.seconds_to_next()) is not None:
            self._due = min(self._due, self._looked_at + settling)
        self._notice(found.ignored)
        paths = {drop.identity.path for drop in found.drops}
        self._blocked = {path: notice for path, notice in self._blocked.items() if path in paths}

    def _notice(self, ignored: tuple[Ignored, ...]) -> None:
        known = self._ignored
        self._ignored = tuple(Notice(path=one.path, reason=one.reason) for one in ignored)
        for notice in self._ignored:
            if notice not in known:
                _log.warning("ignored", path=notice.path, reason=notice.reason)

    def _take_in(self, drop: Drop) -> None:
        path = drop.identity.path
        try:
            ingested = self._ingest.ingest(drop, self._config.presets, self._now())
        except ConfigError as error:
            notice = Notice(path=path, reason=str(error))
            if self._blocked.get(path) != notice:
                _log.error("drop_blocked", path=path, reason=str(error))
            self._blocked[path] = notice
            return
        self._blocked.pop(path, None)
        if not ingested.jobs:
            self._settler.restart(drop)
            self._due = min(self._due, self._clock() + self._config.spool.settle_seconds)
        for job in ingested.jobs:
            if ingested.refusal:
                self.refused += 1
                _log.error("job_refused", job=job.id, path=path, reason=ingested.refusal)
            else:
                _log.info("job_queued", job=job.id, path=path, preset=job.preset_name)
