"""nstd paints one picture, as a user's script would, by the loss that pastiche minimises.

    python -m rivals.nstd_painting CONTENT STYLE OUTPUT --size 512 --levels 0.5 1 --iterations 50 70
        [--padding zero] [--every K --began SECONDS]

OUTPUT is the picture's file. With `--every` it is a folder instead: the best picture so far is written there after
every K steps at full size, and a line of JSON for each tells the steps, the seconds since `--began` on the monotonic
clock, and the file. What it took to write the earlier ones is not counted.
"""

import argparse
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import nstd
from nstd.weights.store import cache_folder, load_weights
from nstd.worker.environment import tensorflow_environment

os.environ.update(tensorflow_environment(os.environ, cache_folder(os.environ)))

from nstd.config.load import make_preset
from nstd.config.settings import Limits
from nstd.engine.device import claim_device
from nstd.engine.engine import Engine
from nstd.engine.styles import Style
from nstd.engine.terms.content import SCALE
from nstd.engine.transfer import Transfer
from nstd.images.decode import decode_image
from nstd.images.encode import encode_image
from nstd.images.resize import fitted_size, resize_image
from nstd.network import Network
from nstd.preset import OutputFormat, Preset

CONTENT_FACTOR = 0.01
STYLE_LAYERS = {f"block{block}_conv1": 1 for block in range(1, 6)}


def settings(arguments: argparse.Namespace) -> dict[str, object]:
    """Return a preset's settings with the factors that pastiche has."""
    return {
        "size_px": arguments.size,
        "levels": arguments.levels,
        "iterations": arguments.iterations,
        "content_layers": {"block4_conv2": 1},
        "content_weight": CONTENT_FACTOR / SCALE,
        "style_layers": STYLE_LAYERS,
        "padding": arguments.padding,
        "manner": "texture",
        "strength": "raw",
        "chroma_weight": 0,
        "tolerance": 0,
    }


def prepare(content: Path, preset: Preset) -> Transfer:
    """Do what `nstd.stylize` does before the first evaluation."""
    limits = Limits()
    weights = load_weights(Network.VGG19, cache_folder(os.environ))
    engine = Engine(weights.network, weights.arrays, claim_device().precision)
    photo = decode_image(content, limits)
    fitted = resize_image(photo, *fitted_size(photo.shape[1], photo.shape[0], preset.size_px))
    styles = [Style.of(decode_image(style.image, limits), style.image.name, style.weight) for style in preset.styles]
    return engine.transfer(fitted, styles, preset)


def full_size_steps(transfer: Transfer, preset: Preset, every: int) -> Iterator[int]:
    """Paint; yield the number of steps at full size after every so many, and at the end."""
    steps = 0
    for step in transfer.steps():
        if step.level == len(preset.schedule(preset.size_px)) - 1:
            # The level's first evaluation is of its start: no step was done.
            if steps and steps % every == 0:
                yield steps
            steps += 1
    yield steps - 1


def write_as_it_goes(content: Path, preset: Preset, folder: Path, every: int, began: float) -> None:
    """Paint; write the best picture again and again."""
    writing = 0.0
    transfer = prepare(content, preset)
    for steps in full_size_steps(transfer, preset, every):
        paused = time.monotonic()
        file = folder / f"{steps:06}.png"
        file.write_bytes(encode_image(transfer.best, OutputFormat.PNG, 100))
        now = time.monotonic()
        print(json.dumps({"steps": steps, "seconds": now - began - writing, "picture": str(file)}), flush=True)
        writing += now - paused


def main() -> None:
    """Paint."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("content", type=Path)
    parser.add_argument("style", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--size", type=int, required=True)
    parser.add_argument("--levels", type=float, nargs="+", required=True)
    parser.add_argument("--iterations", type=int, nargs="+", required=True)
    parser.add_argument("--padding", default="zero")
    parser.add_argument("--every", type=int, default=0)
    parser.add_argument("--began", type=float, default=0)
    arguments = parser.parse_args()
    given = settings(arguments)
    if arguments.every:
        preset = make_preset([arguments.style], given)
        write_as_it_goes(arguments.content, preset, arguments.output, arguments.every, arguments.began)
    else:
        nstd.stylize(arguments.content, [arguments.style], **given).save(arguments.output)


if __name__ == "__main__":
    main()
