"""What a Ray cluster costs beside a worker of this machine, and how throughput grows with the number of actors.

Usage: cluster.py [--rounds N] [--size PX] [--jobs N] [--json]; as root, for the cluster's network is its own.
"""

import argparse
import dataclasses
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from clustering.cluster import ADDRESS, RayCluster

from nstd.cluster.process import Cluster
from nstd.config.settings import ClusterSettings, EngineSettings, Limits
from nstd.preset import Preset
from nstd.spool.durable import measure
from nstd.weights.store import cache_folder
from nstd.worker.line import Worker
from nstd.worker.messages import Done, Event, Failed, Fallen, Interim, Ready, Request, Setup, Source, StyleSource
from nstd.worker.process import WorkerProcess

ASSETS: Final = Path(__file__).resolve().parent.parent / "nstd" / "assets"
PHOTO: Final = ASSETS / "photos" / "chelsea.jpg"
STYLE: Final = ASSETS / "styles" / "swirls.jpg"
DRIVER: Final = (sys.executable, "-P", "-m", "nstd.cluster")
COUNTING_DAEMON: Final = (sys.executable, str(Path(__file__).with_name("clustering") / "daemon.py"))
ACTORS: Final = (1, 2, 4, 8)
STEPS, STEP_SECONDS = 30, 0.1
DEADLINE_SECONDS: Final = 600.0
CONFIG: Final = """
spool: {{settle_seconds: 0}}
engine: {{workers: ray}}
ray: {{address: '{address}', workers: {actors}}}
presets: {{counted: {{styles: ['{style}'], size_px: 512}}}}
"""


@dataclasses.dataclass(frozen=True)
class Overhead:
    """Seconds a job, from the request to `Done`: medians, and the median of the differences of each round."""

    size_px: int
    rounds: int
    checkpoint_mb: float
    local_seconds: float
    ray_seconds: float
    difference_seconds: float


@dataclasses.dataclass(frozen=True)
class Throughput:
    """Jobs a second of so many actors, and their share of as many times what one does."""

    actors: int
    jobs: int
    seconds: float
    jobs_per_second: float
    share: float


def overhead(cluster: RayCluster, folder: Path, size_px: int, rounds: int) -> Overhead:
    """Paint the same picture by both kinds of worker in turn, each with the checkpoint of its end."""
    setup = Setup(engine=EngineSettings(), limits=Limits(), cache=cache_folder(os.environ))
    remote = Cluster(ClusterSettings(address=ADDRESS), command=(*cluster.prefix, *DRIVER))
    workers: dict[str, Worker] = {"local": WorkerProcess(setup), "ray": remote.start(setup)}
    try:
        for worker in workers.values():
            wait_for(worker, Ready)
        seconds: dict[str, list[float]] = {name: [] for name in workers}
        for number in range(rounds + 1):
            for name, worker in workers.items():
                took = paint(worker, folder / name, size_px)
                if number:  # the first of each compiles
                    seconds[name].append(took)
    finally:
        for worker in workers.values():
            worker.close()
        remote.close()
    return Overhead(
        size_px=size_px,
        rounds=rounds,
        checkpoint_mb=(folder / "ray" / "checkpoint").stat().st_size / 1e6,
        local_seconds=statistics.median(seconds["local"]),
        ray_seconds=statistics.median(seconds["ray"]),
        difference_seconds=statistics.median(
            theirs - ours for ours, theirs in zip(seconds["local"], seconds["ray"], strict=True)
        ),
    )


def paint(worker: Worker, folder: Path, size_px: int) -> float:
    """Return the seconds that a picture of few steps takes."""
    folder.mkdir(exist_ok=True)
    (folder / "checkpoint").unlink(missing_ok=True)
    settings = {"styles": [STYLE], "size_px": size_px, "levels": [1], "iterations": 3, "tolerance": 0}
    request = Request(
        preset=Preset.model_validate(settings),
        content=Source(**facts(PHOTO)),
        styles=(StyleSource(**facts(STYLE), weight=1),),
        picture=folder / "picture.png",
        interim=Interim(
            checkpoint=folder / "checkpoint", checkpoint_seconds=3600, preview=folder / "preview.jpg", preview_seconds=0
        ),
    )
    began = time.perf_counter()
    worker.request(request)
    wait_for(worker, Done)
    return time.perf_counter() - began


def facts(path: Path) -> dict[str, object]:
    """Describe a file for a request."""
    found = measure(path)
    return {"name": path.name, "path": path, "bytes": found.bytes, "sha256": found.sha256}


def wait_for(worker: Worker, kind: type[Event]) -> None:
    """Wait until the worker says this."""
    until = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < until:
        for event in worker.read_events():
            if isinstance(event, Failed | Fallen):
                sys.exit(f"{event}")
            if isinstance(event, kind):
                return
        if worker.events.closed:
            sys.exit(f"the worker {worker.close()}")
        time.sleep(0.001)
    sys.exit("waited in vain")


def throughput(folder: Path, jobs: int) -> Iterator[Throughput]:
    """Have a daemon paint so many photos an actor, by actors that only count."""
    first = 0.0
    for actors in ACTORS:
        cluster = RayCluster(folder / f"r{actors}")
        try:
            cluster.start_head(cpus=actors, gpus=actors)
            seconds = counted(cluster, folder / str(actors), actors, jobs)
        finally:
            cluster.close()
        rate = jobs * actors / seconds
        first = first or rate
        yield Throughput(actors, jobs * actors, seconds, rate, rate / (actors * first))


def counted(cluster: RayCluster, folder: Path, actors: int, jobs: int) -> float:
    """Return the seconds from the moment when all actors are ready to the last picture."""
    (folder / "inbox" / "counted").mkdir(parents=True)
    config = folder / "config.yaml"
    config.write_text(CONFIG.format(address=ADDRESS, actors=actors, style=STYLE))
    drop(folder, actors, "steps 1 0", "warm")
    daemon = subprocess.Popen(
        (*cluster.prefix, *COUNTING_DAEMON, "run", "-c", str(config)), stdout=subprocess.PIPE, text=True
    )
    try:
        lines = (json.loads(line)["event"] for line in daemon.stdout or ())
        seen = {"worker_ready": 0, "job_finished": 0}
        await_events(lines, seen, worker_ready=actors, job_finished=actors)
        began = time.perf_counter()
        drop(folder, jobs * actors, f"steps {STEPS} {STEP_SECONDS}", "photo")
        await_events(lines, seen, job_finished=actors + jobs * actors)
        return time.perf_counter() - began
    finally:
        daemon.send_signal(signal.SIGTERM)
        daemon.communicate()


def drop(folder: Path, count: int, text: str, name: str) -> None:
    """Drop photos all at once."""
    for number in range(count):
        (folder / "inbox" / "counted" / f"{name}{number}.jpg").write_text(text)


def await_events(lines: Iterator[str], seen: dict[str, int], **wanted: int) -> None:
    """Read the daemon's log until it has told of all these."""
    while any(seen[event] < count for event, count in wanted.items()):
        event = next(lines)
        if event in seen:
            seen[event] += 1


def main() -> None:
    """Measure and print tables or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9, help="of each kind of worker")
    parser.add_argument("--size", type=int, default=512, help="long side of the picture in pixels")
    parser.add_argument("--jobs", type=int, default=6, help="of each actor that counts")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="n") as name:
        folder = Path(name)
        cluster = RayCluster(folder / "r", store_bytes=600_000_000)
        try:
            cluster.start_head()
            cost = overhead(cluster, folder, arguments.size, arguments.rounds)
        finally:
            cluster.close()
        growth = list(throughput(folder, arguments.jobs))
    if arguments.json:
        print(json.dumps({"overhead": dataclasses.asdict(cost), "throughput": [*map(dataclasses.asdict, growth)]}))
        return
    print(
        f"| size | checkpoint | local | ray | difference of a job |\n| --- | --- | --- | --- | --- |\n"
        f"| {cost.size_px} px | {cost.checkpoint_mb:.0f} MB | {cost.local_seconds:.2f} s | {cost.ray_seconds:.2f} s | "
        f"{cost.difference_seconds:+.2f} s |\n"
    )
    print("| actors | jobs | seconds | jobs a second | share of N times one |\n| --- | --- | --- | --- | --- |")
    for row in growth:
        print(f"| {row.actors} | {row.jobs} | {row.seconds:.1f} | {row.jobs_per_second:.2f} | {row.share:.0%} |")


if __name__ == "__main__":
    main()
