"""Paint pictures of many sizes, each in a thread of its own as a worker does; print by how many MiB that grew memory.

Usage: painting_many_sizes.py CACHE
"""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from nstd.engine.engine import Engine
from nstd.engine.styles import Style
from nstd.network import Network, Precision
from nstd.transfer_settings import TransferSettings
from nstd.weights.store import load_weights

# Their statistics, which are kept on purpose, are small.
SETTINGS = TransferSettings(manner="texture", style_layers={"block1_conv1": 1}, levels=(1,), iterations=(2,))


def paint(engine: Engine, side: int) -> None:
    photo = np.random.default_rng(side).uniform(0, 255, (side, 48, 3)).astype(np.float32)
    for _ in engine.transfer(photo, [Style.of(photo, "noise")], SETTINGS).steps():
        pass


def resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def main() -> None:
    engine = Engine(Network.VGG19, load_weights(Network.VGG19, Path(sys.argv[1])).arrays, Precision.BFLOAT16)
    before = 0.0
    for side in range(64, 96):
        with ThreadPoolExecutor(1) as thread:
            thread.submit(paint, engine, side).result()
        if side == 72:
            before = resident_mib()
    sys.stdout.write(f"{resident_mib() - before}\n")


if __name__ == "__main__":
    main()
