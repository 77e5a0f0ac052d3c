"""What the daemon counts and measures, for Prometheus.

Names follow https://prometheus.io/docs/practices/naming/. No label ever holds a file's name: whoever drops photos must
not decide how many series there are.
"""

import contextlib
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, disable_created_metrics

from nstd import __version__
from nstd.daemon.status import CurrentJob, DaemonStatus, WorkerState
from nstd.daemon.survey import Jobs
from nstd.job import Job, Painting

_DURATIONS: Final = (5, 10, 20, 30, 60, 120, 300, 600, 1200, 3600, 7200)

# Else each counter would come with another series that says when it began.
disable_created_metrics()  # type: ignore[no-untyped-call]


class Fate(StrEnum):
    """How a job came to its end."""

    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Metrics:
    """Count and measure.

    Args:
        clock: seconds that never run backwards.
        now: the wall clock.

    Attributes:
        registry: of all metrics.
    """

    def __init__(
        self, *, clock: Callable[[], float] = time.monotonic, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._clock = clock
        self._now = now
        self._waiting_since: datetime | None = None
        self._first_steps: dict[str, tuple[int, float]] = {}
        self._paces: dict[str, float] = {}
        self.registry = CollectorRegistry()
        self._jobs = self._counter("jobs", "Jobs that came to their end.", "preset", "outcome")
        self._duration = Histogram(
            "nstd_job_duration_seconds",
            "Time from decoding a photo to its encoded picture.",
            ["preset"],
            buckets=_DURATIONS,
            registry=self.registry,
        )
        self._queue = self._gauge("queue_jobs", "Jobs by their state.", "state")
        wait = self._gauge(
            "queue_oldest_waiting_age_seconds", "How long a job has been waiting, at most; 0 if none waits."
        )
        wait.set_function(self._longest_wait)
        self._steps = self._counter("steps", "Evaluations of loss and gradient.", "preset")
        self._pace = self._gauge("steps_per_second", "Evaluations a second of all running jobs; 0 without one.")
        self._memory = self._gauge(
            "device_memory_bytes", "Memory in use: by a GPU's tensors, or by the worker without a GPU.", "device"
        )
        self._last_success = self._gauge(
            "last_success_timestamp_seconds", "When the last picture was published; 0 if none is known."
        )
        self._worker = self._gauge("worker_resident", "Workers that run.")
        self._worker_starts = self._counter("worker_starts", "Workers that were started.")
        self._config = self._gauge("config_valid", "1 while the config file that lies there is in force.")
        self._troubles = self._gauge("troubles", "Parts of the daemon that pause because something is wrong.")
        self._deferred = self._gauge("deferred_jobs", "Jobs that wait for trouble of the machine to pass.")
        Info("nstd_build", "What runs here.", registry=self.registry).info({"version": __version__})

    def expect(self, presets: Iterable[str]) -> None:
        """Begin each preset's counts at 0, so that the first job already is a change."""
        for preset in presets:
            for fate in Fate:
                self._jobs.labels(preset, fate.value)
            self._duration.labels(preset)
            self._steps.labels(preset)

    def job_ended(self, preset: str, fate: Fate) -> None:
        """Count a job that came to its end; no preset is known of one whose record is damaged."""
        self._jobs.labels(preset, fate.value).inc()
        if fate is Fate.DONE:
            self._last_success.set(self._now().timestamp())

    def job_painted(self, job: Job, painting: Painting) -> None:
        """Measure how long a picture took, what went before an interruption included."""
        seconds = painting.seconds
        duration = seconds.decode + seconds.style_targets + seconds.optimise + seconds.encode
        self._duration.labels(job.preset_name).observe(duration)

    def succeeded_before(self, at: str) -> None:
        """Remember when an earlier daemon published its last picture, ISO 8601."""
        self._last_success.set(datetime.fromisoformat(at).timestamp())

    def worker_started(self) -> None:
        """Count a new worker."""
        self._worker_starts.inc()

    def worker_ended(self, place: str) -> None:
        """Forget what a worker held there."""
        with contextlib.suppress(KeyError):
            self._memory.remove(place)

    def stepped(self, job: CurrentJob, evaluations: int, place: str, memory_bytes: int) -> None:
        """Count evaluations.

        Args:
            job: after them.
            evaluations: since the last time.
            place: where they were done.
            memory_bytes: that the worker holds there.
        """
        now = self._clock()
        first, began = self._first_steps.setdefault(job.id, (job.step, now))
        if job.step < first:  # another attempt has begun meanwhile
            first, began = self._first_steps[job.id] = job.step, now
        self._steps.labels(job.preset).inc(evaluations)
        self._memory.labels(place).set(memory_bytes)
        if now > began:
            self._paces[job.id] = (job.step - first) / (now - began)

    def show(self, status: DaemonStatus, jobs: Jobs) -> None:
        """Take over what the daemon tells about itself."""
        for state, count in jobs.counts:
            self._queue.labels(state).set(count)
        self._waiting_since = jobs.waiting_since
        self._worker.set(sum(worker.state is not WorkerState.WAITING for worker in status.workers))
        self._config.set(status.config_error is None)
        self._troubles.set(len(status.troubles))
        self._deferred.set(len(status.deferred))
        running = {job.id for job in status.jobs}
        for known in (self._first_steps, self._paces):
            for job_id in known.keys() - running:
                del known[job_id]
        self._pace.set(sum(self._paces.values()))

    def _longest_wait(self) -> float:
        since = self._waiting_since  # whoever reads the metrics does so in another thread
        return max(0.0, (self._now() - since).total_seconds()) if since else 0.0

    def _counter(self, name: str, about: str, *labels: str) -> Counter:
        return Counter(f"nstd_{name}", about, labels, registry=self.registry)

    def _gauge(self, name: str, about: str, *labels: str) -> Gauge:
        return Gauge(f"nstd_{name}", about, labels, registry=self.registry)
