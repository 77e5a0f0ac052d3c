"""Embers: broad palette-knife strokes, a burning sky over a dark turquoise bay."""

from typing import Final

import numpy as np
from PIL import Image

from painters.canvas import Canvas
from painters.colours import accent, mix, palette, ramp, vary
from painters.fields import Array, along, fractal, grid, sample
from painters.strokes import Brush, cover

SKY: Final = palette("5a0f1e", "9c1c1c", "d13a1a", "ee6a1f", "f79a2b", "fbc95a", "e2571f", "b3261d")
BAY: Final = palette("4a1230", "2a2a4a", "12505c", "1f8584", "52b8a8", "b9d3a4", "d8682a", "8a1f2a")
ACCENTS: Final = palette("3fb8ac", "1d7f86", "fbe3a4", "4a0d22")
KNIVES: Final = (
    Brush(36, 130, 16, bristles=14, streak=0.10, ridge=45),
    Brush(27, 95, 17, bristles=14, streak=0.10, ridge=45),
    Brush(16, 60, 22, bristles=14, streak=0.10, ridge=45),
)


def _shore(x: Array) -> Array:
    return 0.60 - 0.10 * x + 0.04 * np.sin(7 * x)


def _stream(rng: np.random.Generator) -> Array:
    """Return wavy bands above the shore, and a whirl with its middle in the bay below."""
    x, y = grid()
    sky = y + 0.07 * np.sin(6.5 * x + 3 * y) + 0.09 * fractal(rng, (2, 3))
    whirl = 0.55 * np.hypot((x - 0.62) * 0.8, (y - 0.86) * 1.3) + 0.05 * fractal(rng, (3, 3))
    below = 1 / (1 + np.exp(-(y - _shore(x)) * 18))
    return sky * (1 - below) + (0.9 - whirl) * below


def _colours(rng: np.random.Generator, points: Array, stream: Array) -> Array:
    count = len(points)
    level = sample(stream, points)
    sky = ramp(SKY, 0.5 + 0.42 * np.sin(level * 24) + rng.normal(0, 0.13, count))
    bay = ramp(BAY, 0.45 + 0.40 * np.sin(level * 30) + rng.normal(0, 0.13, count))
    share = (points[:, 1] - _shore(points[:, 0])) * 14 + 0.5 + rng.normal(0, 0.35, count)
    colours = mix(sky, bay, share)
    return vary(rng, accent(rng, colours, ACCENTS, share=0.05), light=0.08, hue=0.05)


def paint(size_px: int) -> Image.Image:
    """Paint the picture, `size_px` square."""
    rng = np.random.default_rng(1893)
    stream = _stream(rng)
    canvas = Canvas(size_px, SKY[0])
    for knife in KNIVES:
        cover(canvas, rng, along(stream), knife, lambda points: _colours(rng, points, stream))
    return canvas.finish(shine=0.6)
