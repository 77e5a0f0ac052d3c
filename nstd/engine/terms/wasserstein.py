"""Style statistics: what is compared of a layer's features regardless of where in the picture they are.

Each kind measures raw statistics, which may be averaged over style images, makes a target of them, and compares the
generated image's raw statistics with the target. All are float32, on the network's own scale (BGR, mean-subtracted,
0..255).
"""

import math
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import tensorflow as tf

from nstd.preset import StyleStatistics

GRAM_SCALE: Final = 10.0
"""Brings the style of a typical pair to the order of its content, so that weights around 1 are the useful ones."""

WASSERSTEIN_SCALE: Final = 1.0
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
    """Raw statistics of a layer's features over all positions: `mean` is `[C]`, `second` is E[f f^T], `[C, C]`."""

    mean: tf.Tensor
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


class Kind(NamedTuple):
    """One kind of style statistics.

    Attributes:
        measure: maps features `[1, H, W, C]` to raw statistics: tensors that may be averaged over pictures.
        target: maps raw statistics to what `loss` compares with.
        loss: maps the generated image's raw statistics and a target to a float32 scalar.
        target_spec: maps a number of channels to the specs of a target's tensors.
    """

    measure: Callable[[tf.Tensor], Any]
    target: Callable[[Any], Any]
    loss: Callable[[Any, Any], tf.Tensor]
    target_spec: Callable[[int], Any]


def gram_matrix(features: tf.Tensor) -> tf.Tensor:
    """Correlate channels: `[1, H, W, C]` -> `[C, C]` float32, divided by H * W.

    Reference:
        Gatys et al. 2016, eq. 3. Differs: divided by the number of positions, so that the scale does not depend on
        the picture's size.
    """
    positions = tf.cast(tf.reshape(features, [-1, features.shape[-1]]), tf.float32)
    count = tf.cast(tf.shape(positions)[0], tf.float32)
    # Both factors are the same, so one of them can carry the gradient of both: one product instead of two and their
    # sum. The mirrored term is zero and brings the other's share. (A custom gradient would be kept by TensorFlow for
    # good, with the whole graph it is used in.)
    gram = tf.matmul(tf.stop_gradient(positions), positions, transpose_a=True) / count
    mirrored = tf.transpose(gram)
    return gram + (mirrored - tf.stop_gradient(mirrored))


def gram_loss(gram: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """Compare one layer's Gram matrix `[C, C]` with the style's; a float32 scalar.

    Reference:
        Gatys et al. 2016, eq. 4. Differs: the mean over C * C entries, divided by C * C, times `GRAM_SCALE`; the
        Gram matrices are already free of the number of positions.
    """
    channels = gram.shape[-1]
    return GRAM_SCALE / channels**2 * tf.reduce_mean(tf.square(gram - target))


def moments(features: tf.Tensor) -> Moments:
    """Average features `[1, H, W, C]` and their products over all positions."""
    return Moments(tf.reduce_mean(tf.cast(features, tf.float32), [0, 1, 2]), gram_matrix(features))


def gaussian(style: Moments) -> Gaussian:
    """Make a target of the style's moments, of one picture or averaged over several."""
    ridge = _RIDGE * tf.reduce_mean(tf.linalg.diag_part(_covariance(style, 0.0))) + _LEAST_RIDGE
    root, _ = square_roots(_covariance(style, ridge))
    return Gaussian(style.mean, ridge, root)


def wasserstein_loss(generated: Moments, target: Gaussian) -> tf.Tensor:
    """Compare one layer's features with the style's as if both were normally distributed; a float32 scalar.

    Reference:
        Dowson and Landau 1982, the squared Wasserstein-2 distance of two Gaussians; as a style loss in Katherine
        Crowson's style-transfer-pytorch. Differs: divided by C, times `WASSERSTEIN_SCALE`; both covariances have a
        ridge.
    """
    apart = tf.reduce_sum(tf.square(generated.mean - target.mean))
    apart += transport_cost(_covariance(generated, target.ridge), target.root)
    return WASSERSTEIN_SCALE / generated.mean.shape[-1] * apart


def transport_cost(covariance: tf.Tensor, root: tf.Tensor) -> tf.Tensor:
    """Return tr(B + A - 2 (A^1/2 B A^1/2)^1/2) for B = `covariance` and A^1/2 = `root`, both `[C, C]`; a scalar.

    T = A^1/2 (A^1/2 B A^1/2)^-1/2 A^1/2 is the map that carries the Gaussian B to A. With D = I - T the value is
    tr(D B D), which is free of cancellation, and the derivative by B is D. No gradient goes into `root`.
    """
    fixed = tf.stop_gradient(covariance)
    _, inverse = square_roots(root @ fixed @ root)
    away = tf.stop_gradient(tf.eye(root.shape[-1]) - root @ inverse @ root)
    slope = tf.reduce_sum(away * covariance)
    # The slope is linear in the covariance and brings the gradient; taken from itself it leaves the value alone.
    return tf.reduce_sum(away * (fixed @ away)) + (slope - tf.stop_gradient(slope))


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
    root @= inverse
    for factor in others:
        step = _step(inverse @ root, factor)
        root, inverse = root @ step, step @ inverse
    return root * tf.sqrt(norm), inverse * tf.math.rsqrt(norm)


def _step(product: tf.Tensor, factor: float) -> tf.Tensor:
    return factor / 2 * (3 * tf.eye(product.shape[-1]) - factor**2 * product)


def _step_factors() -> Iterator[float]:
    """Scale each step so that it lifts the smallest root as far as it can without turning over the largest, 1."""
    least = _LEAST_ROOT
    for _ in range(_ITERATIONS):
        # At the square root of 3 a step takes 1 to 0, and a rounding error beyond it to the wrong sign.
        factor = min(_LARGEST_FACTOR, math.sqrt(3 / (1 + least + least**2)))
        least *= factor * (3 - (factor * least) ** 2) / 2
        yield factor


def _covariance(raw: Moments, ridge: tf.Tensor) -> tf.Tensor:
    centred = raw.second - raw.mean[:, tf.newaxis] * raw.mean
    return centred + ridge * tf.eye(raw.mean.shape[-1])


def _gram_spec(channels: int) -> tf.TensorSpec:
    return tf.TensorSpec([channels, channels])


def _gaussian_spec(channels: int) -> Gaussian:
    return Gaussian(tf.TensorSpec([channels]), tf.TensorSpec([]), tf.TensorSpec([channels, channels]))


KINDS: Final = {
    StyleStatistics.GRAM: Kind(gram_matrix, tf.identity, gram_loss, _gram_spec),
    StyleStatistics.WASSERSTEIN: Kind(moments, gaussian, wasserstein_loss, _gaussian_spec),
}
