"""What is timed to say how fast a machine paints: evaluations, steps, and matrix products beside them."""

import math
import resource
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final, NamedTuple

import numpy as np
import tensorflow as tf

from nstd.engine.descent import Descent
from nstd.engine.device import claim_device
from nstd.engine.engine import Engine
from nstd.engine.extractor import LayerArrays
from nstd.engine.features import block_of
from nstd.engine.margin import MARGIN_PX
from nstd.engine.pixels import Picture, preprocess
from nstd.engine.rounds import Rounds, round_starts
from nstd.images.resize import MIN_SIDE_PX
from nstd.network import Network, Precision
from nstd.transfer_settings import TransferSettings

MATMUL_SIDE: Final = 4096
_LEAST_SECONDS: Final = 0.1
"""A GPU is done with one product before the host has asked for it."""


_STYLE_PX: Final = 64
"""Statistics are as large whatever the style image's size, and measuring them at any other would take its time."""


class Work(NamedTuple):
    """What a painting takes, in pixels.

    Attributes:
        evaluated: of all evaluations.
        matched: of all pictures that are matched with the styles.
    """

    evaluated: int
    matched: int


class Trial:
    """Evaluations, steps and matches of one descent on a square picture of noise, as when a photo is painted.

    Args:
        descent: for the layers and the optimiser of `settings`.
        settings: of the transfer.
        size_px: side of the picture.
    """

    def __init__(
        self,
        descent: Descent,
        settings: TransferSettings,
        size_px: int,
    ) -> None:
        photo, style = (_noise(side) for side in (size_px, _STYLE_PX))
        image = preprocess(photo)
        self._image = image
        self._descent = descent
        self._level_aims = descent.objective.whole_aims(settings, photo, style, matched=False)
        self._rounds = Rounds(descent.objective.matcher, settings)
        self._rounds.begin(0, image)
        self.match()
        self._canvas = descent.start(image, 1)

    def step(self) -> None:
        """Take one step of the optimiser, to its end."""
        self._canvas, losses = self._descent.step(self._canvas, self._aims)
        _wait_for(losses, self._canvas.image)

    def evaluate(self) -> None:
        """Compute loss and gradient, to the end."""
        _wait_for(*self._descent.evaluate(self._image, self._aims))

    def match(self) -> None:
        """Find out what a round aims at, to the end; nothing to do where nothing is matched."""
        self._aims = self._rounds.aims(1, self._level_aims)
        _wait_for(*tf.nest.flatten(self._aims.terms))


class Product:
    """The product of two square matrices in one precision; more of them at once, where one is done in no time.

    Attributes:
        flop: floating-point operations of a call.
    """

    def __init__(
        self, precision: Precision, side: int = MATMUL_SIDE, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        matrix = tf.cast(tf.random.normal([side, side], seed=1), precision.value)
        self._product = tf.function(lambda: tf.matmul(matrix, matrix), autograph=False)
        self._count = 1
        self()  # TensorFlow compiles it
        began = clock()
        self()
        self._count = max(1, math.ceil(_LEAST_SECONDS / (clock() - began)))
        self.flop = self._count * 2 * side**3

    def __call__(self) -> None:
        """Multiply, to the end."""
        for _ in range(self._count):
            product = self._product()
        _wait_for(product)


class Machine:
    """This machine's device with all that is timed on it, compiled and warm.

    Args:
        transfer: what an evaluation and a step are of.
        network: which architecture.
        weights: `(kernel [3, 3, in, out], bias [out])` of every convolution of it, by layer name.

    Attributes:
        device: what computes.
        product: matrix products in the device's precision.
        flop_per_pixel: floating-point operations of an evaluation, by the image's pixels.

    Raises:
        ConfigError: the machine has no such device.
    """

    def __init__(self, transfer: TransferSettings, network: Network, weights: Mapping[str, LayerArrays]) -> None:
        self.device = claim_device()
        self.flop_per_pixel = flop_per_pixel(weights, transfer)
        self._transfer = transfer
        self._descent = Engine(network, weights, self.device.precision).descent(transfer)
        self.product = Product(self.device.precision)
        trial = self.trial(MIN_SIDE_PX)
        trial.step()
        trial.evaluate()

    def trial(self, size_px: int) -> Trial:
        """Prepare what is timed at one size."""
        return Trial(self._descent, self._transfer, size_px)

    @staticmethod
    @contextmanager
    def within_memory() -> Iterator[None]:
        """Turn TensorFlow's complaint that memory does not suffice into Python's own.

        Raises:
            MemoryError: it does not.
        """
        try:
            yield
        except tf.errors.ResourceExhaustedError as error:
            raise MemoryError from error

    @staticmethod
    def work(settings: TransferSettings, size_px: int) -> Work:
        """Add up what a painting of a square picture takes, if no level ends early.

        Args:
            settings: of the painting.
            size_px: side of the picture; each level has margins beside it.
        """
        evaluated = matched = 0
        for level, (fraction, steps) in enumerate(settings.schedule(size_px)):
            pixels = (round(size_px * fraction) + 2 * MARGIN_PX) ** 2
            evaluated += (steps + 1) * pixels
            if settings.has_rounds:
                starts = round_starts(level, steps, settings.round_steps)
                matched += (len(starts) - (level == 0)) * pixels
        return Work(evaluated, matched)

    @staticmethod
    def peak_memory_mib() -> float:
        """Return the most memory so far: what TensorFlow took of the GPU; without one, what this process held."""
        if tf.config.get_visible_devices("GPU"):
            return float(tf.config.experimental.get_memory_info("GPU:0")["peak"] / 2**20)
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def flop_per_pixel(kernels: Mapping[str, LayerArrays], settings: TransferSettings) -> float:
    """Count the floating-point operations of an evaluation, by the image's pixels: convolutions and Gram matrices.

    A convolution is done there and back. A Gram matrix counts as three products: itself and the gradients by its two
    factors, although `second_moment` makes do with one for both.

    Args:
        kernels: `(kernel [3, 3, in, out], bias [out])` of every convolution, by layer name.
        settings: with the layers; the style is compared by Gram matrices.
    """
    # Their names sort from shallow to deep.
    content = (layer for comparison in settings.recipe.content.values() for layer in comparison.layers)
    deepest = max(*content, *settings.style_layers)
    convolutions = sum(kernel.size * _positions(name) for name, (kernel, _) in kernels.items() if name <= deepest)
    grams = sum(len(kernels[name][1]) ** 2 * _positions(name) for name in settings.style_layers)
    return 2.0 * (2 * convolutions + 3 * grams)


def _positions(layer: str) -> float:
    """Return how many positions a layer has for each pixel: every block has half the height and width of the last."""
    return 4.0 / 4.0 ** block_of(layer)


def _noise(side: int) -> Picture:
    return np.random.default_rng(side).random((side, side, 3), np.float32) * 255


def _wait_for(*tensors: tf.Tensor) -> None:
    """Bring a number of each to the host: a GPU computes when it likes."""
    for tensor in tensors:
        float(tf.reshape(tensor, [-1])[0])
