"""The palette of a picture, and a photo that is given another."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nstd.images.oklab import oklab_of, srgb_of

Matrix = NDArray[np.float64]

_GRAIN: Final = 1e-4
"""A variance that is none: a flat photo's grain is not to become colours."""


class Palette(NamedTuple):
    """Which colours there are in a picture, in Oklab.

    Attributes:
        mean: `[3]`.
        covariance: `[3, 3]`.
    """

    mean: Matrix
    covariance: Matrix


def palette_of(image: NDArray[np.float32]) -> Palette:
    """Measure a picture, `[H, W, 3]` sRGB of 0..255."""
    colours = oklab_of(image).reshape(-1, 3)
    return Palette(colours.mean(0), np.cov(colours.T))


def mixed(palettes: Sequence[Palette], shares: Sequence[float]) -> Palette:
    """Return the palette of several pictures together, each by its share."""
    mean = np.average([palette.mean for palette in palettes], axis=0, weights=shares)
    around = [palette.covariance + np.outer(palette.mean - mean, palette.mean - mean) for palette in palettes]
    return Palette(mean, np.average(around, axis=0, weights=shares))


def recoloured(image: NDArray[np.float32], palette: Palette, amount: float) -> NDArray[np.float32]:
    """Carry a picture's colours to a palette: all the way by amount 1, and by 0 not at all.

    Args:
        image: `[H, W, 3]`, sRGB of 0..255.
        palette: whose mean and covariance it is given.
        amount: 0 to 1.

    Reference:
        Pitié and Kokaram 2007, "The linear Monge-Kantorovitch linear colour mapping for example-based colour transfer",
        eq. 5. Differs: in Oklab; `_GRAIN` is added to the picture's variances.
    """
    colours = oklab_of(image)
    own = palette_of(image)
    covariance = own.covariance + _GRAIN * np.eye(3)
    root, inverse = _power(covariance, 0.5), _power(covariance, -0.5)
    carried = inverse @ _power(root @ palette.covariance @ root, 0.5) @ inverse
    there = (colours - own.mean) @ carried.T + palette.mean
    return srgb_of(colours + amount * (there - colours))


def _power(matrix: Matrix, exponent: float) -> Matrix:
    """Raise a symmetric matrix, none of whose eigenvalues is below 0 but by rounding, to a power."""
    values, vectors = np.linalg.eigh(matrix)
    powers = np.maximum(values, np.finfo(float).tiny) ** exponent
    raised: Matrix = (vectors * powers) @ vectors.T
    return raised
