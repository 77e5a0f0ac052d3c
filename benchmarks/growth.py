"""How time and memory grow with the picture's pixels, with the number of style images, and with that of waiting jobs.

    python benchmarks/growth.py [--sizes 256 512 1024 2048] [--styles 1 2 4 8] [--jobs 100 1000 5000]
        [--iterations 12] [--json]

Pixels: a square picture for each size. Style images: a small picture (`--style-size`) with each number of them. Each is
painted in a process of its own, at one size without a pyramid: the median of its steps after the first two, and the
most memory that the process ever had. 12 steps fill the memory of L-BFGS, which keeps 8; with less, memory looks
smaller than it is.

Waiting jobs: a real daemon takes so many tiny photos in, while its worker copies instead of painting and has one job
that never ends. Then: the daemon's memory, the time of `nstd status` and of the claim of the next job.

In brackets stands the ratio to the table's first line; nothing may grow faster than the first column. A ratio hides
growth behind what does not grow, such as the network and the start of a process. So the pixels' last columns tell what
a pixel takes: of a step's time, and of memory for each pixel more than in the line above. Neither may rise, but for
memory where the pictures are so small that loading the network is what takes most. It is the process' memory, not a
GPU's; processor time (`cpu`) is that of all threads, and what else runs on the machine hardly changes it.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from growing import waiting
from growing.waiting import Waiting
from rivals.environment import with_nstd

BENCHMARKS = Path(__file__).resolve().parent
WHOLE_FROM = 100


class Pixels(NamedTuple):
    """A picture of some size.

    Attributes:
        pixels: of the picture.
        step_seconds: of a warm step.
        step_cpu_seconds: its processor time, of all threads together.
        peak_mib: the most resident memory.
        step_ns_per_pixel: of a warm step.
        peak_bytes_per_pixel: more memory for each pixel more than in the picture before; None for the first.
    """

    pixels: int
    step_seconds: float
    step_cpu_seconds: float
    peak_mib: float
    step_ns_per_pixel: float
    peak_bytes_per_pixel: float | None


class Styles(NamedTuple):
    """A picture with some number of style images.

    Attributes:
        styles: how many.
        style_seconds: for their statistics.
        step_seconds: of a warm step.
        peak_mib: the most resident memory.
    """

    styles: int
    style_seconds: float
    step_seconds: float
    peak_mib: float


Row = Pixels | Styles | Waiting


def paint(size_px: int, styles: int, iterations: int) -> dict[str, Any]:
    """Paint in a process of its own; return what it tells, with its peak memory."""
    command = [sys.executable, "-m", "growing.painting", *map(str, (size_px, styles, iterations))]
    reading, writing = os.pipe()
    process = subprocess.Popen(command, cwd=BENCHMARKS, env=with_nstd(), stdout=writing)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        told = pipe.read()
    # Not `process.wait`, which does not tell the child's memory.
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    peak_mib = usage.ru_maxrss / 1024
    if process.returncode:
        sys.exit(f"a picture of {size_px} px ended with status {process.returncode} and a peak of {peak_mib:.0f} MiB")
    return {**json.loads(told), "peak_mib": peak_mib}


def by_pixels(sizes: Iterable[int], iterations: int) -> Iterator[Row]:
    """Paint a picture of each size."""
    before = None
    for size_px in sizes:
        found, pixels = paint(size_px, 1, iterations), size_px**2
        seconds, peak = found["step_seconds"], found["peak_mib"]
        more = (peak - before.peak_mib) * 2**20 / (pixels - before.pixels) if before else None
        before = Pixels(pixels, seconds, found["step_cpu_seconds"], peak, seconds * 1e9 / pixels, more)
        yield before


def by_styles(numbers: Iterable[int], size_px: int, iterations: int) -> Iterator[Row]:
    """Paint a picture with each number of style images."""
    for styles in numbers:
        found = paint(size_px, styles, iterations)
        yield Styles(styles, found["style_seconds"], found["step_seconds"], found["peak_mib"])


def cells(row: Row, first: Row) -> Iterator[str]:
    """Format each value with its ratio to that of the first row."""
    for value, base in zip(row, first, strict=True):
        if value is None:
            yield ""
        elif row is first or not base:
            yield figure(value)
        else:
            yield f"{figure(value)} ({value / base:.2f})"


def figure(value: float) -> str:
    """Format a value with three digits at least."""
    return f"{value:,.0f}" if value >= WHOLE_FROM else f"{value:.3g}"


def show(rows: Iterable[Row]) -> list[Row]:
    """Print a table, line by line as they come."""
    shown: list[Row] = []
    for row in rows:
        if not shown:
            print(
                "", table_line(name.replace("_", " ") for name in row._fields), table_line("---" for _ in row), sep="\n"
            )
        shown.append(row)
        print(table_line(cells(row, shown[0])), flush=True)
    return shown


def table_line(values: Iterable[str]) -> str:
    """Format a line of a table."""
    return f"| {' | '.join(values)} |"


def main() -> None:
    """Measure, and print tables or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="*", default=[256, 512, 1024, 2048], help="sides in pixels")
    parser.add_argument("--styles", type=int, nargs="*", default=[1, 2, 4, 8], help="numbers of style images")
    parser.add_argument("--style-size", type=int, default=256, help="side of the pictures with many style images")
    parser.add_argument("--jobs", type=int, nargs="*", default=[100, 1000, 5000], help="numbers of waiting jobs")
    parser.add_argument("--iterations", type=int, default=12, help="steps of each picture; at least 4")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    take: Callable[[Iterable[Row]], Sequence[Row]] = list if arguments.json else show
    measured = {
        "pixels": take(by_pixels(arguments.sizes, arguments.iterations)),
        "styles": take(by_styles(arguments.styles, arguments.style_size, arguments.iterations)),
        "jobs": take(map(waiting.measure, arguments.jobs)),
    }
    if arguments.json:
        print(json.dumps({name: [row._asdict() for row in rows] for name, rows in measured.items()}, indent=2))


if __name__ == "__main__":
    main()
