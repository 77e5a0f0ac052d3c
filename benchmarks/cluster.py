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
from collections.abc import Iterator, Sequence
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
WORKER: Final = (sys.executable, "-P", "-m", "nstd.worker")
DRIVER: Final = (sys.executable, "-P", "-m", "nstd.cluster")
STANDINS: Final = Path(__file__).with_name("clustering")
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

    what: str
    rounds: int
    checkpoint_mb: float
    local_seconds: float
    ray_seconds: float
    difference_seconds: float


@dataclasses.dataclass(frozen=True)
class Throughput:
    """Jobs a second of so many actors, and their share of as many times what one does.

    `daemon` and `driver` are what these processes took of one core.
    """

    actors: int
    jobs: int
    seconds: float
    jobs_per_second: float
    share: float | None
    daemon: float
    driver: float


def overhead(cluster: RayCluster, folder: Path, size_px: int, rounds: int) -> Iterator[Overhead]:
    """Paint the same picture by both kinds of worker in turn, each with the checkpoint of its end."""
    photo = folder / "weigh.jpg"
    photo.write_bytes(b"weigh 160 " + bytes(5_000_000))
    local, driver = (sys.executable, str(STANDINS / "worker.py")), (sys.executable, str(STANDINS / "driver.py"))
    real = request_for(PHOTO, size_px)
    yield compared(
        f"{size_px} px", real, folder / "real", local=WORKER, driver=(*cluster.prefix, *DRIVER), rounds=rounds
    )
    heavy = request_for(photo, size_px)
    yield compared(
        "no computing", heavy, folder / "heavy", local=local, driver=(*cluster.prefix, *driver), rounds=3 * rounds
    )


def compared(
    what: str, request: Request, folder: Path, *, local: Sequence[str], driver: Sequence[str], rounds: int
) -> Overhead:
    """Have one request done by a worker of this machine and by one in the cluster, in turn."""
    setup = Setup(engine=EngineSettings(), limits=Limits(), cache=cache_folder(os.environ))
    cluster = Cluster(ClusterSettings(address=ADDRESS), command=driver)
    workers: dict[str, Worker] = {
        "local": WorkerProcess(setup, local),
        "ray": cluster.start(setup),
    }
    try:
        for worker in workers.values():
            wait_for(worker, Ready)
        seconds: dict[str, list[float]] = {name: [] for name in workers}
        for number in range(rounds + 1):
            for name, worker in workers.items():
                took = paint(worker, request, folder / name)
                if number:  # the first of each compiles
                    seconds[name].append(took)
    finally:
        for worker in workers.values():
            worker.close()
        cluster.close()
    pairs = zip(seconds["local"], seconds["ray"], strict=True)
    return Overhead(
        what=what,
        rounds=rounds,
        checkpoint_mb=(folder / "ray" / "checkpoint").stat().st_size / 1e6,
        local_seconds=statistics.median(seconds["local"]),
        ray_seconds=statistics.median(seconds["ray"]),
        difference_seconds=statistics.median(theirs - ours for ours, theirs in pairs),
    )


def paint(worker: Worker, request: Request, folder: Path) -> float:
    """Return the seconds that a request takes whose files go into a folder."""
    folder.mkdir(exist_ok=True, parents=True)
    (folder / "checkpoint").unlink(missing_ok=True)
    interim = Interim(
        checkpoint=folder / "checkpoint", checkpoint_seconds=3600, preview=folder / "preview.jpg", preview_seconds=0
    )
    placed = request.model_copy(update={"picture": folder / "picture.png", "interim": interim})
    began = time.perf_counter()
    worker.request(placed)
    wait_for(worker, Done)
    return time.perf_counter() - began


def request_for(photo: Path, size_px: int) -> Request:
    """Request a picture of few steps."""
    settings = {"styles": [STYLE], "size_px": size_px, "levels": [1], "iterations": 3, "tolerance": 0}
    return Request(
        preset=Preset.model_validate(settings),
        content=Source(**facts(photo)),
        styles=(StyleSource(**facts(STYLE), weight=1),),
        picture=Path(),
    )


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
    """Have a daemon paint so many photos an actor, by actors that only count; at last by the most, and at once."""
    text = f"steps {STEPS} {STEP_SECONDS}"
    first = 0.0
    for actors in ACTORS:
        row = counted(folder / f"{actors}", actors, jobs * actors, text)
        first = first or row.jobs_per_second
        yield dataclasses.replace(row, share=row.jobs_per_second / (actors * first))
    yield dataclasses.replace(counted(folder / "at-once", ACTORS[-1], 400, "steps 1 0"), share=None)


def counted(folder: Path, actors: int, jobs: int, text: str) -> Throughput:
    """Measure from the moment when all actors are ready and the photos are dropped to the last picture."""
    (folder / "inbox" / "counted").mkdir(parents=True)
    config = folder / "config.yaml"
    config.write_text(CONFIG.format(address=ADDRESS, actors=actors, style=STYLE))
    drop(folder, 2 * actors, "steps 20 0.1", "warm")
    cluster = RayCluster(folder / "r")
    try:
        cluster.start_head(cpus=actors, gpus=actors)
        command = (*cluster.prefix, sys.executable, str(STANDINS / "daemon.py"), "run", "-c", str(config))
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as daemon:
            events = (json.loads(line)["event"] for line in daemon.stdout or ())
            seen = {"worker_ready": 0, "job_finished": 0}
            await_events(events, seen, worker_ready=actors, job_finished=2 * actors)
            pids = daemon.pid, cluster.drivers()[0]
            began, before = time.perf_counter(), [*map(processor_seconds, pids)]
            drop(folder, jobs, text, "photo")
            await_events(events, seen, job_finished=2 * actors + jobs)
            seconds = time.perf_counter() - began
            shares = [(processor_seconds(pid) - was) / seconds for pid, was in zip(pids, before, strict=True)]
            daemon.send_signal(signal.SIGTERM)
    finally:
        cluster.close()
    return Throughput(actors, jobs, seconds, jobs / seconds, 1.0, *shares)


def processor_seconds(pid: int) -> float:
    """Return the processor time that a process has taken so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


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
            costs = list(overhead(cluster, folder, arguments.size, arguments.rounds))
        finally:
            cluster.close()
        growth = list(throughput(folder, arguments.jobs))
    if arguments.json:
        found = {"overhead": costs, "throughput": growth}
        print(json.dumps({name: [*map(dataclasses.asdict, rows)] for name, rows in found.items()}))
        return
    print("| a job | checkpoint | local | ray | difference |\n| --- | --- | --- | --- | --- |")
    for cost in costs:
        print(
            f"| {cost.what} | {cost.checkpoint_mb:.0f} MB | {cost.local_seconds:.2f} s | {cost.ray_seconds:.2f} s | "
            f"{cost.difference_seconds:+.2f} s |"
        )
    print("\n| actors | jobs | seconds | jobs a second | share of N times one | daemon | driver |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for row in growth:
        share = "" if row.share is None else f"{row.share:.1%}"
        print(
            f"| {row.actors} | {row.jobs} | {row.seconds:.1f} | {row.jobs_per_second:.2f} | {share} | "
            f"{row.daemon:.0%} | {row.driver:.0%} |"
        )


if __name__ == "__main__":
    main()
