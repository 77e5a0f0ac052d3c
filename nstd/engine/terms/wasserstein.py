"""Style by mean and covariance: the distance of two Gaussians."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Final, NamedTuple

import tensorflow as tf

from nstd.engine.products import product
from nstd.engine.terms.layerwise import LayerwiseStyle
from nstd.engine.terms.sums import Sums, first_moment, second_moment
from nstd.transfer_settings import TransferSettings

SCALE: Final = 1.0
"""Leaves as much of the photo as Gram matrices do with the same weights.

Before the first step Gram matrices weigh some 20 times as much, but their loss is of the fourth power of the features
where this one is of the second, so that it is sooner small.
"""

_RIDGE: Final = 0.05
"""Share of a channel's average variance. 512 channels have full rank with it at any size; the loss is 5 % less."""

_LEAST_RIDGE: Final = 1e-3
"""For a style without any variance."""

_LEAST_ROOT: Final = 1e-3
"""With that ridge the least roots of VGG's layers are 0.7 to 2.5 thousandths of the norm's, at 64 and 128 px."""

_ITERATIONS: Final = 10
"""Gives the gradient to 0.05 % and the loss to 0.005 %; 9 give both to 1 %, 8 to 20 %, and each costs a tenth."""

_LARGEST_FACTOR: Final = 1.7


class Moments(NamedTuple):
    """Means of a layer's features over all positions: `first` is E[f], `[C]`, and `second` is E[f f^T], `[C, C]`."""

    first: tf.Tensor
    second: tf.Tensor


class Gaussian(NamedTuple):
    """A Gaussian to compare with.

    Attributes:
        mean: `[C]`.
        ridge: scalar variance that is added to every channel, of both Gaussians that are compared.
        root: `[C, C]`, the square root of the covariance with its ridge.
    """

    mean: tf.Tensor
    ridge: tf.Tensor
    root: tf.Tensor


@dataclass(frozen=True)
class Wasserstein(LayerwiseStyle):
    """Compare features with the style's as if both were normally distributed."""

    name: ClassVar[str] = "wasserstein"
    photo_share: ClassVar[float] = 0.2

    def measure(self, features: tf.Tensor, guide: tf.Tensor) -> Sums:
        """Add up features and their products."""
        return Sums(tf.reduce_sum(guide), Moments(first_moment(features, guide), second_moment(features, guide)))

    def target(self, mean: Moments) -> Gaussian:
        """Make a Gaussian of the style's moments, of one picture or averaged over several."""
        ridge = _RIDGE * tf.reduce_mean(tf.linalg.diag_part(_covariance(mean, 0.0))) + _LEAST_RIDGE
        root, _ = square_roots(_covariance(mean, ridge))
        return Gaussian(mean.first, ridge, root)

    def target_spec(self, channels: int) -> Gaussian:
        """Return those of a Gaussian."""
        return Gaussian(tf.TensorSpec([channels]), tf.TensorSpec([]), tf.TensorSpec([channels, channels]))

    def distance(self, mean: Moments, target: Gaussian) -> tf.Tensor:
        """Compare the moments with a Gaussian; a float32 scalar.

        Reference:
            Dowson and Landau 1982, the squared Wasserstein-2 distance of two Gaussians; as a style loss in Katherine
            Crowson's style-transfer-pytorch. Differs: divided by C, times `SCALE`; both covariances have a ridge.
        """
        apart = tf.reduce_sum(tf.square(mean.first - target.mean))
        apart += transport_cost(_covariance(mean, target.ridge), target.root)
        return SCALE / mean.first.shape[-1] * apart


def term(settings: TransferSettings) -> Wasserstein:
    """Make the term for the style layers of the settings."""
    return Wasserstein(tuple(sorted(settings.style_layers)))


def transport_cost(covariance: tf.Tensor, root: tf.Tensor) -> tf.Tensor:
    """Return tr(B + A - 2 (A^1/2 B A^1/2)^1/2) for B = `covariance` and A^1/2 = `root`, both `[C, C]`; a scalar.

    T = A^1/2 (A^1/2 B A^1/2)^-1/2 A^1/2 is the map that carries the Gaussian B to A. With D = I - T the value is
    tr(D B D), which is free of cancellation, and the derivative by B is D. No gradient goes into `root`.
    """
    fixed = tf.stop_gradient(covariance)
    _, inverse = square_roots(product(product(root, fixed), root))
    away = tf.stop_gradient(tf.eye(root.shape[-1]) - product(product(root, inverse), root))
    slope = tf.reduce_sum(away * covariance)
    # The slope is linear in the covariance and brings the gradient; taken from itself it leaves the value alone.
    return tf.reduce_sum(away * product(fixed, away)) + (slope - tf.stop_gradient(slope))


def square_roots(matrix: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the square root of a positive definite `[C, C]` matrix and that root's inverse.

    Where an eigenvalue is less than `_LEAST_ROOT` squared of the matrix's norm, the inverse comes out too small.

    Reference:
        Higham 2008, eq. 6.35, the coupled Newton-Schulz iteration. Differs: each step is scaled, as in Chen
        and Chow 2014 for the sign function, so that 10 steps do what takes 20 without.
    """
    # By way of the trace, because the squares of the entries may be more than float32 holds.
    norm = tf.linalg.trace(matrix)
    norm *= tf.norm(matrix / norm)
    first, *others = _step_factors()
    root = matrix / norm
    inverse = _step(root, first)
    root = product(root, inverse)
    for factor in others:
        step = _step(product(inverse, root), factor)
        root, inverse = product(root, step), product(step, inverse)
    return root * tf.sqrt(norm), inverse * tf.math.rsqrt(norm)


def _step(matrix: tf.Tensor, factor: float) -> tf.Tensor:
    return factor / 2 * (3 * tf.eye(matrix.shape[-1]) - factor**2 * matrix)


def _step_factors() -> Iterator[float]:
    """Scale each step so that it lifts the smallest root as far as it can without turning over the largest, 1."""
    least = _LEAST_ROOT
    for _ in range(_ITERATIONS):
        # At the square root of 3 a step takes 1 to 0, and a rounding error beyond it to the wrong sign.
        factor = min(_LARGEST_FACTOR, math.sqrt(3 / (1 + least + least**2)))
        least *= factor * (3 - (factor * least) ** 2) / 2
        yield factor


def _covariance(mean: Moments, ridge: tf.Tensor) -> tf.Tensor:
    centred = mean.second - mean.first[:, tf.newaxis] * mean.first
    return centred + ridge * tf.eye(mean.first.shape[-1])
