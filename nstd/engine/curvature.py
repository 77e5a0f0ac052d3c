"""How curved the loss is, by spatial frequency and colour: the first guess that L-BFGS refines.

A change of fine detail moves the loss otherwise than one of large shapes, and one of lightness otherwise than one of
hue. One number for all of them, as L-BFGS has, fits none of them well.
"""

from typing import Final

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

BANDS: Final = 6
_LEAST, _MOST = 0.1, 30.0
"""How far a band may lie from the average of all, as a factor."""

OPPONENT: Final[NDArray[np.float32]] = np.array(
    [[3**-0.5, 2**-0.5, 6**-0.5], [3**-0.5, -(2**-0.5), 6**-0.5], [3**-0.5, 0, -2 * 6**-0.5]], np.float32
)
"""Lightness and two hues, a column each, from the network's BGR; orthonormal, so that it keeps lengths."""


def spectrum(image: tf.Tensor) -> tf.Tensor:
    """Transform `[1, H, W, 3]` to the opponent colours' spectra, `[3, H, W // 2 + 1]` complex64."""
    return tf.signal.rfft2d(tf.transpose(image[0] @ OPPONENT, [2, 0, 1]))


def image_of(spectra: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
    """Undo `spectrum` for an image of this shape."""
    opponent = tf.signal.irfft2d(spectra, shape[1:3])
    return tf.reshape(tf.transpose(opponent, [1, 2, 0]) @ OPPONENT.T, shape)


def band_masks(shape: tf.Tensor) -> tf.Tensor:
    """Say which band each frequency of an image of this shape belongs to.

    Bands are octaves: the last holds half the sampling rate's upper half, the first all that is lower than the second.

    Returns:
        `[BANDS, H, W // 2 + 1]` float32 of zeros and ones.
    """
    height, width = shape[1], shape[2]
    # The remainder brings the upper half of the rows to the negative frequencies.
    rows = tf.cast((tf.range(height) + height // 2) % height - height // 2, tf.float32) / tf.cast(height, tf.float32)
    columns = tf.cast(tf.range(width // 2 + 1), tf.float32) / tf.cast(width, tf.float32)
    radius = tf.sqrt(rows[:, tf.newaxis] ** 2 + columns**2)
    edges = tf.constant(0.5 * 2.0 ** -np.arange(BANDS - 1, 0, -1), tf.float32)
    band = tf.reduce_sum(tf.cast(radius >= edges[:, tf.newaxis, tf.newaxis], tf.int32), axis=0)
    return tf.one_hot(band, BANDS, axis=0)


def band_products(step: tf.Tensor, change: tf.Tensor) -> tf.Tensor:
    """Split the products step . change and change . change of an optimiser's step by band and colour.

    Args:
        step: `[1, H, W, 3]`, how the image moved.
        change: `[1, H, W, 3]`, how the gradient changed.

    Returns:
        `[2, 3, BANDS]` float32, up to a factor that all entries share.
    """
    shape = tf.shape(step)
    moved, changed = spectrum(step), spectrum(change)
    products = tf.stack([tf.math.conj(changed) * moved, tf.math.conj(changed) * changed])
    power = tf.math.real(products) * _multiplicity(shape[2])
    return tf.einsum("kchw,bhw->kcb", power, band_masks(shape))


def apply_initial(gradient: tf.Tensor, products: tf.Tensor) -> tf.Tensor:
    """Multiply a gradient by the initial inverse Hessian, diagonal in band and colour.

    Each entry is step . change / change . change, clamped to 0.1 to 30 times that of all bands together.

    Args:
        gradient: `[1, H, W, 3]`.
        products: `[2, 3, BANDS]`, summed over the last steps; not all zero.

    Returns:
        `[1, H, W, 3]`.

    Reference:
        Nocedal and Wright 2006, eq. 7.20. Differs: one such number a band and colour instead of one for all.
    """
    along, square = products[0], products[1]
    overall = tf.math.divide_no_nan(tf.reduce_sum(along), tf.reduce_sum(square))
    entries = tf.clip_by_value(tf.math.divide_no_nan(along, square), _LEAST * overall, _MOST * overall)
    shape = tf.shape(gradient)
    factors = tf.einsum("cb,bhw->chw", entries, band_masks(shape))
    return image_of(spectrum(gradient) * tf.cast(factors, tf.complex64), shape)


def _multiplicity(width: tf.Tensor) -> tf.Tensor:
    """Count how often each column of a real image's half spectrum stands in the whole one: once or twice."""
    columns = tf.range(width // 2 + 1)
    alone = (columns == 0) | (2 * columns == width)
    return tf.where(alone, 1.0, 2.0)
