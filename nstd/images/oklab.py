"""Oklab: colours as lightness, red against green and yellow against blue, in which equal distances look about equal."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

_CONES: Final = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_OPPONENTS: Final = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)

_LAST_LINEAR: Final = 0.0031308
"""sRGB is linear up to here, in which it is 12.92 times as much."""


def oklab_of(image: NDArray[np.float32]) -> NDArray[np.float64]:
    """Bring sRGB of 0..255 to Oklab: lightness 0..1, and two opponent colours of about -0.3 to 0.3.

    Args:
        image: `[..., 3]`.

    Reference:
        Ottosson 2020, "A perceptual color space for image processing".
    """
    encoded = np.clip(image / 255.0, 0, 1)
    linear = np.where(encoded <= 12.92 * _LAST_LINEAR, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    colours: NDArray[np.float64] = np.cbrt(linear @ _CONES.T) @ _OPPONENTS.T
    return colours


def srgb_of(colours: NDArray[np.float64]) -> NDArray[np.float32]:
    """Bring Oklab back to sRGB of 0..255; what no screen can show is clipped."""
    linear = np.clip(((colours @ np.linalg.inv(_OPPONENTS).T) ** 3) @ np.linalg.inv(_CONES).T, 0, 1)
    encoded = np.where(linear <= _LAST_LINEAR, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return (255 * encoded).astype(np.float32)
