"""L-BFGS and Adam on an image; the caller evaluates, they move.

What an optimiser remembers is a value: `start` makes it, and `update` maps it to the next, inside a compiled call.
"""

import math
from collections.abc import Sequence
from typing import Any, Final, NamedTuple, Protocol

import tensorflow as tf

from nstd.engine.curvature import BANDS, BANDS_SPEC, Bands, apply_initial, band_products, bands_of
from nstd.engine.pixels import IMAGE
from nstd.transfer_settings import Optimizer as Choice

HISTORY: Final = 8
"""With 20 the loss is the same to 1.5 %, after 20 steps and after 70, and a checkpoint is twice as large."""
SPARE_HISTORY: Final = 5

_SCALAR: Final = tf.TensorSpec([])


class Optimizer(Protocol):
    """Turns a gradient into the next image.

    Attributes:
        signatures: of what it remembers, with open sizes; the first is its own, `fitted` takes all.
        grid_signature: of what `grid` returns.
    """

    signatures: Sequence[Any]
    grid_signature: Any

    def start(self, image: tf.Tensor, iterations: int, pace: float = 1) -> Any:  # noqa: ANN401  each has its own memory
        """Return what is remembered before the first of so many updates of an image.

        Args:
            image: `[1, H, W, 3]`.
            iterations: updates that are to come.
            pace: of the first of them, where 1 is the usual; with less, each may be twice as fast as the one before.
        """

    def renewed(self, memory: Any, image: tf.Tensor) -> Any:  # noqa: ANN401
        """Return what is remembered of an image whose next gradient is that of another loss."""

    def fitted(self, memory: Any) -> Any:  # noqa: ANN401
        """Return what this optimiser keeps of what another of its kind remembers."""

    def grid(self, height: int, width: int) -> Any:  # noqa: ANN401
        """Return what depends on nothing but the image's size, and is made once for it."""

    def update(self, memory: Any, image: tf.Tensor, gradient: tf.Tensor, grid: Any) -> tuple[tf.Tensor, Any]:  # noqa: ANN401
        """Return the image after `image`, and what is remembered then."""


class Pair(NamedTuple):
    """One step of the optimiser and what it did to the gradient.

    Attributes:
        step: `[1, H, W, 3]`.
        change: `[1, H, W, 3]`, of the gradient.
        inverse_curvature: 1 / (step . change), or 0 for a pair that is passed over.
        products: `[2, 3, BANDS]`, see `band_products`; zero for a pair that is passed over.
    """

    step: tf.Tensor
    change: tf.Tensor
    inverse_curvature: tf.Tensor
    products: tf.Tensor


class LbfgsMemory(NamedTuple):
    """The last evaluation's image and gradient, the length of a first step, and the last pairs, newest first."""

    image: tf.Tensor
    gradient: tf.Tensor
    first_step: tf.Tensor
    pairs: tuple[Pair, ...]


class Lbfgs:
    """Limited-memory BFGS with step length 1 and no line search.

    The first step changes the pixels by three levels in the root mean square, and no step is more than twice as long as
    the one before: what the first ones know of the curvature may be far off. A pair whose curvature is not clearly
    positive is passed over. Nothing depends on the loss's scale.

    Args:
        history: how many pairs are kept.

    Reference:
        Liu and Nocedal 1989. Differs: the initial inverse Hessian, see `apply_initial`.
    """

    _FIRST_STEP: Final = 3.0
    _GROWTH: Final = 2.0
    _SMALLEST_COSINE: Final = 1e-6
    _PAIRS_FOR_INITIAL: Final = 5

    def __init__(self, history: int = HISTORY) -> None:
        self._history = history
        pair = Pair(IMAGE, IMAGE, _SCALAR, tf.TensorSpec([2, 3, BANDS]))
        lengths = dict.fromkeys((history, HISTORY, SPARE_HISTORY))
        self.signatures: Sequence[Any] = [LbfgsMemory(IMAGE, IMAGE, _SCALAR, (pair,) * length) for length in lengths]
        self.grid_signature = BANDS_SPEC

    def start(self, image: tf.Tensor, iterations: int, pace: float = 1) -> LbfgsMemory:  # noqa: ARG002  as above
        """Return a memory of pairs that change nothing."""
        first_step = tf.constant(pace * self._FIRST_STEP)
        return LbfgsMemory(image, tf.zeros_like(image), first_step, (_no_pair(image),) * self._history)

    def renewed(self, memory: LbfgsMemory, image: tf.Tensor) -> LbfgsMemory:
        """Keep the pairs: the curvature is about the same. The next one has no step, and is passed over."""
        return memory._replace(image=image, gradient=tf.zeros_like(image))

    def fitted(self, memory: LbfgsMemory) -> LbfgsMemory:
        """Keep the newest pairs, or add some that change nothing."""
        missing = self._history - len(memory.pairs)
        return memory._replace(pairs=(*memory.pairs[: self._history], *(_no_pair(memory.image),) * missing))

    def grid(self, height: int, width: int) -> Bands:
        """Return the bands of the spectrum."""
        return bands_of(height, width)

    def update(
        self, memory: LbfgsMemory, image: tf.Tensor, gradient: tf.Tensor, grid: Bands
    ) -> tuple[tf.Tensor, LbfgsMemory]:
        """Return the image after `image`, and what is remembered then."""
        pair = self._pair(image - memory.image, gradient - memory.gradient, grid)
        memory = LbfgsMemory(image, gradient, memory.first_step, (pair, *memory.pairs[:-1]))
        direction = self._direction(memory, grid)
        longest = tf.maximum(memory.first_step, self._GROWTH * _root_mean_square(pair.step))
        return image - direction * _shortened(direction, longest), memory

    def _pair(self, step: tf.Tensor, change: tf.Tensor, bands: Bands) -> Pair:
        curvature = _dot(step, change)
        accepted = curvature > self._SMALLEST_COSINE * tf.norm(step) * tf.norm(change)
        products = tf.where(accepted, band_products(step, change, bands), 0.0)
        return Pair(step, change, tf.where(accepted, tf.math.reciprocal_no_nan(curvature), 0.0), products)

    def _direction(self, memory: LbfgsMemory, bands: Bands) -> tf.Tensor:
        """Multiply the last gradient by the inverse Hessian.

        Reference:
            Nocedal and Wright 2006, algorithm 7.4.
        """
        direction = memory.gradient
        alphas = []
        for pair in memory.pairs:
            alphas.append(pair.inverse_curvature * _dot(pair.step, direction))
            direction -= alphas[-1] * pair.change
        direction = self._initial(direction, memory, bands)
        for pair, alpha in zip(reversed(memory.pairs), reversed(alphas), strict=True):
            beta = pair.inverse_curvature * _dot(pair.change, direction)
            direction += (alpha - beta) * pair.step
        return direction

    def _initial(self, direction: tf.Tensor, memory: LbfgsMemory, bands: Bands) -> tf.Tensor:
        products = tf.add_n([pair.products for pair in memory.pairs[: self._PAIRS_FOR_INITIAL]])
        return tf.where(
            tf.reduce_any(products != 0),
            apply_initial(direction, products, bands),
            memory.first_step * tf.math.divide_no_nan(direction, _root_mean_square(direction)),
        )


class AdamMemory(NamedTuple):
    """The gradient's running mean and mean square, the updates so far and in all, and the first one's pace."""

    mean: tf.Tensor
    square: tf.Tensor
    updates: tf.Tensor
    iterations: tf.Tensor
    pace: tf.Tensor


class Adam:
    """Adam with a cosine-annealed learning rate, on the 0..255 scale of pixels.

    Args:
        learning_rate: the first update's length, in levels of 0..255.

    Reference:
        Kingma and Ba 2015, algorithm 1, with beta2 = 0.99; Loshchilov and Hutter 2017, eq. 5 without restarts.
    """

    _BETA1: Final = 0.9
    _BETA2: Final = 0.99
    _EPSILON: Final = 1e-8

    def __init__(self, learning_rate: float = 10.0) -> None:
        self._learning_rate = learning_rate
        self.signatures: Sequence[Any] = [AdamMemory(IMAGE, IMAGE, _SCALAR, _SCALAR, _SCALAR)]
        self.grid_signature = ()

    def start(self, image: tf.Tensor, iterations: int, pace: float = 1) -> AdamMemory:
        """Return a memory of nothing."""
        nothing = tf.zeros_like(image)
        return AdamMemory(nothing, nothing, tf.zeros([]), tf.constant(float(iterations)), tf.constant(float(pace)))

    def renewed(self, memory: AdamMemory, image: tf.Tensor) -> AdamMemory:  # noqa: ARG002  as the protocol has it
        """Keep all of it."""
        return memory

    def fitted(self, memory: AdamMemory) -> AdamMemory:
        """Keep all of it."""
        return memory

    def grid(self, height: int, width: int) -> tuple[()]:  # noqa: ARG002  as the protocol has it
        """Return nothing."""
        return ()

    def update(
        self,
        memory: AdamMemory,
        image: tf.Tensor,
        gradient: tf.Tensor,
        grid: tuple[()],  # noqa: ARG002  as above
    ) -> tuple[tf.Tensor, AdamMemory]:
        """Return the image after `image`, and what is remembered then."""
        annealed = self._learning_rate * 0.5 * (1 + tf.cos(math.pi * memory.updates / memory.iterations))
        annealed *= tf.minimum(1.0, memory.pace * 2**memory.updates)
        updates = memory.updates + 1
        mean = self._BETA1 * memory.mean + (1 - self._BETA1) * gradient
        square = self._BETA2 * memory.square + (1 - self._BETA2) * gradient**2
        unbiased_mean = mean / (1 - self._BETA1**updates)
        unbiased_square = square / (1 - self._BETA2**updates)
        moved = image - annealed * unbiased_mean / (tf.sqrt(unbiased_square) + self._EPSILON)
        return moved, AdamMemory(mean, square, updates, memory.iterations, memory.pace)


def make_optimizer(choice: Choice, *, spare_memory: bool = False) -> Optimizer:
    """Build the chosen optimiser; one that spares memory remembers less, and is as good for a few dozen steps."""
    if choice is Choice.ADAM:
        return Adam()
    return Lbfgs(SPARE_HISTORY) if spare_memory else Lbfgs()


def _no_pair(image: tf.Tensor) -> Pair:
    nothing = tf.zeros_like(image)
    return Pair(nothing, nothing, tf.zeros([]), tf.zeros([2, 3, BANDS]))


def _shortened(step: tf.Tensor, longest: tf.Tensor) -> tf.Tensor:
    """Return the factor that brings a step to this root mean square, if it has more."""
    length = _root_mean_square(step)
    return tf.where(length > longest, longest / length, 1.0)


def _root_mean_square(image: tf.Tensor) -> tf.Tensor:
    return tf.sqrt(tf.reduce_mean(image**2))


def _dot(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(a * b)
