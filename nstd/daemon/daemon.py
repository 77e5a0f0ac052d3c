"""The daemon: its main loop, and how it starts, waits and stops."""

import contextlib
import os
import selectors
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import structlog

from nstd.cluster.process import Cluster
from nstd.config.settings import Config
from nstd.daemon.easel import StartWorker
from nstd.daemon.exposition import Exposition
from nstd.daemon.housekeeper import Housekeeper
from nstd.daemon.intake import Intake
from nstd.daemon.live_config import LiveConfig
from nstd.daemon.mender import Mender
from nstd.daemon.metrics import Metrics
from nstd.daemon.outcomes import Outcomes
from nstd.daemon.pool import JoinCluster, Pool
from nstd.daemon.report import Reporter, sentence
from nstd.daemon.service_manager import ServiceManager
from nstd.daemon.status import DaemonStatus, State, read_daemon_status
from nstd.daemon.survey import Survey
from nstd.daemon.trouble import FIRST_PAUSE_SECONDS, Delays, Part
from nstd.daemon.wake import Wake
from nstd.daemon.watch import FolderWatch, FolderWatches
from nstd.spool.durable import trouble
from nstd.spool.folders import Folders
from nstd.spool.jobs import DamagedJobError, JobFolder, timestamp
from nstd.spool.lock import spool_lock
from nstd.spool.mounts import Mounts
from nstd.spool.names import to_text
from nstd.spool.queue import Queue
from nstd.weights.store import find_weights
from nstd.worker.process import WorkerProcess

_FAREWELL_SECONDS: Final = 10.0
_LONGEST_SLEEP_SECONDS: Final = 3600.0

_log = structlog.get_logger()


class Daemon:
    """Watch the inbox, keep the queue, give jobs to the workers, publish what they paint.

    Args:
        live: the config.
        cache: the folder of the network's weights.
        once: end when inbox and queue are empty, and at the first trouble of the machine.
        on_status: called with the status when it has changed, about once a second while a picture is painted.
        clock: seconds that never run backwards.
        now: the wall clock.
        first_pause_seconds: between the first two tries, when the machine is in trouble.
        start_worker: makes a worker of this machine.
        join_cluster: makes the connection to a cluster.
    """

    def __init__(
        self,
        live: LiveConfig,
        cache: Path,
        *,
        once: bool = False,
        on_status: Callable[[DaemonStatus], object] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        first_pause_seconds: float = FIRST_PAUSE_SECONDS,
        start_worker: StartWorker = WorkerProcess,
        join_cluster: JoinCluster = Cluster,
    ) -> None:
        config = live.config
        self._live = live
        self._cache = cache
        self._once = once
        self._clock = clock
        self._now = now
        self._folders = Folders.of(config.spool)
        self._mounts = Mounts(self._folders.roots)
        self._queue = Queue(self._folders)
        self._parts, self._jobs = (
            Delays(clock, now, strict=once, first_pause_seconds=first_pause_seconds) for _ in range(2)
        )
        self._tellings = Delays(clock, now, first_pause_seconds=first_pause_seconds)
        self._metrics = Metrics(clock=clock, now=now)
        self._metrics.expect(config.presets)
        self._exposition = Exposition(config.metrics, self._metrics.registry, clock)
        self._outcomes = Outcomes(
            self._folders, self._mounts, self._jobs, self._metrics, max_attempts=config.worker.max_attempts, now=now
        )
        self._mender = Mender(self._folders, self._mounts, self._jobs, self._outcomes, config, now=now)
        self._pool = Pool(
            config,
            cache,
            folders=self._folders,
            outcomes=self._outcomes,
            metrics=self._metrics,
            delays=self._parts,
            clock=clock,
            start=start_worker,
            join=join_cluster,
        )
        self._intake = Intake(self._folders, config, self._jobs, self._metrics, now=now, clock=clock)
        self._housekeeper = Housekeeper(self._folders, config.spool, now=now)
        self._survey = Survey(self._queue, clock)
        self._reporter = Reporter(self._folders, self._mounts, on_status, clock)
        self._manager = ServiceManager({"watch": self._is_watching, "worker": self._pool.is_well})
        self._mend_due = clock() + config.spool.rescan_seconds
        self._is_asked = threading.Event()
        self._stop_by: float | None = None
        self._stop_signals = 0
        self._started_at = timestamp(now())

    def run(self) -> bool:
        """Work until a signal to stop, or until all is done if that was asked for.

        Returns:
            Whether every job of this run became a picture, and no drop waits for somebody to act.

        Raises:
            SpoolLockedError: another daemon works on this spool.
            SpoolError: the spool cannot be used at all; with `once`, also any later trouble.
            ConfigError: the network's weights are missing; with `once`, also if they are damaged, or if there is no
                such device.
        """
        config = self._live.config
        find_weights(config.engine.network, self._cache)
        self._folders.create(config.presets)
        with spool_lock(self._folders.lock), Wake.by_signals() as wake, self._farewell():
            self._recall()
            self._report(State.STARTING)
            with self._watching(wake):
                self._mender.recover()
                self._manager.ready()
                _log.info("daemon_started", inbox=to_text(config.spool.inbox), pid=os.getpid())
                while not self._is_done():
                    self._work()
                    self._report(self._state())
                    self._wait(wake)
                    self._pool.read()
                    self._manager.beat()
        return self._outcomes.failed + self._intake.refused + self._intake.blocked == 0

    def _recall(self) -> None:
        with contextlib.suppress(OSError):
            if last := read_daemon_status(self._folders):
                self._outcomes.recall(last.results)

    @contextlib.contextmanager
    def _watching(self, wake: Wake) -> Iterator[None]:
        mode = self._live.config.spool.watch
        with (
            FolderWatch(self._folders.inbox, wake.hint, mode=mode) as self._inbox_watch,
            FolderWatch(
                self._folders.hint.parent, lambda: self._ask(wake), mode=mode, recursive=False
            ) as self._queue_watch,
            FolderWatches(lambda: self._live.folders, wake.hint) as self._config_watch,
        ):
            yield

    def _is_watching(self) -> bool:
        return self._inbox_watch.is_alive()

    def _ask(self, wake: Wake) -> None:
        """Have the main loop look at the queue: somebody has a wish, or has put something back."""
        self._is_asked.set()
        wake.hint()

    def _work(self) -> None:
        """Do all that can be done without waiting; what is in trouble pauses, and the rest goes on."""
        if self._stop_by is not None:
            return
        if config := self._live.advance():
            self._use(config)
        self._pool.interrupt(wished_only=True)
        self._mend()
        self._parts.attempt(Part.INBOX, self._take_in)
        if not self._parts.seconds_left(Part.PAINTING):
            with self._parts.guarding(Part.PAINTING):
                self._paint_next()
        self._pool.release_idle()
        self._housekeeper.advance()
        self._mend_due = min(self._mend_due, self._clock() + self._seconds_of_trouble())

    def _use(self, config: Config) -> None:
        """Go by new settings: for photos that come in from now on, and for the next job's worker."""
        self._mender.config = config
        self._intake.use(config)
        self._outcomes.max_attempts = config.worker.max_attempts
        self._pool.use(config)
        self._metrics.expect(config.presets)
        self._exposition.use(config.metrics)
        self._housekeeper.use(config.spool)
        self._mend_due = self._clock()

    def _mend(self) -> None:
        """Look now and then, and after trouble, for what is half done and for watches that have gone blind."""
        self._outcomes.again()
        if self._clock() < self._mend_due and not self._is_asked.is_set():
            return
        self._is_asked.clear()
        self._mend_due = self._clock() + self._live.config.spool.rescan_seconds
        self._parts.attempt(Part.QUEUE, lambda: self._mender.mend(self._pool.claimed))
        self._inbox_watch.renew()
        self._config_watch.renew()
        self._queue_watch.renew()
        self._live.hint()

    def _take_in(self) -> None:
        self._mounts.check(self._folders.inbox, self._folders.originals, self._folders.state)
        self._intake.advance()

    def _paint_next(self) -> None:
        """Claim the oldest jobs, as many as there are workers for."""
        while self._pool.has_room():
            folder = self._queue.next(self._jobs.pending)
            if folder is None:
                self._pool.rest()
                return
            spare_memory = self._spares_memory(folder)
            easel = self._pool.free(spare_memory=spare_memory)
            if easel is None and self._needs_worker(folder):
                workers = 1 if spare_memory else max(1, self._survey.jobs().counts.waiting)
                self._pool.prepare(workers, spare_memory=spare_memory)
                return
            try:
                claimed = self._queue.claim(self._now(), self._jobs.pending)
            except DamagedJobError as error:
                self._outcomes.damaged(str(error))
                continue
            if claimed is None or self._outcomes.is_spent(claimed):
                continue
            if easel is None:  # somebody has held or cancelled the job that needed no worker
                self._outcomes.interrupted(claimed)
                return
            easel.paint(claimed)

    def _spares_memory(self, folder: JobFolder) -> bool:
        with trouble("read the queue"), contextlib.suppress(DamagedJobError):
            return folder.read().spares_memory
        return False

    def _needs_worker(self, folder: JobFolder) -> bool:
        with trouble("read the queue"):
            try:
                return folder.read().attempts_that_count < self._outcomes.max_attempts
            except DamagedJobError:
                return False

    def _is_done(self) -> bool:
        if self._pool.claimed:
            return self._stop_by is not None and self._clock() >= self._stop_by
        if self._stop_by is not None:
            return True
        return self._once and self._is_drained()

    def _is_drained(self) -> bool:
        counts = self._queue.counts()
        return counts.waiting + counts.arriving + counts.running == 0 and self._intake.is_drained()

    def _wait(self, wake: Wake) -> None:
        """Sleep until a signal, a hint, a word from a worker, or the next thing that is due."""
        # The default one needs a descriptor of its own, and there may be none left.
        with selectors.PollSelector() as selector:
            selector.register(wake, selectors.EVENT_READ)
            for outlet in self._pool.outlets:
                selector.register(outlet, selectors.EVENT_READ)
            selector.select(min(self._seconds_to_next(), _LONGEST_SLEEP_SECONDS))
        woken = wake.read()
        if woken.hinted:
            self._intake.hint()
            self._live.hint()
        if woken.reload:
            self._manager.reloading()
            self._live.reload()
        if woken.stops and self._stop_by is None:
            self._stop()
            self._stop_signals = woken.stops
        elif woken.stops > self._stop_signals and self._stop_by is not None:
            self._stop_by = self._clock()

    def _stop(self) -> None:
        """Let the running jobs come to their next step and write checkpoints; a later signal is not as patient."""
        seconds = self._pool.seconds_to_stop()
        self._stop_by = self._clock() + seconds
        self._pool.interrupt()
        self._manager.stopping(seconds + _FAREWELL_SECONDS)
        _log.info("stopping", jobs=sorted(self._pool.claimed), seconds_at_most=round(seconds))

    def _seconds_to_next(self) -> float:
        if self._stop_by is not None:
            return max(0.0, self._stop_by - self._clock())
        return min(
            self._parts.seconds_left(Part.INBOX) or self._intake.seconds_to_next(),
            self._housekeeper.seconds_to_next(),
            self._seconds_of_trouble(),
            self._pool.seconds_to_next(),
            self._tellings.seconds_left(Part.METRICS) or self._exposition.seconds_to_next(),
            self._survey.seconds_to_next(),
            self._manager.seconds_to_beat(),
            self._live.seconds_to_next(),
            max(0.0, self._mend_due - self._clock()),
        )

    def _seconds_of_trouble(self) -> float:
        return min(self._parts.seconds_to_next(), self._jobs.seconds_to_next())

    def _state(self) -> State:
        if self._stop_by is not None:
            return State.STOPPING
        return State.PAINTING if self._pool.claimed else State.IDLE

    def _report(self, state: State) -> None:
        status = DaemonStatus(
            state=state,
            started_at=self._started_at,
            config_error=self._live.error,
            troubles=(*self._parts.lasting, *self._tellings.lasting),
            deferred=self._jobs.told,
            jobs=self._pool.jobs,
            workers=self._pool.workers,
            ignored=self._intake.notices,
            results=tuple(self._outcomes.results),
        )
        jobs = self._survey.jobs()
        self._manager.say(sentence(status, jobs.counts))
        if not self._live.is_reloading:
            self._manager.reloaded()
        self._metrics.show(status, jobs)
        self._tellings.attempt(Part.METRICS, self._exposition.publish)
        self._parts.attempt(Part.STATUS, lambda: self._reporter.report(status))

    @contextlib.contextmanager
    def _farewell(self) -> Iterator[None]:
        """Whatever ends the loop: end the workers, give their jobs back, and leave a last status."""
        try:
            yield
        finally:
            try:
                self._pool.close()
                self._outcomes.again(at_once=True)
            finally:
                try:
                    self._report(State.STOPPED)
                finally:
                    self._exposition.close()
                    _log.info("daemon_stopped")
