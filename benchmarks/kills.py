"""Whether a painting whose worker is killed over and over becomes, to the last byte, the one that was left in peace.

    python benchmarks/kills.py [--kills 5] [--size 96] [--iterations 40] [--seed 1] [--manner paint] [--json]

For L-BFGS and Adam, Gram matrices and Wasserstein distances, bfloat16 and float32, in one manner: nstd's real worker
process paints a photo on two levels. Then it does so again, with a checkpoint after nearly every step, and SIGKILL
comes after a random number of steps, by turns a random part of a step later and as soon as a checkpoint is being
written; the next worker process goes on, and so forth. `cut off` counts the kills that left a half-written file beside
the last whole one. Exit status 1 if any picture's file differs.
"""

import argparse
import itertools
import json
import os
import random
import select
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from growing.pictures import ASSETS

from nstd.config.settings import EngineSettings, Limits
from nstd.manner import Manner
from nstd.network import Precision
from nstd.preset import Preset
from nstd.spool.durable import measure, remove_remains
from nstd.transfer_settings import Optimizer, StyleStatistics
from nstd.weights.store import cache_folder
from nstd.worker.messages import Done, Event, Failed, Interim, Request, Resumed, Setup, Source, Stepped, StyleSource
from nstd.worker.process import WorkerProcess

PHOTO, STYLE = ASSETS / "photos" / "chelsea.jpg", ASSETS / "styles" / "swirls.jpg"
CHECKPOINT_SECONDS = 0.001
STEP_SECONDS = 0.1
PATIENCE_SECONDS = 600
HEADINGS = "| optimiser | statistics | precision | kills | cut off | resumed | same bytes |"


class Row(NamedTuple):
    """One combination.

    Attributes:
        kills: of a worker, with SIGKILL.
        cut_off: kills that left half a file.
        resumed: workers that went on from a checkpoint.
        same: whether the two files have the same bytes.
    """

    optimizer: str
    statistics: str
    precision: str
    kills: int
    cut_off: int
    resumed: int
    same: bool


class Easel:
    """A folder in which one picture is painted, by one worker after another."""

    def __init__(self, folder: Path, precision: Precision, preset: Preset) -> None:
        self._folder = folder
        self._setup = Setup(engine=EngineSettings(precision=precision), limits=Limits(), cache=cache_folder(os.environ))
        interim = Interim(
            checkpoint=folder / "checkpoint",
            checkpoint_seconds=CHECKPOINT_SECONDS,
            preview=folder / "preview.jpg",
            preview_seconds=CHECKPOINT_SECONDS,
        )
        self._request = Request(
            preset=preset,
            content=Source(**facts(PHOTO)),
            styles=(StyleSource(**facts(STYLE), weight=1),),
            picture=folder / "picture.png",
            interim=interim,
        )

    def paint(self, stop_after: int | None, wait: Callable[[], object] = lambda: None) -> list[Event]:
        """Paint to the end, or kill the worker after some steps and then a wait; return what it has said."""
        worker = WorkerProcess(self._setup)
        try:
            worker.request(self._request)
            events = list(self._events(worker, stop_after))
            wait()
        finally:
            worker.kill()
            worker.close()
        return events

    def wait_for_writing(self) -> None:
        """Wait until a file is being written, for some steps at most."""
        until = time.monotonic() + 10 * STEP_SECONDS
        while not self._is_writing() and time.monotonic() < until:
            pass

    def cut_off(self) -> bool:
        """Say whether the last kill has left half a file, and clear up as the daemon does."""
        found = self._is_writing()
        remove_remains(self._folder)
        return found

    def picture(self) -> bytes:
        """Return the finished file."""
        return self._request.picture.read_bytes()

    def _is_writing(self) -> bool:
        return any(self._folder.glob(".*.tmp"))

    @staticmethod
    def _events(worker: WorkerProcess, stop_after: int | None) -> Iterator[Event]:
        steps = 0
        while steps != stop_after:
            ready, _, _ = select.select([worker.events], [], [], PATIENCE_SECONDS)
            if not ready or worker.events.closed:
                sys.exit(f"the worker says nothing more: {worker.read_chatter()}")
            for event in worker.read_events():
                yield event
                if isinstance(event, Failed):
                    sys.exit(event.message)
                if isinstance(event, Done):
                    return
                if isinstance(event, Stepped) and (steps := steps + 1) == stop_after:
                    return


def facts(path: Path) -> dict[str, object]:
    """Describe an image to a worker."""
    found = measure(path)
    return {"name": path.name, "path": path, "bytes": found.bytes, "sha256": found.sha256}


def compare(precision: Precision, preset: Preset, kills: int, dice: random.Random) -> Row:
    """Paint in peace and among kills."""
    with tempfile.TemporaryDirectory(prefix="nstd-kills-") as root:
        calm, wild = Path(root, "calm"), Path(root, "wild")
        for folder in (calm, wild):
            folder.mkdir()
        peaceful, harried = Easel(calm, precision, preset), Easel(wild, precision, preset)
        total = peaceful.paint(None)[-2].number
        events, cut_off = [], 0
        for kill in range(kills):
            pause = partial(time.sleep, dice.uniform(0, STEP_SECONDS))
            steps = dice.randint(1, max(1, total // (kills + 1)))
            events += harried.paint(steps, harried.wait_for_writing if kill % 2 == 0 else pause)
            cut_off += harried.cut_off()
        events += harried.paint(None)
        return Row(
            preset.optimizer,
            preset.style_statistics,
            precision,
            kills,
            cut_off,
            sum(isinstance(event, Resumed) for event in events),
            peaceful.picture() == harried.picture(),
        )


def main() -> None:
    """Compare every combination and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=5, help="of each painting")
    parser.add_argument("--size", type=int, default=96, help="long side of the pictures in pixels")
    parser.add_argument("--iterations", type=int, default=40, help="steps at each of two levels")
    parser.add_argument("--seed", type=int, default=1, help="of the moments")
    parser.add_argument("--manner", type=Manner, default=Manner.PAINT, help="paint or texture")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    dice = random.Random(arguments.seed)
    rows = []
    if not arguments.json:
        print(HEADINGS, "| --- " * (HEADINGS.count("|") - 1) + "|", sep="\n")
    for optimizer, statistics, precision in itertools.product(
        Optimizer, StyleStatistics, (Precision.BFLOAT16, Precision.FLOAT32)
    ):
        preset = Preset.model_validate(
            {
                "styles": [STYLE],
                "size_px": arguments.size,
                "levels": (0.5, 1),
                "iterations": (arguments.iterations,),
                "tolerance": 0,
                "manner": arguments.manner,
                "optimizer": optimizer,
                "style_statistics": statistics,
            }
        )
        rows.append(compare(precision, preset, arguments.kills, dice))
        if not arguments.json:
            print("|", " | ".join(map(str, rows[-1])), "|", flush=True)
    if arguments.json:
        print(json.dumps([row._asdict() for row in rows], indent=2))
    sys.exit(0 if all(row.same for row in rows) else 1)


if __name__ == "__main__":
    main()
