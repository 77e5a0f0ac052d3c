"""What a level starts from."""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nstd.engine.pixels import Picture
from nstd.engine.styles import Style
from nstd.images.resize import enlarge_image, size_of
from nstd.transfer_settings import Init

_LUMA: Final[NDArray[np.float32]] = np.array([0.299, 0.587, 0.114], np.float32)
_GRAINS: Final = 2.0
"""Detail of up to so many standard deviations of the grain is left out: all grain, and a tenth of the edges' height."""
_TILE_PX: Final = 48
"""Large beside a stroke's width and small beside what has a texture of its own: wood, fur, cloth."""
_RADIUS_PX: Final = 2
_DEVIATION: Final = 1.4826
"""The standard deviation of a normal distribution, by the median of its absolute values."""


def first_picture(init: Init, seed: int, content: Picture, style: Style) -> Picture:
    """Return what the coarsest level starts from.

    Args:
        init: what is asked for.
        seed: of the noise.
        content: the photo at the level's size, `[H, W, 3]`.
        style: the first style image.
    """
    match init:
        case Init.CONTENT:
            return content
        case Init.STYLE:
            return _covering(style, *size_of(content))
        case Init.NOISE:
            noise = np.random.default_rng(seed).normal(127.5, 32, content.shape)
            return noise.clip(0, 255).astype(np.float32)


def refined(painted: Picture, content: Picture, before: Picture) -> Picture:
    """Enlarge the picture of the level before, and add the photo's finest detail, as far as it is more than grain.

    Args:
        painted: the best picture of the level before.
        content: the photo at this level's size.
        before: the photo at the size of the level before.
    """
    size = size_of(content)
    octave = cored(content - enlarge_image(before, *size))
    return (enlarge_image(painted, *size) + octave).clip(0, 255)


def cored(detail: Picture) -> Picture:
    """Take out of a band of detail, `[H, W, 3]` around 0, what is no larger than its grain.

    The optimiser does not remove grain once it is there, and a painting has none. Every pixel is shrunk with the
    nonnegative garrote by how lively the lightness is around it, so that an edge keeps its height.

    Reference:
        Gao 1998, "Wavelet shrinkage denoising using the non-negative garrote", eq. 2.1, with the energy of a
        neighbourhood in the place of the coefficient's own, as in Cai and Silverman 2001; the deviation as in Donoho
        and Johnstone 1994. Differs: all channels are shrunk alike.
    """
    lightness = detail @ _LUMA
    threshold = _GRAINS * _grain(lightness)
    energy = _box_mean(lightness**2, _RADIUS_PX)
    with np.errstate(divide="ignore", invalid="ignore"):
        kept = np.where(energy > threshold**2, 1 - threshold**2 / energy, 0)
    return detail * kept[..., np.newaxis].astype(np.float32)


def _grain(lightness: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the grain's deviation around each pixel of a band of lightness `[H, W]`.

    Most pixels are far from any edge, so that the median over a tile is a measure of its grain, or of a texture as fine
    as that, which a painting has none of either. A tile has no less than the whole.
    """
    sizes = np.abs(lightness)
    height, width = sizes.shape
    padded = np.pad(sizes, ((0, -height % _TILE_PX), (0, -width % _TILE_PX)), mode="symmetric")
    rows, columns = (side // _TILE_PX for side in padded.shape)
    medians = np.median(padded.reshape(rows, _TILE_PX, columns, _TILE_PX), axis=(1, 3))
    tiles = np.maximum(medians, np.median(sizes)).repeat(_TILE_PX, 0).repeat(_TILE_PX, 1)
    return _DEVIATION * _box_mean(tiles, _TILE_PX // 2)[:height, :width]


def _box_mean(plane: NDArray[np.float32], radius: int) -> NDArray[np.float64]:
    """Average each pixel of `[H, W]` with those around it, the plane mirrored outwards."""
    side = 2 * radius + 1
    mean = np.pad(plane, radius, mode="symmetric").astype(np.float64)
    for axis in (0, 1):
        sums = np.insert(np.cumsum(mean, axis), 0, 0, axis)
        ahead, behind = np.split(sums, [side], axis)[1], np.split(sums, [-side], axis)[0]
        mean = np.maximum(0, ahead - behind) / side
    return mean


def _covering(style: Style, width: int, height: int) -> Picture:
    """Scale a style image until it covers the size, and cut out the middle."""
    scale = max(width / style.size[0], height / style.size[1])
    covering = style.read(*(math.ceil(side * scale) for side in style.size))
    top, left = (covering.shape[0] - height) // 2, (covering.shape[1] - width) // 2
    return np.ascontiguousarray(covering[top : top + height, left : left + width])
