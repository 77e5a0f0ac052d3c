"""How long nstd takes to a picture as good as that of a program that a user would run instead.

    python benchmarks/rivals/environment.py
    python benchmarks/time_to_quality.py [--steps 100 200 500] [--content FILE] [--style FILE] [--size 512]
        [--levels 0.5 1] [--iterations 50,70 100,140 250,350] [--padding zero] [--every 5]
        [--strict-iterations 60,60,62 ...] [--keep FOLDER] [--json]

For each number of steps, the command line of pastiche 1.6.0 (PyTorch, L-BFGS, one size, from the photo) paints, then
nstd does by its own schedule, in a process of its own each; the seconds are those from the start of the process to its
end, so that loading counts. Then one judge gives both files the loss that pastiche minimises, in float32
(rivals/judge.py). nstd minimises the same sum, in the precision that `auto` picks. Both are given pictures that have
the final size already (rivals/pictures.py).

pastiche lets pixels leave the range of a file while it paints, and what is cut off in its file costs it much. With
`--strict-iterations` nstd paints once more, for a file as good as the figure that pastiche prints at last, of pixels
that no file can hold.

With `--padding mirror` nstd paints as it does by default, without frames at the border; the judge still sees zeros
there, and the style image is scaled up to the number of pixels with the margin, so that the judge favours pastiche.

`--iterations` has one schedule for each number of steps: a number a level. With `--every K`, the shortest that suffices
is looked for: a process paints by the whole schedule and writes its best picture every K steps at full size; the first
of them that is good enough tells the number of steps, with which nstd then paints once more, and that is what counts.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from rivals.contender import BENCHMARKS, Contender
from rivals.environment import DEFAULT_FOLDER, program, with_nstd, without_nstd
from rivals.pictures import prepare

ASSETS = BENCHMARKS.parent / "nstd" / "assets"
SAME_LOSS = 1e-3
HEADINGS = (
    "| pastiche's steps | pastiche: seconds | loss | before it was a file | nstd: levels "
    "| steps of each | seconds | loss | beside | as good | times faster | loss, nstd / pastiche |"
)

Schedule = tuple[int, ...]


class Task(NamedTuple):
    """What is painted.

    Attributes:
        content: the photo's file, prepared.
        style: the style image's file, prepared.
        size_px: long side of the pictures.
        levels: of nstd, as fractions of the size.
        padding: of nstd.
        rivals: folder of the virtual environment with pastiche.
        folder: where the pictures are written.
    """

    content: Path
    style: Path
    size_px: int
    levels: tuple[float, ...]
    padding: str
    rivals: Path
    folder: Path


class Snapshot(NamedTuple):
    """A picture that nstd wrote on its way.

    Attributes:
        steps: at full size so far.
        seconds: since the start of the process.
        loss: by the judge.
    """

    steps: int
    seconds: float
    loss: float


class Row(NamedTuple):
    """One line of the table.

    Attributes:
        steps: of pastiche.
        pastiche_seconds: from the start of its process to the end.
        pastiche_loss: of its file, by the judge.
        pastiche_own_loss: the last that it printed.
        levels: of nstd.
        iterations: of nstd on each level.
        nstd_seconds: from the start of its process to the end.
        nstd_loss: of its file, by the judge.
        strict: nstd is compared with pastiche's own loss, otherwise with that of its file.
        as_good: nstd's loss is at most that one.
        times_faster: pastiche's seconds divided by nstd's.
        loss_ratio: nstd's loss divided by that one.
        start_loss: of the photo, by the judge.
        pastiche_start_loss: of the photo, as pastiche printed it; that the two agree shows that they have one loss.
        snapshots: those that were judged on the way.
    """

    steps: int
    pastiche_seconds: float
    pastiche_loss: float
    pastiche_own_loss: float
    levels: tuple[float, ...]
    iterations: Schedule
    nstd_seconds: float
    nstd_loss: float
    strict: bool
    as_good: bool
    times_faster: float
    loss_ratio: float
    start_loss: float
    pastiche_start_loss: float
    snapshots: list[dict[str, float]]


def run_pastiche(task: Task, steps: int, picture: Path) -> tuple[float, float, float]:
    """Paint; return the seconds that it took, and the first and the last loss that it printed."""
    command = [program(task.rivals, "pastiche"), "--content", task.content, "--styles", task.style]
    command += ["--size", str(task.size_px), "--num-steps", str(steps), "--output", picture]
    began = time.monotonic()
    run = subprocess.run(command, check=True, env=without_nstd(), stdout=subprocess.PIPE, text=True)
    seconds = time.monotonic() - began
    printed = [line.split() for line in run.stdout.splitlines() if line[:1].isdigit()]
    return seconds, float(printed[0][-1]), float(printed[-1][-1])


def nstd_command(task: Task, schedule: Schedule, output: Path) -> list[str]:
    """Return the command with which nstd paints."""
    command = [sys.executable, "-m", "rivals.nstd_painting", str(task.content), str(task.style), str(output)]
    command += ["--size", str(task.size_px), "--levels", *map(str, task.levels)]
    return [*command, "--padding", task.padding, "--iterations", *map(str, schedule)]


def run_nstd(task: Task, schedule: Schedule, picture: Path) -> float:
    """Paint; return the seconds that it took."""
    began = time.monotonic()
    subprocess.run(nstd_command(task, schedule, picture), check=True, env=with_nstd(), cwd=BENCHMARKS)
    return time.monotonic() - began


def judge(task: Task) -> Contender:
    """Start the judge; only while nothing is timed."""
    return Contender("judge", task.content, task.style)


def write_snapshots(task: Task, schedule: Schedule, every: int, folder: Path) -> list[dict[str, str]]:
    """Let nstd write its best picture every so many steps."""
    folder.mkdir(exist_ok=True)
    command = [*nstd_command(task, schedule, folder), "--every", str(every), "--began", str(time.monotonic())]
    run = subprocess.run(command, check=True, env=with_nstd(), cwd=BENCHMARKS, stdout=subprocess.PIPE, text=True)
    return [json.loads(line) for line in run.stdout.splitlines()]


def judge_until_good(task: Task, enough: float, written: Sequence[dict[str, str]]) -> Iterator[Snapshot]:
    """Judge the pictures one after the other, until one has no more loss than is enough."""
    with judge(task) as jury:
        for snapshot in written:
            loss = jury.ask(snapshot["picture"])
            yield Snapshot(int(snapshot["steps"]), round(float(snapshot["seconds"]), 1), loss)
            if loss <= enough:
                return


def measure(task: Task, steps: int, schedules: Sequence[Schedule], every: int) -> Iterator[Row]:
    """Let pastiche paint, then nstd by each schedule, the second of which is the strict one; judge all."""
    theirs = task.folder / f"pastiche-{steps}.png"
    seconds, start_loss, own_loss = run_pastiche(task, steps, theirs)
    with judge(task) as jury:
        file_loss = jury.ask(str(theirs))
    if not math.isclose(jury.facts["start"], start_loss, rel_tol=SAME_LOSS):
        sys.exit(f"the photo's loss is {jury.facts['start']} to the judge, and {start_loss} to pastiche")
    for strict, planned in enumerate(schedules):
        schedule = planned
        enough = own_loss if strict else file_loss
        ours = task.folder / f"nstd-{steps}-{'strict' if strict else 'file'}.png"
        snapshots: list[Snapshot] = []
        if every:
            written = write_snapshots(task, planned, every, ours.with_suffix(""))
            snapshots = list(judge_until_good(task, enough, written))
            schedule = (*planned[:-1], snapshots[-1].steps)
        nstd_seconds = run_nstd(task, schedule, ours)
        with judge(task) as jury:
            nstd_loss = jury.ask(str(ours))
        yield Row(
            steps=steps,
            pastiche_seconds=round(seconds, 1),
            pastiche_loss=file_loss,
            pastiche_own_loss=own_loss,
            levels=task.levels,
            iterations=schedule,
            nstd_seconds=round(nstd_seconds, 1),
            nstd_loss=nstd_loss,
            strict=bool(strict),
            as_good=nstd_loss <= enough,
            times_faster=round(seconds / nstd_seconds, 2),
            loss_ratio=round(nstd_loss / enough, 3),
            start_loss=jury.facts["start"],
            pastiche_start_loss=start_loss,
            snapshots=[snapshot._asdict() for snapshot in snapshots],
        )


def default_schedule(steps: int, levels: int) -> Schedule:
    """Return half of pastiche's steps on each smaller level, and 0.7 of them at full size."""
    return (*(max(1, steps // 2) for _ in range(levels - 1)), max(1, steps * 7 // 10))


def line(row: Row) -> str:
    """Format a row of the table."""
    cells = (
        row.steps,
        f"{row.pastiche_seconds:.1f}",
        f"{row.pastiche_loss:,.0f}",
        f"{row.pastiche_own_loss:,.0f}",
        ", ".join(f"{level:g}" for level in row.levels),
        ", ".join(map(str, row.iterations)),
        f"{row.nstd_seconds:.1f}",
        f"{row.nstd_loss:,.0f}",
        "own" if row.strict else "file",
        "yes" if row.as_good else "no",
        f"{row.times_faster:.2f}",
        f"{row.loss_ratio:.3f}",
    )
    return f"| {' | '.join(map(str, cells))} |"


def schedule_from(text: str) -> Schedule:
    """Read a number of steps a level, with commas between."""
    return tuple(int(number) for number in text.split(","))


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, nargs="+", default=[100, 200, 500], help="of pastiche")
    parser.add_argument("--content", type=Path, default=ASSETS / "photos" / "coffee.jpg", help="the photo")
    parser.add_argument("--style", type=Path, default=ASSETS / "styles" / "swirls.jpg", help="the style image")
    parser.add_argument("--size", type=int, default=512, help="long side in pixels")
    parser.add_argument("--levels", type=float, nargs="+", default=[0.5, 1], help="of nstd")
    parser.add_argument("--iterations", type=schedule_from, nargs="+", help="of nstd on each level, as 50,70")
    parser.add_argument("--padding", choices=["zero", "mirror"], default="zero", help="of nstd; pastiche has zeros")
    parser.add_argument("--every", type=int, default=0, help="look for the shortest schedule, so many steps apart")
    parser.add_argument("--strict-iterations", type=schedule_from, nargs="+", help="the same, for pastiche's own loss")
    parser.add_argument("--keep", type=Path, help="folder for the pictures; default: they are not kept")
    parser.add_argument("--rivals", type=Path, default=DEFAULT_FOLDER, help="the virtual environment with pastiche")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    levels = len(arguments.levels)
    arguments.iterations = arguments.iterations or [default_schedule(steps, levels) for steps in arguments.steps]
    arguments.schedules = [arguments.iterations]
    if arguments.strict_iterations:
        arguments.schedules.append(arguments.strict_iterations)
    for schedules in arguments.schedules:
        if [len(schedule) for schedule in schedules] != [levels] * len(arguments.steps):
            parser.error("--iterations: needs a schedule for each of --steps, with a number for each of --levels")
    return arguments


def main() -> None:
    """Measure all numbers of steps and print a table or JSON."""
    arguments, rows = parse(), []
    if not arguments.json:
        print(HEADINGS, "| --- " * (HEADINGS.count("|") - 1) + "|", sep="\n", flush=True)
    with tempfile.TemporaryDirectory(prefix="nstd-quality-") as temporary:
        folder = (arguments.keep or Path(temporary)).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        content, style = prepare(arguments.content, arguments.style, arguments.size, folder)
        task = Task(
            content=content,
            style=style,
            size_px=arguments.size,
            levels=tuple(arguments.levels),
            padding=arguments.padding,
            rivals=arguments.rivals.absolute(),
            folder=folder,
        )
        for steps, *schedules in zip(arguments.steps, *arguments.schedules, strict=True):
            for row in measure(task, steps, schedules, arguments.every):
                rows.append(row)
                if not arguments.json:
                    print(line(row), flush=True)
    if arguments.json:
        result = {"content": arguments.content.name, "style": arguments.style.name, "size_px": task.size_px}
        result |= {"padding": task.padding}
        print(json.dumps(result | {"rows": [row._asdict() for row in rows]}, indent=2))


if __name__ == "__main__":
    main()
