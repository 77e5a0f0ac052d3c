"""An easel of the daemon: a worker, and the job it has."""

import math
import time
from collections.abc import Callable
from typing import Final, NamedTuple

import structlog

from nstd.config.settings import WorkerSettings
from nstd.daemon.job_events import End, Note, conclude, request_for, take_note
from nstd.daemon.metrics import Metrics
from nstd.daemon.outcomes import Outcomes, names
from nstd.daemon.status import CurrentJob, WorkerState, WorkerStatus
from nstd.errors import ConfigError, EngineError, SpoolError
from nstd.memory import GIB
from nstd.spool.durable import trouble
from nstd.spool.folders import Folders
from nstd.spool.jobs import ClaimedJob
from nstd.worker.line import Worker
from nstd.worker.messages import (
    Blame,
    Checkpointed,
    Event,
    Failed,
    Fallen,
    Hindered,
    Noted,
    Ready,
    Resumed,
    Setup,
    StartedOver,
    Stepped,
    Waiting,
)
from nstd.worker.pace import Pace
from nstd.worker.patience import Patience

_MINUTE_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 5.0
# A checkpoint has some 270 bytes a pixel, and the disk may be as slow as 50 MB a second.
_WRITING_SECONDS_A_PIXEL: Final = 5e-6

_log = structlog.get_logger()

StartWorker = Callable[[Setup], Worker]


class Place(NamedTuple):
    """What the settings say of one worker, and how to start it.

    Attributes:
        name: by which a person knows it.
        subject: of the pause that its trouble begins.
        setup: to start it with.
        settings: how it runs jobs.
        start: makes it.
        most_bytes: of the machine's memory, with which it may go on to another job.
    """

    name: str
    subject: str
    setup: Setup
    settings: WorkerSettings
    start: StartWorker
    most_bytes: float = math.inf


class Easel:
    """Keep one worker warm, give it one job at a time, and hand what becomes of the job to `outcomes`.

    Args:
        place: what the settings say of its worker.
        folders: of the spool.
        outcomes: what to do with jobs that end.
        metrics: told of steps and workers.
        clock: seconds that never run backwards.

    Attributes:
        name: by which a person knows its worker.
        subject: of the pause that trouble of its worker begins.
        idle_since: by the clock.
        worker: None until it is needed, and after it has ended.
        is_ready: the worker has loaded the network.
        claimed: the job that the worker has.
        current: the same job, as far as it has come.
    """

    def __init__(
        self,
        place: Place,
        folders: Folders,
        outcomes: Outcomes,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folders = folders
        self._outcomes = outcomes
        self._metrics = metrics
        self._clock = clock
        self._pace = Pace(clock)
        self.worker: Worker | None = None
        self.is_ready = False
        self._place = ""
        self._device = ""
        self._waits_for = ""
        self._has_had_a_job = False
        self.idle_since = clock()
        self.claimed: ClaimedJob | None = None
        self.current: CurrentJob | None = None
        self._is_interrupted = False
        self._counted = 0
        self.use(place)
        self._starter = self._start
        self._patience = self._new_patience(0)

    def use(self, place: Place) -> None:
        """Go by these settings from the next job on."""
        self.name, self.subject, self._setup, self._settings, self._start, self._most_bytes = place

    @property
    def is_idle(self) -> bool:
        """Whether it has no job; there need not be a worker."""
        return self.claimed is None

    @property
    def status(self) -> WorkerStatus | None:
        """Tell how the worker is, if there is one."""
        if self.worker is None:
            return None
        states = {
            WorkerState.PAINTING: self.claimed is not None,
            WorkerState.IDLE: self.is_ready,
            WorkerState.WAITING: bool(self._waits_for),
        }
        state = next((state for state, holds in states.items() if holds), WorkerState.LOADING)
        reason = self._waits_for if state is WorkerState.WAITING else ""
        return WorkerStatus(name=self.name, place=self._place, state=state, reason=reason)

    def suits(self, *, spare_memory: bool) -> bool:
        """Tell whether there is a worker that was started to spare memory, or not to."""
        return self.worker is not None and self.worker.setup.spare_memory == spare_memory

    def prepare(self, *, spare_memory: bool = False) -> bool:
        """Have a worker with the network loaded; return whether it is there already.

        Args:
            spare_memory: for a job that lacked memory before.

        Raises:
            SpoolError: the machine has no room for another process.
        """
        setup = self._setup.model_copy(update={"spare_memory": spare_memory})
        if self.worker and (self.worker.setup, self._starter) != (setup, self._start) and not self.claimed:
            self.close()
        if self.worker is None:
            with trouble("start the worker"):
                self.worker, self._starter = self._start(setup), self._start
            self._has_had_a_job = False
            self._patience = self._new_patience(0)
            self._metrics.worker_started()
            _log.info("worker_started", worker=self.name, pid=self.worker.pid)
        return self.is_ready

    def paint(self, claimed: ClaimedJob) -> None:
        """Give the worker, which is ready, a job."""
        if self.worker is None:  # pragma: no cover  `prepare` comes first
            raise AssertionError("there is no worker")
        job = claimed.job
        self.claimed, self._pace, self._has_had_a_job = claimed, Pace(self._clock), True
        self.current = CurrentJob(id=job.id, photo=job.content.name, preset=job.preset_name, worker=self._place)
        self._is_interrupted = False
        self._counted = 0
        self._patience = self._new_patience(job.preset.size_px)
        self.worker.request(request_for(claimed, self._folders, self._settings))
        _log.info("job_started", **names(job), attempt=job.attempts, worker=self._place)

    def is_well(self) -> bool:
        """Tell whether the worker is not silent for longer than it may be, if anything is expected of it."""
        return not self._is_busy or self._patience.seconds_left() > 0

    def release_idle(self) -> None:
        """End a worker that has had nothing to do for long, so that others have the device."""
        if self._seconds_to_release() <= 0 and self.worker:
            _log.info(
                "worker_released",
                worker=self.name,
                pid=self.worker.pid,
                idle_minutes=self._settings.idle_release_minutes,
            )
            self.close()

    def interrupt(self) -> None:
        """Have the running job given back at its next step, with a checkpoint."""
        if self.worker and self.claimed and not self._is_interrupted:
            self._is_interrupted = True
            self.worker.stop()

    def seconds_to_stop(self) -> float:
        """Say how long an interrupted job may take: a step, no longer than those before, and the checkpoint."""
        pixels = self.claimed.job.preset.size_px**2 if self.claimed else 0
        return _STOP_SECONDS + 2 * self._patience.longest_seconds + _WRITING_SECONDS_A_PIXEL * pixels

    def seconds_to_next(self) -> float:
        """Say when a silent worker counts as hung, or an idle one is to end; infinite if neither will be."""
        return self._patience.seconds_left() if self._is_busy else max(0.0, self._seconds_to_release())

    def read(self) -> bool:
        """Act on all that the worker has said, and on its silence.

        Returns:
            Whether its job has come one step on, or to its end.

        Raises:
            ConfigError: the worker cannot work before the operator has acted.
            SpoolError: the machine is in trouble.
        """
        had_job = self.claimed is not None
        if worker := self.worker:
            for line in worker.read_chatter():
                _log.debug("worker_said", line=line)
            try:
                self._hear(worker)
            except EngineError as error:
                worker.kill()
                self._bury(worker, f"{error} and ", is_to_blame=True)
        return had_job and (self.current is None or self.current.step > 0)

    def close(self) -> None:
        """End the worker; a job that it still has is given back."""
        if worker := self._lose():
            worker.close(0 if self.claimed else 5)
        if claimed := self._release():
            self._outcomes.interrupted(claimed)

    @property
    def _is_busy(self) -> bool:
        return self.worker is not None and (self.claimed is not None or not self.is_ready)

    def _seconds_to_release(self) -> float:
        """Say when the worker has been idle for long enough; infinite if it is not, or may stay."""
        minutes = self._settings.idle_release_minutes
        if not minutes or self.worker is None or self._is_busy:
            return float("inf")
        return self.idle_since + minutes * _MINUTE_SECONDS - self._clock()

    def _hear(self, worker: Worker) -> None:
        """Raise EngineError if the worker has hung or lost its senses."""
        for event in worker.read_events():
            self._patience.heard()
            self._act_on(event)
        if self.worker is not worker:  # it was replaced at its last word
            return
        if worker.events.closed:
            self._bury(worker, "", is_to_blame=worker.falls_by_its_job)
        elif not self.is_well():
            msg = f"said nothing for {self._patience.seconds:.0f} s"
            raise EngineError(msg)

    def _act_on(self, event: Event) -> None:
        match event:
            case Waiting():
                self._waits_for = event.reason
            case Ready():
                self._welcome(event)
            case Fallen():
                self._fell(event)
            case Stepped():
                self._step(event)
            case Resumed() | StartedOver() | Checkpointed() | Hindered() | Noted():
                self._take_note(event)
            case Failed(blame=Blame.OPERATOR):
                self.close()
                raise ConfigError(event.message)
            case Failed() if not self.is_ready:
                self.close()
                msg = f"the worker cannot begin: {event.message}"
                raise SpoolError(msg)
            case _ if claimed := self._release():
                self._conclude(claimed, event)

    def _welcome(self, ready: Ready) -> None:
        self.is_ready, self.idle_since, self._waits_for = True, self._clock(), ""
        self._place = ready.place or ready.engine.device
        # Several workers may have the same place in a cluster.
        self._device = f"{ready.place} ({self.name})" if ready.place else self._place
        _log.info("worker_ready", worker=self.name, place=self._place, **ready.engine.model_dump(mode="json"))

    def _fell(self, fallen: Fallen) -> None:
        """Take leave of a worker in whose place another one is being started."""
        _log.warning("worker_ended", worker=self.name, place=self._place, how=fallen.how)
        self._forget()
        self._patience = self._new_patience(0)
        if claimed := self._release():
            if fallen.with_machine:
                self._outcomes.interrupted(claimed)
            else:
                self._outcomes.attempt_failed(claimed, f"the worker {fallen.how}")

    def _step(self, event: Stepped) -> None:
        if self.current:
            self.current = self.current.after(event, self._pace.seconds_left(event))
            before, self._counted = self._counted, event.number
            self._metrics.stepped(self.current, max(0, event.number - before), self._device, event.device_memory_bytes)

    def _take_note(self, event: Note) -> None:
        if self.claimed:
            self.claimed = take_note(self._outcomes, self.claimed, event)
        if isinstance(event, Resumed):
            self._counted = event.number

    def _conclude(self, claimed: ClaimedJob, event: End) -> None:
        worker_log = self._worker_log()
        if isinstance(event, Failed) and event.is_last:
            self._replace("its GPU cannot be relied upon after such an error")
        elif event.resident_bytes > self._most_bytes:
            held, most = event.resident_bytes / GIB, self._most_bytes / GIB
            self._replace(f"it holds {held:.1f} GiB of memory, and may hold {most:.1f} GiB")
        conclude(self._outcomes, claimed, event, worker_log)

    def _replace(self, reason: str) -> None:
        """End the worker, which has no job any more; another one is started for the next job."""
        _log.info("worker_replaced", worker=self.name, place=self._place, reason=reason)
        self.close()

    def _bury(self, worker: Worker, manner: str, *, is_to_blame: bool) -> None:
        """Clear up after a worker that has ended by itself, or was ended because it hung.

        Args:
            worker: that one.
            manner: what came before its end, to follow "the worker".
            is_to_blame: the job that it had, for its end.
        """
        worker.read_chatter()
        was_ready = self.is_ready
        worker_log, ending = self._worker_log(), f"{manner}{worker.close()}"
        self._lose()
        _log.warning("worker_ended", worker=self.name, pid=worker.pid, how=ending)
        claimed = self._release()
        if claimed and is_to_blame:
            self._outcomes.attempt_failed(claimed, f"the worker {ending}", worker_log=worker_log)
            return
        if claimed:
            self._outcomes.interrupted(claimed)
        elif self._has_had_a_job and is_to_blame:
            return
        doing = "" if claimed else " before its first job" if was_ready else " while it loaded the network"
        msg = f"the worker {ending}{doing}"
        raise SpoolError(msg)

    def _lose(self) -> Worker | None:
        worker, self.worker = self.worker, None
        self._forget()
        return worker

    def _forget(self) -> None:
        self._metrics.worker_ended(self._device)
        self.is_ready, self._place, self._device, self._waits_for = False, "", "", ""

    def _release(self) -> ClaimedJob | None:
        claimed, self.claimed, self.current = self.claimed, None, None
        self.idle_since = self._clock()
        return claimed

    def _new_patience(self, size_px: int) -> Patience:
        patience = Patience(self._settings.job_timeout_seconds, self._clock)
        patience.begin(size_px)
        return patience

    def _worker_log(self) -> tuple[str, ...]:
        return tuple(self.worker.last_lines) if self.worker else ()
