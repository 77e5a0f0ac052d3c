"""Sizes of pictures, and resampling without rounding to 8 bits."""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

MIN_SIDE_PX: Final = 16
"""The deepest layers of the network see one position for each 16 px; a smaller side has none."""

AMPLE: Final = 3
"""A picture that is so many times too large is as good as a larger one, as long as it comes from that by averaging."""

_LEAST_OF_PIXELS: Final = 0.8


def size_of(image: NDArray[np.float32]) -> tuple[int, int]:
    """Return width and height of a picture `[H, W, 3]`, in pixels."""
    height, width, _ = image.shape
    return width, height


def fitted_size(width: int, height: int, long_side_px: int) -> tuple[int, int]:
    """Scale a size, up or down, so that its long side becomes `long_side_px`.

    The aspect is kept to the pixel, except that no side goes under 16 px: a picture thinner than
    `long_side_px / 16` to 1 is widened.

    Args:
        width: in pixels; > 0.
        height: in pixels; > 0.
        long_side_px: >= 16.

    Returns:
        Width and height in pixels.
    """
    scale = long_side_px / max(width, height)
    return _whole(width * scale), _whole(height * scale)


def same_pixels_size(width: int, height: int, pixels: int) -> tuple[int, int]:
    """Scale a size, up or down, so that width times height becomes `pixels`.

    The aspect is kept to half a pixel of the short side, except that no side goes under 16 px; the number of
    pixels is held even then.

    Args:
        width: in pixels; > 0.
        height: in pixels; > 0.
        pixels: width times height of another picture; >= 256.

    Returns:
        Width and height in pixels; their product differs from `pixels` by half of the short one at most.
    """
    short = _whole(min(width, height) * math.sqrt(pixels / (width * height)))
    long = _whole(pixels / short)
    return (long, short) if width > height else (short, long)


def lacks_detail(width: int, height: int, pixels: int) -> bool:
    """Say whether an image of this size has to be enlarged to so many pixels by so much that it shows."""
    return width * height < _LEAST_OF_PIXELS * pixels


def resize_image(image: NDArray[np.float32], width: int, height: int) -> NDArray[np.float32]:
    """Resample a picture with Lanczos' filter (3 lobes), in float32 throughout.

    What is far too large is first averaged over whole squares of pixels, down to 3 times the result's size: a third of
    the time, and 0.2 levels of difference.

    Args:
        image: `[H, W, 3]`, 0..255.
        width: of the result, in pixels; > 0.
        height: of the result, in pixels; > 0.

    Returns:
        `[height, width, 3]`, 0..255: the filter's overshoot is clipped. At the same size, `image` itself.
    """
    return _resampled(image, width, height, Image.Resampling.LANCZOS)


def enlarge_image(image: NDArray[np.float32], width: int, height: int) -> NDArray[np.float32]:
    """Resample a picture as `resize_image` does, with a bicubic filter: half the overshoot beside edges."""
    return _resampled(image, width, height, Image.Resampling.BICUBIC)


def _resampled(
    image: NDArray[np.float32], width: int, height: int, resampling: Image.Resampling
) -> NDArray[np.float32]:
    if image.shape[:2] == (height, width):
        return image
    resized = np.empty((height, width, 3), np.float32)
    for channel in range(3):
        plane = Image.fromarray(np.ascontiguousarray(image[..., channel]))
        band = plane.resize((width, height), resampling, reducing_gap=AMPLE)
        resized[..., channel] = np.asarray(band)
    return np.clip(resized, 0, 255, out=resized)


def _whole(side: float) -> int:
    return max(MIN_SIDE_PX, round(side))
