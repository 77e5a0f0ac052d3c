"""The daemon's pool of workers: one easel for each device of this machine, or some in a cluster."""

import contextlib
import math
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from nstd.cluster.process import Cluster
from nstd.config.settings import ClusterSettings, Config, RaySettings, Workers, WorkerSettings
from nstd.daemon.easel import Easel, Place, StartWorker
from nstd.daemon.metrics import Metrics
from nstd.daemon.outcomes import Outcomes
from nstd.daemon.status import CurrentJob, WorkerStatus
from nstd.daemon.trouble import Delays, Part
from nstd.errors import ConfigError, SpoolError
from nstd.memory import GIB, allowed_bytes, worker_bound_bytes
from nstd.spool.folders import Folders
from nstd.spool.jobs import Wish
from nstd.worker.line import LineReader
from nstd.worker.messages import Setup
from nstd.worker.process import WorkerProcess

_NEVER: Final = math.inf

JoinCluster = Callable[[ClusterSettings], Cluster]


class Pool:
    """Start workers as they are needed, and know which of them is free.

    Args:
        config: says where workers are, and how many.
        cache: the folder of the network's weights.
        folders: of the spool.
        outcomes: what to do with jobs that end.
        metrics: told of steps and workers.
        delays: of parts of the daemon; a worker's trouble pauses it alone if there are others on other devices.
        clock: seconds that never run backwards.
        start: makes a worker of this machine.
        join: makes the connection to a cluster.
    """

    def __init__(
        self,
        config: Config,
        cache: Path,
        *,
        folders: Folders,
        outcomes: Outcomes,
        metrics: Metrics,
        delays: Delays,
        clock: Callable[[], float] = time.monotonic,
        start: StartWorker = WorkerProcess,
        join: JoinCluster = Cluster,
    ) -> None:
        self._cache = cache
        self._folders = folders
        self._outcomes = outcomes
        self._metrics = metrics
        self._delays = delays
        self._clock = clock
        self._start = start
        self._join = join
        self._easels: dict[str, Easel] = {}
        self._surplus: list[Easel] = []
        self._clusters: list[Cluster] = []
        self.use(config)

    def use(self, config: Config) -> None:
        """Go by these settings from the next jobs on; a worker that they do not know ends after its job."""
        places = {place.name: place for place in self._places(config)}
        self._surplus += [self._easels.pop(name) for name in self._easels.keys() - places.keys()]
        for name, place in places.items():
            if name in self._easels:
                self._easels[name].use(place)
            else:
                self._easels[name] = Easel(place, self._folders, self._outcomes, self._metrics, self._clock)

    @property
    def claimed(self) -> set[str]:
        """Ids of the jobs that workers have."""
        return {easel.claimed.job.id for easel in self._all() if easel.claimed}

    @property
    def jobs(self) -> tuple[CurrentJob, ...]:
        """The same jobs as far as they have come, the oldest first."""
        return tuple(sorted((easel.current for easel in self._all() if easel.current), key=lambda job: job.id))

    @property
    def workers(self) -> tuple[WorkerStatus, ...]:
        """How each worker is."""
        return tuple(filter(None, (easel.status for easel in self._all())))

    @property
    def outlets(self) -> Iterator[LineReader]:
        """What to wait for; then call `read`."""
        for easel in self._all():
            if easel.worker:
                yield from easel.worker.outlets
        for cluster in self._clusters:
            yield from cluster.outlets

    def has_room(self) -> bool:
        """Tell whether another job could be painted, perhaps by a worker that is still to be started."""
        return any(True for _ in self._idle())

    def free(self, *, spare_memory: bool = False) -> Easel | None:
        """Return one whose worker can have a job at once: the one that had one last, so that the others may end.

        Args:
            spare_memory: the job lacked memory before.

        Raises:
            SpoolError: a worker cannot be started in place of another, only where delays are strict.
        """
        for easel in sorted(self._idle(), key=lambda easel: -easel.idle_since):
            with self._guarding(easel):
                suits = easel.is_ready and easel.suits(spare_memory=spare_memory)
                if suits and easel.prepare(spare_memory=spare_memory):
                    return easel
        return None

    def prepare(self, jobs: int, *, spare_memory: bool = False) -> None:
        """Have workers for so many jobs besides those that are being painted, as far as there may be so many.

        Args:
            jobs: how many.
            spare_memory: they lacked memory before.

        Raises:
            SpoolError: a worker cannot be started, only where delays are strict.
        """
        # Those that run already come first, and of them those that need not be started anew.
        idle = sorted(
            self._idle(), key=lambda easel: (easel.worker is None, not easel.suits(spare_memory=spare_memory))
        )
        for easel in idle[:jobs]:
            with self._guarding(easel):
                easel.prepare(spare_memory=spare_memory)

    def read(self) -> None:
        """Act on all that the workers have said, and on their silence.

        Raises:
            ConfigError: a worker cannot work before the operator has acted, only where delays are strict.
            SpoolError: the machine is in trouble, only where delays are strict.
        """
        for cluster in self._clusters:
            cluster.read()
        for easel in self._all():
            with self._guarding(easel):
                if easel.read():
                    self._delays.clear(easel.subject)

    def interrupt(self, *, wished_only: bool = False) -> None:
        """Have running jobs given back at their next step, with a checkpoint.

        Args:
            wished_only: only those that somebody has held or cancelled.
        """
        for easel in self._all():
            if easel.claimed and (not wished_only or easel.claimed.folder.has(*Wish)):
                easel.interrupt()

    def release_idle(self) -> None:
        """End workers that have had nothing to do for long, and those that the settings know no more."""
        for easel in self._easels.values():
            easel.release_idle()
        for easel in [easel for easel in self._surplus if easel.is_idle]:
            easel.close()
            self._delays.clear(easel.subject)
            self._surplus.remove(easel)
        self._clusters = [cluster for cluster in self._clusters if not cluster.has_ended()]

    def rest(self) -> None:
        """Forget the trouble of workers where nothing waits for them."""
        for subject in {Part.PAINTING, *(easel.subject for easel in self._all() if easel.is_idle)}:
            self._delays.clear(subject)

    def is_well(self) -> bool:
        """Tell whether no worker is silent for longer than it may be."""
        return all(easel.is_well() for easel in self._all())

    def seconds_to_stop(self) -> float:
        """Say how long interrupted jobs may take to stop."""
        return max(easel.seconds_to_stop() for easel in self._all())

    def seconds_to_next(self) -> float:
        """Say when a silent worker counts as hung, or an idle one is to end; infinite if none ever does."""
        return min((easel.seconds_to_next() for easel in self._all()), default=_NEVER)

    def close(self) -> None:
        """End all workers; jobs that they still have are given back."""
        for easel in self._all():
            easel.close()
        for cluster in self._clusters:
            cluster.close()

    def _all(self) -> Iterable[Easel]:
        return [*self._easels.values(), *self._surplus]

    def _idle(self) -> Iterator[Easel]:
        """Yield those that may have a job, as soon as there is a worker."""
        return (
            easel for easel in self._easels.values() if easel.is_idle and not self._delays.seconds_left(easel.subject)
        )

    @contextlib.contextmanager
    def _guarding(self, easel: Easel) -> Iterator[None]:
        """Let trouble begin the easel's pause; what comes while it lasts, from others that share it, is the same."""
        if self._delays.seconds_left(easel.subject):
            with contextlib.suppress(SpoolError, ConfigError):
                yield
        else:
            with self._delays.guarding(easel.subject):
                yield

    def _places(self, config: Config) -> Iterator[Place]:
        engine, settings = config.engine, config.worker
        setup = Setup(engine=engine, limits=config.limits, cache=self._cache)
        if engine.workers is Workers.RAY:
            yield from self._places_in_cluster(config.ray, setup, settings)
            return
        self._leave_clusters()
        devices = engine.devices or (engine.device,)
        most_bytes = settings.max_memory_gib * GIB or worker_bound_bytes(allowed_bytes() or math.inf, len(devices))
        for device in devices:
            subject = Part.PAINTING if len(devices) == 1 else f"{Part.PAINTING} on {device}"
            own = setup.model_copy(update={"engine": engine.model_copy(update={"device": device, "devices": ()})})
            yield Place(device, subject, own, settings, self._start, most_bytes)

    def _places_in_cluster(self, ray: RaySettings, setup: Setup, settings: WorkerSettings) -> Iterator[Place]:
        """They share their pause: what one meets with is mostly the cluster's trouble."""
        cluster = next((one for one in self._clusters if one.settings == ray.cluster and not one.is_left), None)
        if cluster is None:
            self._leave_clusters()
            cluster = self._join(ray.cluster)
            self._clusters.append(cluster)
        # How much the nodes have is not known here.
        most_bytes = settings.max_memory_gib * GIB or math.inf
        brief = settings.model_copy(update={"idle_release_minutes": ray.idle_minutes})
        for number in range(1, ray.most_workers + 1):
            stays = ray.workers is not None or number <= ray.min_workers
            yield Place(f"ray {number}", Part.PAINTING, setup, settings if stays else brief, cluster.start, most_bytes)

    def _leave_clusters(self) -> None:
        for cluster in self._clusters:
            cluster.leave()
