"""Paint one picture in this process, without a pyramid, and print in JSON what it took.

    python -m growing.painting SIZE STYLES ITERATIONS

The photo is a square with sides of SIZE pixels, and so are the STYLES style images, each of its own aspect. The network
pads with zeros, so that the evaluations are of SIZE * SIZE pixels and no margin.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

from nstd.config.load import make_preset
from nstd.worker.messages import Stepped
from nstd.worker.oneshot import paint

from .pictures import cut, sizes
from .steps import Steps


def main() -> None:
    """Paint."""
    size_px, styles, iterations = map(int, sys.argv[1:])
    with tempfile.TemporaryDirectory(prefix="nstd-growth-") as name:
        folder = Path(name)
        photo = cut("photos", 0, (size_px, size_px), folder)
        images = [cut("styles", number, size, folder) for number, size in enumerate(sizes(styles, size_px))]
        settings = {"size_px": size_px, "levels": [1], "iterations": iterations, "padding": "zero"}
        steps, cpu_steps = Steps(time.monotonic()), Steps(time.process_time())

        def note(event: Stepped) -> None:
            steps.add(event.level, time.monotonic())
            cpu_steps.add(event.level, time.process_time())

        painting = paint(photo, make_preset(images, settings), folder / "picture.png", note)
    facts = {
        "step_seconds": steps.warm_seconds,
        "step_cpu_seconds": cpu_steps.warm_seconds,
        "style_seconds": painting.seconds.style_targets,
    }
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
