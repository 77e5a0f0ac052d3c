"""How curved the loss is, by spatial frequency and colour: the first guess that L-BFGS refines.

A change of fine detail moves the loss otherwise than one of large shapes, and one of lightness otherwise than one of
hue. One number for all of them, as L-BFGS has, fits none of them well.
"""

from typing import Final, NamedTuple

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


class Bands(NamedTuple):
    """The frequencies of an image's half spectrum.

    Attributes:
        masks: `[BANDS, H, W // 2 + 1]` float32, one for those that are in a band, zero for others.
        counts: `[W // 2 + 1]` float32, how often each column stands in the whole spectrum: once or twice.
    """

    masks: tf.Tensor
    counts: tf.Tensor


BANDS_SPEC: Final = Bands(tf.TensorSpec([BANDS, None, None]), tf.TensorSpec([None]))


def spectrum(image: tf.Tensor) -> tf.Tensor:
    """Transform `[1, H, W, 3]` to the opponent colours' spectra, `[3, H, W // 2 + 1]` complex64."""
    return tf.signal.rfft2d(tf.transpose(image[0] @ OPPONENT, [2, 0, 1]))


def image_of(spectra: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
    """Undo `spectrum` for an image of this shape."""
    opponent = tf.signal.irfft2d(spectra, shape[1:3])
    return tf.reshape(tf.transpose(opponent, [1, 2, 0]) @ OPPONENT.T, shape)


def bands_of(height: int, width: int) -> Bands:
    """Say which band each frequency of an image of this size belongs to.

    Bands are octaves: the last holds half the sampling rate's upper half, the first all that is lower than the second.
    """
    radius = np.hypot(np.fft.fftfreq(height)[:, np.newaxis], np.fft.rfftfreq(width)).astype(np.float32)
    edges = 0.5 * 2.0 ** -np.arange(BANDS - 1, 0, -1)
    band = np.digitize(radius, edges)
    masks = band == np.arange(BANDS)[:, np.newaxis, np.newaxis]
    columns = np.arange(width // 2 + 1)
    counts = np.where((columns == 0) | (2 * columns == width), 1, 2)
    return Bands(tf.constant(masks, tf.float32), tf.constant(counts, tf.float32))


def band_products(step: tf.Tensor, change: tf.Tensor, bands: Bands) -> tf.Tensor:
    """Split the products step . change and change . change of an optimiser's step by band and colour.

    Args:
        step: `[1, H, W, 3]`, how the image moved.
        change: `[1, H, W, 3]`, how the gradient changed.
        bands: of the image's size.

    Returns:
        `[2, 3, BANDS]` float32, up to a factor that all entries share.
    """
    moved, changed = spectrum(step), spectrum(change)
    products = tf.stack([tf.math.conj(changed) * moved, tf.math.conj(changed) * changed])
    return tf.einsum("kchw,bhw->kcb", tf.math.real(products) * bands.counts, bands.masks)


def apply_initial(gradient: tf.Tensor, products: tf.Tensor, bands: Bands) -> tf.Tensor:
    """Multiply a gradient by the initial inverse Hessian, diagonal in band and colour.

    Each entry is step . change / change . change, clamped to 0.1 to 30 times that of all bands together.

    Args:
        gradient: `[1, H, W, 3]`.
        products: `[2, 3, BANDS]`, summed over the last steps; not all zero.
        bands: of the image's size.

    Returns:
        `[1, H, W, 3]`.

    Reference:
        Nocedal and Wright 2006, eq. 7.20. Differs: one such number a band and colour instead of one for all.
    """
    along, square = products[0], products[1]
    overall = tf.math.divide_no_nan(tf.reduce_sum(along), tf.reduce_sum(square))
    entries = tf.clip_by_value(tf.math.divide_no_nan(along, square), _LEAST * overall, _MOST * overall)
    factors = tf.einsum("cb,bhw->chw", entries, bands.masks)
    return image_of(spectrum(gradient) * tf.cast(factors, tf.complex64), tf.shape(gradient))
