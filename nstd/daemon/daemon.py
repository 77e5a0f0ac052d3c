"""The daemon: its main loop, and how it starts, waits and stops."""

import contextlib
import os
import selectors
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import structlog

from nstd.config.settings import Config
from nstd.daemon.easel import Easel
from nstd.daemon.intake import Intake
from nstd.daemon.outcomes import Outcomes
from nstd.daemon.report import Reporter
from nstd.daemon.status import DaemonStatus, State
from nstd.daemon.trouble import Trouble
from nstd.daemon.wake import Wake
from nstd.daemon.watch import watching
from nstd.errors import SpoolError
from nstd.spool.folders import Folders
from nstd.spool.jobs import DamagedJobError, timestamp
from nstd.spool.lock import spool_lock
from nstd.spool.queue import Queue
from nstd.spool.recover import Repairs, recover, resume
from nstd.weights.store import find_weights
from nstd.worker.messages import Setup

_STOP_SECONDS: Final = 10.0
_LONGEST_SLEEP_SECONDS: Final = 3600.0

_log = structlog.get_logger()


class Daemon:
    """Watch the inbox, keep the queue, give jobs to the worker, publish what it paints.

    Args:
        config: valid settings.
        cache: the folder of the network's weights.
        once: end when inbox and queue are empty.
        on_status: called with the status when it has changed, about once a second while a picture is painted.
        clock: seconds that never run backwards.
        now: the wall clock.
    """

    def __init__(
        self,
        config: Config,
        cache: Path,
        *,
        once: bool = False,
        on_status: Callable[[DaemonStatus], object] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._config = config
        self._once = once
        self._clock = clock
        self._now = now
        self._cache = cache
        self._folders = Folders.of(config.spool)
        self._queue = Queue(self._folders)
        self._outcomes = Outcomes(self._folders, max_attempts=config.worker.max_attempts, now=now)
        setup = Setup(engine=config.engine, limits=config.limits, cache=cache)
        self._easel = Easel(setup, self._outcomes, clock)
        self._intake = Intake(self._folders, config, now=now, clock=clock)
        self._trouble = Trouble(clock)
        self._stop_by: float | None = None
        self._reporter = Reporter(self._folders, on_status, clock)
        self._started_at = timestamp(now())

    def run(self) -> bool:
        """Work until a signal to stop, or until all is done if that was asked for.

        Returns:
            Whether every job of this run became a picture, and no drop waits for its style image.

        Raises:
            SpoolLockedError: another daemon works on this spool.
            SpoolError: the spool cannot be used at all; with `once`, also any later trouble.
            ConfigError: the network's weights are missing or damaged, or there is no such device.
        """
        find_weights(self._config.engine.network, self._cache)
        self._folders.create(self._config.presets)
        with spool_lock(self._folders.lock), Wake.by_signals() as wake, self._farewell():
            self._report(State.STARTING)
            with watching(self._folders.inbox, wake.hint):
                self._recover()
                _log.info("daemon_started", inbox=str(self._config.spool.inbox), pid=os.getpid())
                while not self._is_done():
                    self._guard(self._work)
                    self._report(self._state())
                    self._wait(wake)
                    self._guard(self._easel.read)
        return self._outcomes.failed + self._intake.refused + self._intake.blocked == 0

    def _work(self) -> None:
        """Do all that can be done without waiting."""
        if self._stop_by is not None or self._trouble.seconds_left():
            return
        if self._trouble.reason:
            self._repair()
        self._intake.advance()
        self._start_next_job()
        if self._trouble.reason:
            self._trouble.clear()

    def _start_next_job(self) -> None:
        while self._easel.claimed is None:
            try:
                claimed = self._queue.claim(self._now())
            except DamagedJobError as error:
                self._outcomes.failed += 1
                _log.error("job_damaged", reason=str(error))
                continue
            if claimed is None:
                return
            if not self._outcomes.is_spent(claimed):
                self._easel.paint(claimed)

    def _is_done(self) -> bool:
        if self._easel.claimed:
            return self._stop_by is not None and self._clock() >= self._stop_by
        if self._stop_by is not None:
            return True
        return self._once and not self._trouble.reason and self._is_drained()

    def _is_drained(self) -> bool:
        counts = self._queue.counts()
        return counts.waiting + counts.held + counts.running == 0 and self._intake.is_drained()

    def _wait(self, wake: Wake) -> None:
        """Sleep until a signal, a hint, a word from the worker, or the next thing that is due."""
        with selectors.DefaultSelector() as selector:
            selector.register(wake, selectors.EVENT_READ)
            if worker := self._easel.worker:
                selector.register(worker.events, selectors.EVENT_READ)
                selector.register(worker.chatter, selectors.EVENT_READ)
            selector.select(min(self._seconds_to_next(), _LONGEST_SLEEP_SECONDS))
        hinted, stopped = wake.read()
        if hinted:
            self._intake.hint()
        if stopped and self._stop_by is None:
            _log.info("stopping", job=self._easel.claimed and self._easel.claimed.job.id)
            self._stop_by = self._clock() + _STOP_SECONDS
            self._easel.interrupt()

    def _seconds_to_next(self) -> float:
        if self._stop_by is not None:
            return max(0.0, self._stop_by - self._clock())
        return self._trouble.seconds_left() or self._intake.seconds_to_next()

    def _guard(self, work: Callable[[], None]) -> None:
        """Let the machine's trouble pause the work instead of ending it."""
        try:
            work()
        except SpoolError as error:
            if self._once:
                raise
            self._trouble.strike(error)

    def _recover(self) -> None:
        keep = self._config.spool.keep_originals
        repairs = recover(self._folders, keep_originals=keep, now=self._now())
        self._guard(lambda: self._log_repairs(repairs))

    def _repair(self) -> None:
        """Finish what trouble stopped half-way; raises SpoolError if it still does."""
        claimed = {self._easel.claimed.job.id} if self._easel.claimed else set()
        keep = self._config.spool.keep_originals
        self._folders.create(self._config.presets)
        self._log_repairs(resume(self._folders, keep_originals=keep, now=self._now(), claimed=claimed))

    def _log_repairs(self, repairs: Repairs) -> None:
        for one in repairs.done:
            _log.warning("repaired", what=one.repair.value, subject=one.subject, detail=one.detail or None)
        for error in repairs.troubles.values():
            raise error

    def _state(self) -> State:
        if self._stop_by is not None:
            return State.STOPPING
        return State.PAINTING if self._easel.claimed else State.IDLE

    def _report(self, state: State) -> None:
        status = DaemonStatus(
            state=state,
            started_at=self._started_at,
            trouble=self._trouble.reason,
            job=self._easel.current,
            ignored=self._intake.notices,
            results=tuple(self._outcomes.results),
        )
        self._guard(lambda: self._reporter.report(status))

    @contextlib.contextmanager
    def _farewell(self) -> Iterator[None]:
        """Whatever ends the loop: end the worker, give its job back, and leave a last status."""
        try:
            yield
        finally:
            try:
                self._easel.close()
            finally:
                self._report(State.STOPPED)
                _log.info("daemon_stopped")
