"""How near a picture is to its style and to its photo, by figures that nstd does not minimise as such."""

import math
import os
from typing import Final, NamedTuple

import numpy as np
from detail import chroma
from numpy.typing import NDArray
from PIL import Image

from nstd.engine.compiled import compiled
from nstd.engine.extractor import Extractor
from nstd.engine.pixels import IMAGE, preprocess
from nstd.images.oklab import oklab_of
from nstd.network import Network, Precision, layer_names
from nstd.weights.store import cache_folder, load_weights

LAYERS: Final = layer_names(Network.VGG19)
NEAREST_LAYERS: Final = ("block1_conv2", "block2_conv2", "block3_conv4", "block4_conv4")
SIMILARITY_LAYER: Final = "block4_conv4"
DIRECTIONS: Final = 48
QUANTILES: Final = (np.arange(512) + 0.5) / 512
POSITIONS: Final = 2048
BINS: Final = 10
PARTS: Final = 4096
SEED: Final = 12345

Array = NDArray[np.float32]


class Figures(NamedTuple):
    """Measures of one picture; for all but `chroma`, less is better.

    Attributes:
        swd: sliced Wasserstein distance of the features to the style's, mean of all 16 layers, each in standard
            deviations of the style's.
        os: mean cosine distance of the picture's features to the nearest of the style, mean of four layers.
        so: of the style's features to the nearest of the picture.
        content: self-similarity distance to the photo at block4_conv4 (Kolkin et al. 2019, eq. 7).
        palette: Hellinger distance of the colours to the style's, in a histogram of Oklab of 10 x 10 x 10.
        chroma: deviation of the colours finer than 0.25 cycles a pixel, by the style's; 1 is right.
    """

    swd: float
    os: float
    so: float
    content: float
    palette: float
    chroma: float


class Judge:
    """Hold the network, in float32 whatever the processor is good at."""

    def __init__(self) -> None:
        arrays = load_weights(Network.VGG19, cache_folder(os.environ)).arrays
        self._features = compiled(Extractor(Network.VGG19, arrays, Precision.FLOAT32).cut(LAYERS), [IMAGE])

    def figures(self, picture: Image.Image, photo: Image.Image, style: Image.Image) -> Figures:
        """Measure a picture beside its photo, of the same size, and its style image, of as many pixels."""
        ours, theirs, original = (self._seen(image) for image in (picture, style, photo))
        distances = [_nearest(ours[layer], theirs[layer]) for layer in NEAREST_LAYERS]
        return Figures(
            swd=float(np.mean([_sliced(ours[layer], theirs[layer]) for layer in LAYERS])),
            os=float(np.mean([there for there, _ in distances])),
            so=float(np.mean([back for _, back in distances])),
            content=_unlike(ours[SIMILARITY_LAYER], original[SIMILARITY_LAYER]),
            palette=_hellinger(_palette(picture), _palette(style)),
            chroma=chroma(picture) / chroma(style),
        )

    def _seen(self, image: Image.Image) -> dict[str, Array]:
        features = self._features(preprocess(np.asarray(image, np.float32)))
        return {name: tensor.numpy().reshape(-1, tensor.shape[-1]) for name, tensor in features.items()}


def _sliced(ours: Array, theirs: Array) -> float:
    directions = np.random.default_rng(SEED).normal(size=(ours.shape[1], DIRECTIONS)).astype(np.float32)
    directions /= np.linalg.norm(directions, axis=0)
    projected = theirs @ directions
    ranked = (np.quantile(values, QUANTILES, axis=0) for values in (projected, ours @ directions))
    return float(np.mean(np.abs(np.subtract(*ranked)).mean(0) / projected.std(0)))


def _nearest(ours: Array, theirs: Array) -> tuple[float, float]:
    rng, mean = np.random.default_rng(SEED), theirs.mean(0)
    drawn = (rng.choice(each, min(len(each), POSITIONS), replace=False) for each in (theirs, ours))
    style, picture = (_unit(some - mean) for some in drawn)
    distances = 1 - picture @ style.T
    return float(distances.min(1).mean()), float(distances.min(0).mean())


def _unlike(ours: Array, photo: Array) -> float:
    kept = slice(None, None, math.ceil(len(ours) / PARTS))
    return float(np.abs(_likeness(ours[kept]) - _likeness(photo[kept])).sum(0).mean())


def _likeness(features: Array) -> Array:
    directions = _unit(features)
    distances = 1 - directions @ directions.T
    return distances / distances.sum(0, keepdims=True)


def _unit(vectors: Array) -> Array:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)


def _palette(image: Image.Image) -> NDArray[np.float64]:
    colours = oklab_of(np.asarray(image, np.float32)).reshape(-1, 3)
    counts, _ = np.histogramdd(colours, BINS, ((0, 1), (-0.25, 0.25), (-0.25, 0.25)))
    return counts / counts.sum()


def _hellinger(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> float:
    return math.sqrt(max(0.0, 1 - float(np.sqrt(ours * theirs).sum())))
