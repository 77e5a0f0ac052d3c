"""A canvas for thick paint: drawn at twice the size, lit from the upper left, then reduced."""

from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from painters.fields import Array

OVERSAMPLING: Final = 2
_LIGHT: Final = (0.6, 0.8)
_STEEP: Final = 40  # a step in the paint's height that is fully lit
_GLOSS: Final = 60  # what full light adds to a colour


class Canvas:
    """A picture and the height of its paint. Places are in the unit square, widths in pixels of the result."""

    def __init__(self, size_px: int, ground: Array) -> None:
        side = size_px * OVERSAMPLING
        self.size_px = size_px
        self._side = side
        self._picture = Image.new("RGB", (side, side), _rgb(ground))
        self._relief = Image.new("L", (side, side), 100)
        self._draw = ImageDraw.Draw(self._picture)
        self._mould = ImageDraw.Draw(self._relief)

    def polygon(self, outline: Array, colour: Array, height: float | None = None) -> None:
        """Fill an outline `[N, 2]`; a height (0..255) also moulds the paint."""
        corners = (outline * self._side).ravel().tolist()
        self._draw.polygon(corners, fill=_rgb(colour))
        if height is not None:
            self._mould.polygon(corners, fill=int(np.clip(height, 0, 255)))

    def finish(self, *, shine: float) -> Image.Image:
        """Light the relief and reduce the picture to its size."""
        height = np.asarray(self._relief.filter(ImageFilter.GaussianBlur(1)), np.float64)
        down, across = np.gradient(height)
        light = np.tanh((across * _LIGHT[0] + down * _LIGHT[1]) / _STEEP)[..., None] * shine
        return shrink(np.asarray(self._picture) * (1 + light) + _GLOSS * np.maximum(light, 0))


def shrink(picture: Array) -> Image.Image:
    """Turn an oversampled picture `[H, W, 3]` in 0..255 into an image of the final size."""
    large = Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))
    return large.resize([side // OVERSAMPLING for side in large.size], Image.Resampling.LANCZOS)


def _rgb(colour: Array) -> tuple[int, ...]:
    return tuple(colour.astype(int).tolist())
