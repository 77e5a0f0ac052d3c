"""What a job takes outside the optimisation loop, in a queue of ten photos of one size and in one of ten sizes.

    python benchmarks/overhead.py [--size 512] [--photos 10] [--iterations 8] [--photo-size 4000] [--json]

nstd's daemon and its real worker paint each queue to its end, as `nstd run --once` does; for each queue they start
anew. When the worker was given a job, when each step ended and when the picture was there is noted as the daemon
hears of it.

A job lasts from the end of the job before to its own end, the first one from when the worker was given it. The
optimisation loop is its steps once all is warm: at each level the first two count as the median of the later ones of
the same job, so that it matters little that a machine is now slow and now fast. So does the search for nearest
neighbours that goes before every fourth of them. The rest is overhead:

- `daemon`: publishing the picture before, and the next claim;
- `decode`; `style_targets`: the style images' statistics;
- `first_steps`: what each level's first two steps took beyond warm ones, with all that was done before them: resizing,
  the content's features, kernels that are made for every size and, in the first job, the graph;
- `encode`;
- `cleanup`: kernels and memory are given back.

`processor` is the worker's processor time outside the loop, by the same rule: other work on the machine hardly changes
it, but work on two cores counts twice, and the wait for a disk or a GPU not at all.
"""

import argparse
import functools
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from growing.pictures import ASSETS, cut, sizes
from growing.timed import Row, TimedJob, TimedWorker

from nstd.config.load import load_config
from nstd.daemon.daemon import Daemon
from nstd.daemon.live_config import LiveConfig
from nstd.daemon.logs import configure_logs
from nstd.images.decode import probe_image
from nstd.weights.store import cache_folder

ASPECT = 0.75
PARTS = ("daemon", "decode", "style_targets", "first_steps", "encode", "cleanup")
BOUND_SECONDS = {"one size": 0.5, "many sizes": 2.0}
CONFIG = """
spool: {{settle_seconds: 0.2}}
presets:
  swirls: {{styles: ["{style}"], size_px: {size_px}, levels: [0.5, 1], iterations: {iterations}, round_steps: 4}}
"""
HEADINGS = "| queue | job | overhead, s | at most | {} | processor, s | a step, s | worker, MiB |".format(
    " | ".join(PARTS)
)


def paint(root: Path, config: str, photos: Sequence[tuple[int, int]]) -> list[TimedJob]:
    """Drop photos of these sizes, and let the daemon work until all are painted."""
    path = root / "config.yaml"
    path.write_text(config)
    inbox = root / "inbox" / "swirls"
    inbox.mkdir(parents=True)
    for number, size in enumerate(photos):
        cut("photos", number, size, inbox)
    load = functools.partial(load_config, path, check_image=probe_image)
    jobs: list[TimedJob] = []
    start_worker = functools.partial(TimedWorker, jobs=jobs)
    with (root / "daemon.log").open("w") as log:
        configure_logs(output=log)
        live = LiveConfig(load(), path, load)
        is_good = Daemon(live, cache_folder(os.environ), once=True, start_worker=start_worker).run()
    if not is_good or len(jobs) != len(photos):
        sys.exit(f"not all {len(photos)} photos were painted:\n{(root / 'daemon.log').read_text()}")
    return jobs


def measure(queue: str, config: str, photos: Sequence[tuple[int, int]]) -> list[Row]:
    """Measure every job of one queue."""
    with tempfile.TemporaryDirectory(prefix="nstd-overhead-") as root:
        jobs = paint(Path(root), config, photos)
    ends = [jobs[0].began, *(job.ended for job in jobs)]
    return [job.row(queue, number, ends[number]) for number, job in enumerate(jobs)]


def summary(rows: Sequence[Row]) -> list[Row]:
    """Return the first job, and median and worst of the others."""
    first, *others = rows
    medians = [statistics.median(values) for values in zip(*(row[2:] for row in others), strict=True)]
    worst = max(others, key=lambda row: row.overhead)
    return [
        first._replace(job="first"),
        Row(first.queue, "median", *medians),
        worst._replace(job="worst"),
    ]


def line(row: Row) -> str:
    """Format a row of the table."""
    bound = "" if row.job == "first" else f"{BOUND_SECONDS[row.queue]:.1f}"
    parts = " | ".join(f"{getattr(row, part):.2f}" for part in PARTS)
    ending = f"{row.processor:.2f} | {row.step:.3f} | {row.worker_mib:.0f}"
    return f"| {row.queue} | {row.job} | {row.overhead:.2f} | {bound} | {parts} | {ending} |"


def rounded(row: Row) -> dict[str, object]:
    """Return a row for JSON."""
    return {name: round(value, 3) if isinstance(value, float) else value for name, value in row._asdict().items()}


def main() -> None:
    """Measure both queues and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=512, help="long side of the pictures in pixels")
    parser.add_argument("--photos", type=int, default=10, help="how many in each queue; at least 2")
    parser.add_argument("--iterations", type=int, default=8, help="steps at each of two levels; at least 6")
    parser.add_argument("--photo-size", type=int, default=4000, help="long side of the photos in pixels")
    parser.add_argument("--json", action="store_true", help="print JSON, of every job too")
    arguments = parser.parse_args()
    style = ASSETS / "styles" / "swirls.jpg"
    config = CONFIG.format(style=style, size_px=arguments.size, iterations=arguments.iterations)
    long = arguments.photo_size
    queues = {
        "one size": [(long, round(long * ASPECT))] * arguments.photos,
        "many sizes": sizes(arguments.photos, long),
    }
    if not arguments.json:
        print(HEADINGS, "| --- " * (HEADINGS.count("|") - 1) + "|", sep="\n")
    jobs, summaries = [], []
    for queue, photos in queues.items():
        rows = measure(queue, config, photos)
        jobs += rows
        summaries += summary(rows)
        if not arguments.json:
            print(*map(line, summary(rows)), sep="\n", flush=True)
    if arguments.json:
        print(json.dumps({"overhead": list(map(rounded, summaries)), "jobs": list(map(rounded, jobs))}, indent=2))


if __name__ == "__main__":
    main()
