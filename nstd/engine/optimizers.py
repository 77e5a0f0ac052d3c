"""L-BFGS and Adam on one flat vector; the caller evaluates, they move."""

import functools
import math
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol, cast

import tensorflow as tf

from nstd.preset import Optimizer

_SMALLEST_CURVATURE: Final = 1e-10


class Mover(Protocol):
    """Turns a gradient into the next point, and remembers what it needs for that."""

    def update(self, point: tf.Tensor, gradient: tf.Tensor) -> tf.Tensor:
        """Return the point after `point`; both are float32 vectors of the size given at construction."""


class Pair(NamedTuple):
    """One step of the optimiser and what it did to the gradient; `inverse_curvature` is 1 / (step . change)."""

    step: tf.Tensor
    change: tf.Tensor
    inverse_curvature: tf.Tensor


def _dot(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(a * b)


def _two_loop(gradient: tf.Tensor, pairs: list[Pair], scale: tf.Tensor) -> tf.Tensor:
    """Multiply `gradient` by the inverse Hessian that `pairs`, newest first, and `scale` times identity describe.

    Reference:
        Nocedal and Wright 2006, algorithm 7.4.
    """
    direction = gradient
    alphas = []
    for pair in pairs:
        alphas.append(pair.inverse_curvature * _dot(pair.step, direction))
        direction -= alphas[-1] * pair.change
    direction *= scale
    for pair, alpha in zip(reversed(pairs), reversed(alphas), strict=True):
        beta = pair.inverse_curvature * _dot(pair.change, direction)
        direction += (alpha - beta) * pair.step
    return direction


@functools.cache
def _compiled_two_loop(history: int) -> Callable[[tf.Tensor, list[Pair], tf.Tensor], tf.Tensor]:
    """Compile the two loops over `history` pairs, once for vectors of all sizes."""
    vector, scalar = tf.TensorSpec([None]), tf.TensorSpec([])
    # Without a signature, what TensorFlow remembers of each size is never forgotten.
    signature = [vector, [Pair(vector, vector, scalar)] * history, scalar]
    return cast("Callable[..., tf.Tensor]", tf.function(_two_loop, input_signature=signature, autograph=False))


class Lbfgs:
    """Limited-memory BFGS with step length 1 and no line search.

    The first step has length min(1, 1 / |g|_1); pairs whose curvature y.s is not positive are skipped.

    Args:
        size: number of elements of the vector.
        history: how many pairs of step and gradient change are kept.

    Reference:
        Liu and Nocedal 1989; the step rules are those of `torch.optim.LBFGS` with learning rate 1.
    """

    def __init__(self, size: int, history: int = 20) -> None:
        # A pair of zeros changes nothing, and with a constant number of pairs the two loops are compiled once.
        nothing = Pair(tf.zeros([size]), tf.zeros([size]), tf.zeros([]))
        self._pairs = deque([nothing] * history, maxlen=history)
        self._scale = tf.constant(1.0)
        self._two_loop = _compiled_two_loop(history)
        self._previous: tuple[tf.Tensor, tf.Tensor] | None = None

    def update(self, point: tf.Tensor, gradient: tf.Tensor) -> tf.Tensor:
        """Return the point after `point`."""
        previous, self._previous = self._previous, (point, gradient)
        if previous is None:
            return point - gradient * tf.minimum(1.0, 1.0 / tf.reduce_sum(tf.abs(gradient)))
        self._remember(point - previous[0], gradient - previous[1])
        return point - self._two_loop(gradient, list(self._pairs), self._scale)

    def _remember(self, step: tf.Tensor, change: tf.Tensor) -> None:
        curvature = _dot(step, change)
        if curvature > _SMALLEST_CURVATURE:
            self._pairs.appendleft(Pair(step, change, 1 / curvature))
            self._scale = curvature / _dot(change, change)


class Adam:
    """Adam with a cosine-annealed learning rate, on the 0..255 scale of pixels.

    Args:
        size: number of elements of the vector.
        iterations: updates until the learning rate reaches zero.
        learning_rate: the first update's length, in units of the vector.

    Reference:
        Kingma and Ba 2015, algorithm 1, with beta2 = 0.99; Loshchilov and Hutter 2017, eq. 5 without restarts.
    """

    _BETA1: Final = 0.9
    _BETA2: Final = 0.99
    _EPSILON: Final = 1e-8

    def __init__(self, size: int, iterations: int, learning_rate: float = 10.0) -> None:
        self._mean = tf.zeros([size])
        self._square = tf.zeros([size])
        self._iterations = iterations
        self._learning_rate = learning_rate
        self._updates = 0

    def update(self, point: tf.Tensor, gradient: tf.Tensor) -> tf.Tensor:
        """Return the point after `point`."""
        annealed = self._learning_rate * 0.5 * (1 + math.cos(math.pi * self._updates / self._iterations))
        self._updates += 1
        self._mean = self._BETA1 * self._mean + (1 - self._BETA1) * gradient
        self._square = self._BETA2 * self._square + (1 - self._BETA2) * gradient**2
        mean = self._mean / (1 - self._BETA1**self._updates)
        square = self._square / (1 - self._BETA2**self._updates)
        return point - annealed * mean / (tf.sqrt(square) + self._EPSILON)


def make_mover(optimizer: Optimizer, size: int, iterations: int) -> Mover:
    """Build the chosen optimiser for a vector of `size` elements."""
    return Lbfgs(size) if optimizer is Optimizer.LBFGS else Adam(size, iterations)
