"""The daemon's worker, with notes of when its jobs began, came a step on, and ended."""

import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ingest import cpu_seconds
from soaking.memory import rss_mib

from nstd.history import LevelLog
from nstd.job import Painting
from nstd.worker.messages import Done, Event, Request, Setup, Stepped
from nstd.worker.process import WorkerProcess

from .steps import Steps


class Row(NamedTuple):
    """One job, or a summary of some.

    Attributes:
        queue: `one size` or `many sizes`.
        job: its number; or `first`, `median` and `worst` of the others.
        overhead: seconds outside the optimisation loop, the sum of the next six.
        loop: seconds in it.
        step: seconds of one warm step at full size.
        processor: seconds of the worker's processor time outside the loop, of all its threads together.
        worker_mib: resident memory of the worker after the job.
    """

    queue: str
    job: str
    overhead: float
    daemon: float
    decode: float
    style_targets: float
    first_steps: float
    encode: float
    cleanup: float
    loop: float
    step: float
    processor: float
    worker_mib: float


class TimedJob:
    """A job of the worker's, and when what happened, by the clock and by the worker's processor time."""

    painting: Painting
    worker_mib: float

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.began, cpu = self._now()
        self.ended = self.began
        self._steps, self._cpu_steps = Steps(self.began), Steps(cpu)
        self._cpu_began = self._cpu_ended = cpu

    def note(self, event: Event) -> None:
        """Note what the worker says."""
        now, cpu = self._now()
        if isinstance(event, Stepped):
            self._steps.add(event.level, now)
            self._cpu_steps.add(event.level, cpu)
        elif isinstance(event, Done):
            self.ended, self._cpu_ended = now, cpu
            self.painting, self.worker_mib = event.painting, rss_mib(self._pid)
            for steps in (self._steps, self._cpu_steps):
                steps.matches = [_matches(number, level) for number, level in enumerate(event.painting.levels)]

    def row(self, queue: str, number: int, ended_before: float) -> Row:
        """Tell where the time went since the job before had ended."""
        phases, steps = self.painting.seconds, self._steps
        parts = {
            "daemon": self.began - ended_before,
            "decode": phases.decode,
            "style_targets": phases.style_targets,
            "first_steps": steps.extra_seconds - phases.decode - phases.style_targets,
            "encode": phases.encode,
            "cleanup": self.ended - steps.ended - phases.encode,
        }
        return Row(
            queue,
            str(number + 1),
            sum(parts.values()),
            **parts,
            loop=steps.loop_seconds,
            step=steps.warm_seconds,
            processor=self._cpu_ended - self._cpu_began - self._cpu_steps.loop_seconds,
            worker_mib=self.worker_mib,
        )

    def _now(self) -> tuple[float, float]:
        return time.monotonic(), cpu_seconds(self._pid)


def _matches(number: int, level: LevelLog) -> Sequence[int]:
    """Return the steps before which nearest neighbours were looked for: all rounds begin so, but the very first."""
    has_them = any(row.startswith("nearest.") for row in level.history[0].terms)
    return level.rounds[number == 0 :] if has_them else ()


class TimedWorker(WorkerProcess):
    """The worker; its jobs are noted in `jobs`."""

    def __init__(self, setup: Setup, jobs: list[TimedJob]) -> None:
        super().__init__(setup)
        self._jobs = jobs

    def request(self, request: Request) -> None:
        """Tell it to paint."""
        self._jobs.append(TimedJob(self.pid))
        super().request(request)

    def read_events(self) -> Iterator[Event]:
        """Yield the events that have come."""
        for event in super().read_events():
            if self._jobs:
                self._jobs[-1].note(event)
            yield event
