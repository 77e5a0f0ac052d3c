"""The one judge of pictures: the loss that pastiche 1.6.0 minimises by default, in float32.

    python -m rivals.judge CONTENT STYLE

It replies to the path of a picture with its loss. Photo and style image are those of `pictures.prepare`, and are taken
as they are. As in pastiche, the network pads with zeros, and the loss is 0.01 * mean((F - F*)^2) at block4_conv2 plus
10 / C^2 * mean((G - G*)^2) at each of block{1..5}_conv1, all after the ReLU, where G = F F^T / (H W). There is no total
variation term. The formulas stand here on their own, so that a change of nstd's losses does not change the judge.
"""

import os
import sys

from nstd.weights.store import cache_folder, load_weights
from nstd.worker.environment import tensorflow_environment
from rivals.answering import answer

os.environ.update(tensorflow_environment(os.environ, cache_folder(os.environ)))

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nstd.engine.device import claim_device
from nstd.engine.extractor import Extractor
from nstd.engine.pixels import preprocess
from nstd.network import Network, Precision

CONTENT_LAYER = "block4_conv2"
STYLE_LAYERS = tuple(f"block{block}_conv1" for block in range(1, 6))

Array = NDArray[np.float32]


def read(file: str) -> Array:
    """Read a picture as `[H, W, 3]`, RGB, 0..255."""
    with Image.open(file) as image:
        return np.asarray(image.convert("RGB"), np.float32)


def gram(features: Array) -> Array:
    """Correlate channels: `[1, H, W, C]` -> `[C, C]`, divided by H * W."""
    flat = features.reshape(-1, features.shape[-1])
    return flat.T @ flat / np.float32(len(flat))


class Judge:
    """Hold the targets.

    Attributes:
        start: loss of the photo, from which pastiche starts.
    """

    def __init__(self, content: str, style: str) -> None:
        claim_device(precision=Precision.FLOAT32)
        weights = load_weights(Network.VGG19, cache_folder(os.environ))
        extractor = Extractor(Network.VGG19, weights.arrays, Precision.FLOAT32)
        self._model = extractor.cut((CONTENT_LAYER, *STYLE_LAYERS))
        photo = read(content)
        self._shape = photo.shape
        self._content = self._features(photo)[0]
        self._grams = [gram(features) for features in self._features(read(style))[1:]]
        self.start = self._loss(photo)

    def loss(self, picture: str) -> float:
        """Return the loss of a picture's file; exit if it has another size than the photo."""
        pixels = read(picture)
        if pixels.shape != self._shape:
            sys.exit(f"{picture}: is {pixels.shape}, expected {self._shape}")
        return self._loss(pixels)

    def _loss(self, pixels: Array) -> float:
        content, *layers = self._features(pixels)
        total = 0.01 * float(np.mean(np.square(content - self._content)))
        for features, target in zip(layers, self._grams, strict=True):
            total += 10 / len(target) ** 2 * float(np.mean(np.square(gram(features) - target)))
        return total

    def _features(self, pixels: Array) -> list[Array]:
        return [np.asarray(tensor) for tensor in self._model(preprocess(pixels)).values()]


def main() -> None:
    """Answer."""
    judge = Judge(sys.argv[1], sys.argv[2])
    answer({"start": judge.start}, judge.loss)


if __name__ == "__main__":
    main()
