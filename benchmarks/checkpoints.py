"""What checkpoints and previews cost a painting.

    python benchmarks/checkpoints.py [--size 512] [--rounds 7] [--steps 4] [--json]

A painting, whose optimiser's memory is full, goes on in rounds of a few steps: with nothing beside them, with one
checkpoint that is begun after the first step, with one preview. What a round takes more than one of the same turn with
nothing beside it is the cost, by the clock and by processor time of all threads. The medians stand beside the time
between two of them that nstd has by default. Reading a checkpoint back is timed once.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from growing.pictures import ASSETS

from nstd.weights.store import cache_folder, load_weights
from nstd.worker.environment import tensorflow_environment

os.environ.update(tensorflow_environment(os.environ, cache_folder(os.environ)))

from nstd.config.settings import Limits, WorkerSettings
from nstd.engine.device import claim_device
from nstd.engine.engine import Engine
from nstd.engine.styles import Style
from nstd.engine.transfer import Transfer
from nstd.images.decode import decode_fitted, decode_image
from nstd.network import Network
from nstd.preset import Preset
from nstd.transfer_settings import TransferSettings
from nstd.worker.checkpoint import Checkpoint, Identity, Provenance
from nstd.worker.keeper import Keeper, recall
from nstd.worker.messages import Checkpointed, Interim

PHOTO, STYLE = ASSETS / "photos" / "astronaut.jpg", ASSETS / "styles" / "swirls.jpg"
WARM_STEPS = 22
MIB = 2**20
IDENTITY = Identity(
    network=Network.VGG19,
    weights_sha256="0" * 64,
    content_sha256="0" * 64,
    styles=(),
    preset=Preset.model_validate({"styles": [STYLE]}),
)
PROVENANCE = Provenance(nstd_version="0", tensorflow_version="0", device="cpu", device_model="", precision="auto")
BEGINNING = Checkpoint(identity=IDENTITY, provenance=PROVENANCE, started_at="", decode_seconds=0)


class Cost(NamedTuple):
    """What one more round takes than one with nothing beside it; medians.

    Attributes:
        what: `checkpoint` or `preview`.
        seconds: by the clock.
        cpu_seconds: of all threads.
        every_seconds: between two, by default.
        share: of the time, by the larger of the two.
        mib: of the file.
    """

    what: str
    seconds: float
    cpu_seconds: float
    every_seconds: float
    share: float
    mib: float


class Rounds:
    """A painting that goes on by rounds."""

    def __init__(self, transfer: Transfer, interim: Interim, steps: int) -> None:
        self._transfer = transfer
        self._iterator = transfer.steps()
        self._interim = interim
        self._steps = steps
        for _ in range(WARM_STEPS):
            next(self._iterator)

    def run(self, *, checkpoint: bool = False, preview: bool = False) -> tuple[float, float]:
        """Paint some steps, with something beside them; return seconds and processor seconds until all is done."""
        now = [0.0]
        wanted = {"checkpoint_seconds": float(checkpoint), "preview_seconds": float(preview)}
        began, cpu = time.perf_counter(), time.process_time()
        with Keeper(self._interim.model_copy(update=wanted), BEGINNING, lambda: now[0]) as keeper:
            for number in range(self._steps):
                next(self._iterator)
                # Due once, after the first step.
                now[0] = 1.0 if number == 0 else now[0]
                list(keeper.advance(self._transfer, level_ended=False))
            words = list(keeper.finish())
        if not all(isinstance(word, Checkpointed) for word in words):
            sys.exit(str(words))
        return time.perf_counter() - began, time.process_time() - cpu


def measure(rounds: Rounds, count: int) -> Iterator[tuple[str, float, float]]:
    """Yield what a checkpoint and a preview took more, in turn."""
    ways: dict[str, Callable[[], tuple[float, float]]] = {
        "nothing": rounds.run,
        "checkpoint": partial(rounds.run, checkpoint=True),
        "preview": partial(rounds.run, preview=True),
    }
    for _ in range(count):
        found = {name: run() for name, run in ways.items()}
        for name in ("checkpoint", "preview"):
            yield name, found[name][0] - found["nothing"][0], found[name][1] - found["nothing"][1]


def main() -> None:
    """Measure and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=512, help="long side of the picture in pixels")
    parser.add_argument("--rounds", type=int, default=7, help="of each kind")
    parser.add_argument("--steps", type=int, default=4, help="of each round; the writing is to be over by then")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    device = claim_device()
    engine = Engine(Network.VGG19, load_weights(Network.VGG19, cache_folder(os.environ)).arrays, device.precision)
    photo, _ = decode_fitted(PHOTO, Limits(), arguments.size)
    settings = TransferSettings(levels=(1,), iterations=(100_000,), tolerance=0)
    transfer = engine.transfer(photo, [Style.of(decode_image(STYLE, Limits()), "swirls")], settings)
    with tempfile.TemporaryDirectory(prefix="nstd-checkpoints-") as folder:
        interim = Interim(
            checkpoint=Path(folder, "checkpoint"),
            checkpoint_seconds=0,
            preview=Path(folder, "preview.jpg"),
            preview_seconds=0,
        )
        found = list(measure(Rounds(transfer, interim, arguments.steps), arguments.rounds))
        began = time.perf_counter()
        recall(interim.checkpoint, IDENTITY)
        read_seconds = time.perf_counter() - began
        defaults = WorkerSettings()
        costs = []
        for what, path, every in (
            ("checkpoint", interim.checkpoint, defaults.checkpoint_seconds),
            ("preview", interim.preview, defaults.preview_seconds),
        ):
            seconds = statistics.median(seconds for name, seconds, _ in found if name == what)
            cpu = statistics.median(cpu for name, _, cpu in found if name == what)
            size = path.stat().st_size / MIB
            costs.append(Cost(what, seconds, cpu, every, max(seconds, cpu) / every, size))
    if arguments.json:
        print(json.dumps({"read_seconds": read_seconds, "costs": [cost._asdict() for cost in costs]}, indent=2))
        return
    print("| what | seconds | processor | every | share | MiB |", "| --- " * 6 + "|", sep="\n")
    for cost in costs:
        print(
            f"| {cost.what} | {cost.seconds:.2f} | {cost.cpu_seconds:.2f} | {cost.every_seconds:.0f} s "
            f"| {cost.share:.2%} | {cost.mib:.1f} |"
        )
    print(f"\nA checkpoint is read in {read_seconds:.2f} s.")


if __name__ == "__main__":
    main()
