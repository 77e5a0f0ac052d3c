"""The daemon's easel: the worker, and the job it has."""

import time
from collections.abc import Callable

import structlog

from nstd.daemon.outcomes import Outcomes, names
from nstd.daemon.status import CurrentJob
from nstd.errors import ConfigError, SpoolError
from nstd.spool.durable import trouble
from nstd.spool.jobs import ClaimedJob
from nstd.worker.messages import (
    Blame,
    Done,
    Event,
    Failed,
    Interrupted,
    Ready,
    Request,
    Setup,
    Source,
    Stepped,
    StyleSource,
)
from nstd.worker.pace import Pace
from nstd.worker.process import WorkerProcess

_log = structlog.get_logger()


class Easel:
    """Keep one worker warm, give it one job at a time, and hand what becomes of the job to `outcomes`.

    Args:
        setup: for the worker.
        outcomes: what to do with jobs that end.
        clock: seconds, for the time left.

    Attributes:
        worker: None until the first job, and after the worker has ended.
        claimed: the job that the worker has.
        current: the same job, as far as it has come.
    """

    def __init__(self, setup: Setup, outcomes: Outcomes, clock: Callable[[], float] = time.monotonic) -> None:
        self._setup = setup
        self._outcomes = outcomes
        self._clock = clock
        self._pace = Pace(clock)
        self.worker: WorkerProcess | None = None
        self.claimed: ClaimedJob | None = None
        self.current: CurrentJob | None = None

    def paint(self, claimed: ClaimedJob) -> None:
        """Give the worker a job; start a worker if there is none.

        Raises:
            SpoolError: the machine has no room for another process; the job is back in the queue.
        """
        worker, job = self.worker or self._start(claimed), claimed.job
        self.claimed, self._pace = claimed, Pace(self._clock)
        self.current = CurrentJob(id=job.id, photo=job.content.name, preset=job.preset_name)
        worker.request(_request(claimed))
        _log.info("job_started", **names(job), attempt=job.attempts)

    def interrupt(self) -> None:
        """Have the running job given back at its next step."""
        if self.worker and self.claimed:
            self.worker.stop()

    def read(self) -> None:
        """Act on all that the worker has said.

        Raises:
            ConfigError: the worker cannot work before the operator has acted; its job is back in the queue.
            SpoolError: the machine is in trouble.
        """
        if worker := self.worker:
            for line in worker.read_chatter():
                _log.debug("worker_said", line=line)
            for event in worker.read_events():
                self._act_on(event)
            if worker.events.closed:
                self._bury(worker)

    def close(self) -> None:
        """End the worker; a job that it still has is given back."""
        worker, self.worker = self.worker, None
        if worker:
            worker.close(0 if self.claimed else 5)
        if claimed := self._release():
            self._outcomes.interrupted(claimed)

    def _start(self, claimed: ClaimedJob) -> WorkerProcess:
        try:
            with trouble("start the worker"):
                self.worker = WorkerProcess(self._setup)
        except SpoolError:
            self._outcomes.interrupted(claimed)
            raise
        _log.info("worker_started", pid=self.worker.pid)
        return self.worker

    def _act_on(self, event: Event) -> None:
        match event:
            case Ready():
                _log.info("worker_ready", **event.engine.model_dump(mode="json"))
            case Stepped():
                self.current = self.current and self.current.after(event, self._pace.seconds_left(event))
            case _ if claimed := self._release():
                self._conclude(claimed, event)

    def _conclude(self, claimed: ClaimedJob, event: Done | Interrupted | Failed) -> None:
        match event:
            case Done():
                self._outcomes.finished(claimed, event.painting, self._worker_log())
            case Interrupted():
                self._outcomes.interrupted(claimed)
            case Failed(blame=Blame.INPUT):
                self._outcomes.refused(claimed, event.message)
            case Failed(blame=Blame.ENGINE):
                self._outcomes.attempt_failed(
                    claimed, event.message, traceback=event.traceback, worker_log=self._worker_log()
                )
            case Failed():
                self._outcomes.interrupted(claimed)
                raise (ConfigError if event.blame is Blame.OPERATOR else SpoolError)(event.message)

    def _bury(self, worker: WorkerProcess) -> None:
        """Clear up after a worker that has ended by itself."""
        worker.read_chatter()
        worker_log, ending = self._worker_log(), worker.close()
        self.worker = None
        _log.warning("worker_ended", pid=worker.pid, how=ending)
        if claimed := self._release():
            self._outcomes.attempt_failed(claimed, f"the worker {ending}", worker_log=worker_log)

    def _release(self) -> ClaimedJob | None:
        claimed, self.claimed, self.current = self.claimed, None, None
        return claimed

    def _worker_log(self) -> tuple[str, ...]:
        return tuple(self.worker.last_lines) if self.worker else ()


def _request(claimed: ClaimedJob) -> Request:
    job = claimed.job
    return Request(
        preset=job.preset,
        content=Source(**dict(job.content), path=claimed.content),
        styles=tuple(
            StyleSource(**dict(style), path=path) for style, path in zip(job.styles, claimed.styles, strict=True)
        ),
        picture=claimed.picture,
    )
