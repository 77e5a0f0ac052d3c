"""How much loss a painting has that was painted in the precision that `auto` picks, beside one in float32.

    python benchmarks/precision.py [--size 256] [--quality standard] [--json]

Each pair of benchmarks/pictures.py is painted in both, and both pictures are given the loss of the default preset in
float32. `padding: zero`, as the mirrored margin is not part of a picture.
"""

import argparse
import json
import os
from typing import NamedTuple

from pictures import ASSETS, PAIRS

from nstd.weights.store import cache_folder, load_weights
from nstd.worker.environment import tensorflow_environment

os.environ.update(tensorflow_environment(os.environ, cache_folder(os.environ)))

from nstd.config.settings import Limits
from nstd.engine.device import claim_device
from nstd.engine.engine import Engine
from nstd.engine.evaluator import WholeEvaluator
from nstd.engine.extractor import Extractor
from nstd.engine.objective import Objective
from nstd.engine.pixels import Picture, preprocess
from nstd.engine.styles import Style
from nstd.images.decode import decode_image
from nstd.images.resize import fitted_size, resize_image, same_pixels_size
from nstd.network import Network, Precision
from nstd.pyramid import Quality
from nstd.transfer_settings import Padding, TransferSettings


class Row(NamedTuple):
    """One pair; losses are totals in float32.

    Attributes:
        photo: its name.
        style: the style image's name.
        loss: of the picture that was painted in the precision of `auto`.
        float32_loss: of the one painted in float32.
        more: share by which the first is higher.
    """

    photo: str
    style: str
    loss: float
    float32_loss: float
    more: float


def read(kind: str, name: str) -> Picture:
    """Read one of the project's own pictures."""
    return decode_image(ASSETS / kind / f"{name}.jpg", Limits())


def paint(engine: Engine, photo: Picture, style: str, settings: TransferSettings) -> Picture:
    """Paint."""
    transfer = engine.transfer(photo, [Style.of(read("styles", style), style)], settings)
    for _ in transfer.steps():
        pass
    return transfer.best


def loss(judge: WholeEvaluator, photo: Picture, style: str, settings: TransferSettings, picture: Picture) -> float:
    """Return a picture's total loss."""
    height, width, _ = photo.shape
    image = read("styles", style)
    image = resize_image(image, *same_pixels_size(image.shape[1], image.shape[0], height * width))
    losses, _ = judge(preprocess(picture), judge.objective.whole_aims(settings, photo, image))
    return float(losses[0])


def main() -> None:
    """Paint all pairs in both precisions and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=256, help="long side in pixels")
    parser.add_argument("--quality", type=Quality, default=Quality.STANDARD, help="draft, standard or high")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    precision = claim_device().precision
    weights = load_weights(Network.VGG19, cache_folder(os.environ)).arrays
    settings = TransferSettings(quality=arguments.quality, padding=Padding.ZERO)
    engines = [Engine(Network.VGG19, weights, each) for each in (precision, Precision.FLOAT32)]
    judge = WholeEvaluator(Objective(Extractor(Network.VGG19, weights, Precision.FLOAT32), settings))
    rows = []
    if not arguments.json:
        print(f"| pair | loss, {precision} | loss, float32 | more |", "| --- | --- | --- | --- |", sep="\n")
    for name, style in PAIRS:
        photo = read("photos", name)
        photo = resize_image(photo, *fitted_size(photo.shape[1], photo.shape[0], arguments.size))
        pictures = [paint(engine, photo, style, settings) for engine in engines]
        own, exact = (loss(judge, photo, style, settings, picture) for picture in pictures)
        rows.append(Row(name, style, round(own, 2), round(exact, 2), round(own / exact - 1, 4)))
        if not arguments.json:
            print(f"| {name}, {style} | {own:.2f} | {exact:.2f} | {rows[-1].more:+.2%} |", flush=True)
    if arguments.json:
        print(json.dumps({"precision": precision, "pairs": [row._asdict() for row in rows]}, indent=2))


if __name__ == "__main__":
    main()
