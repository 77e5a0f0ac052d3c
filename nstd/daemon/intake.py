"""From the inbox to the queue: look, let settle, ingest."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from datetime import datetime
from typing import Final

import structlog

from nstd.config.settings import Config
from nstd.daemon.metrics import Fate, Metrics
from nstd.daemon.outcomes import about, names
from nstd.daemon.status import Notice
from nstd.daemon.trouble import Delays
from nstd.errors import ConfigError, DropError, NstdError, SpoolError
from nstd.job import Job
from nstd.spool.drops import Drop
from nstd.spool.folders import Folders
from nstd.spool.inbox import Ignored, scan
from nstd.spool.ingest import Ingest, Ingested
from nstd.spool.settle import Settler

_MIB: Final = 1 << 20
_BETWEEN_LOOKS_SECONDS: Final = 0.2
_BATCH_SECONDS: Final = 0.2
# They mostly wait for the disk, which commits for several at once as fast as for one.
_AT_ONCE: Final = 8

_STILL_OPEN: Final = "is still open in another program, which may write more"

_log = structlog.get_logger()


class Intake:
    """Look at the inbox when it is due, and ingest what has settled, a batch at a time.

    Args:
        folders: of the spool.
        config: for presets, limits and times.
        delays: of jobs; one whose photo cannot leave the inbox yet waits there.
        metrics: told of the jobs that go to `failed/` at once.
        now: the wall clock.
        clock: seconds that never run backwards.
        at_once: how many drops are ingested at the same time.

    Attributes:
        notices: what lies in the inbox and cannot become a job.
        refused: how many jobs went to `failed/` at once.
    """

    def __init__(
        self,
        folders: Folders,
        config: Config,
        delays: Delays,
        metrics: Metrics,
        *,
        now: Callable[[], datetime],
        clock: Callable[[], float] = time.monotonic,
        at_once: int = _AT_ONCE,
    ) -> None:
        self._folders = folders
        self._jobs = delays
        self._metrics = metrics
        self._drops = Delays(clock, now)
        self._now = now
        self._clock = clock
        self._at_once = at_once
        self._settler = Settler(settle_seconds=config.spool.settle_seconds, clock=clock)
        self.use(config)
        self._found: tuple[Drop, ...] = ()
        self._settled: deque[Drop] = deque()
        self._blocked: dict[str, Notice] = {}
        self._open: dict[str, Notice] = {}
        self._ignored: tuple[Notice, ...] = ()
        self._looked_at = -float("inf")
        self.refused = 0

    def use(self, config: Config) -> None:
        """Go by these settings from now on."""
        self._config = config
        self._settler.settle_seconds = config.spool.settle_seconds
        max_bytes = int(config.limits.max_file_mib * _MIB)
        self._ingest = Ingest(self._folders, keep_originals=config.spool.keep_originals, max_bytes=max_bytes)
        self._due = self._clock()

    @property
    def notices(self) -> tuple[Notice, ...]:
        """What lies in the inbox and cannot become a job, and why."""
        return (*self._ignored, *self._blocked.values(), *self._open.values())

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
        with ThreadPoolExecutor(self._at_once) as pool:
            while self._settled and self._clock() < until:
                drops = [self._settled.popleft() for _ in range(min(self._at_once, len(self._settled)))]
                self._take_in([drop for drop in drops if not self._drops.seconds_left(drop.identity.path)], pool)

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
            self._look_within(settling)
        self._look_within(self._drops.seconds_to_next())
        self._notice(found.ignored)
        self._forget_others({drop.identity.path for drop in found.drops})

    def _look_within(self, seconds: float) -> None:
        self._due = min(self._due, self._clock() + seconds)

    def _forget_others(self, paths: set[str]) -> None:
        self._blocked = {path: notice for path, notice in self._blocked.items() if path in paths}
        self._open = {path: notice for path, notice in self._open.items() if path in paths}
        self._drops.keep_only(paths)

    def _notice(self, ignored: tuple[Ignored, ...]) -> None:
        known = self._ignored
        self._ignored = tuple(Notice(path=one.path, reason=one.reason) for one in ignored)
        for notice in self._ignored:
            if notice not in known:
                _log.warning("ignored", path=notice.path, reason=notice.reason)

    def _take_in(self, drops: Sequence[Drop], pool: Executor) -> None:
        """Ingest some drops at once, and note what became of each before any trouble is raised."""
        each = pool.map if len(drops) > 1 else map
        outcomes = list(each(self._ingested, drops))
        troubles = [self._conclude(drop, outcome) for drop, outcome in zip(drops, outcomes, strict=True)]
        for trouble in filter(None, troubles):
            self._due = self._clock()  # what could not be taken in is no longer among the settled
            raise trouble

    def _ingested(self, drop: Drop) -> Ingested | NstdError:
        try:
            return self._ingest.ingest(drop, self._config.presets, self._now())
        except NstdError as error:
            return error

    def _conclude(self, drop: Drop, outcome: Ingested | NstdError) -> NstdError | None:
        """Note what became of a drop; return the trouble that concerns more than this one."""
        path = drop.identity.path
        match outcome:
            case ConfigError():
                self._block(path, outcome)
            case DropError():
                self._drops.strike(path, outcome)
                self._look_within(self._drops.seconds_left(path))
                self._block(path, outcome)
            case Ingested():
                self._blocked.pop(path, None)
                self._drops.clear(path)
                return self._note(drop, outcome)
            case _:
                return outcome
        return None

    def _block(self, path: str, error: NstdError) -> None:
        notice = Notice(path=path, reason=str(error))
        if self._blocked.get(path) != notice:
            _log.error("drop_blocked", path=path, reason=str(error))
        self._blocked[path] = notice

    def _note(self, drop: Drop, ingested: Ingested) -> SpoolError | None:
        path = drop.identity.path
        self._open.pop(path, None)
        if ingested.still_open:
            self._open[path] = Notice(path=path, reason=_STILL_OPEN)
        if not ingested.jobs:
            self._settler.restart(drop)
            self._look_within(max(self._config.spool.settle_seconds, _BETWEEN_LOOKS_SECONDS))
        for job in ingested.jobs:
            self._tell(job, ingested.refusal)
        if isinstance(ingested.trouble, DropError):
            self._jobs.strike(ingested.jobs[0].id, ingested.trouble, about(ingested.jobs[0]))
            return None
        return ingested.trouble

    def _tell(self, job: Job, refusal: str) -> None:
        path = job.drop.path
        if refusal:
            self.refused += 1
            self._metrics.job_ended(job.preset_name, Fate.FAILED)
            _log.error("job_refused", **names(job), path=path, reason=refusal)
        else:
            _log.info("job_queued", **names(job), path=path)
