"""Swirls: a night sky of bristle strokes that turn around lights."""

from typing import Final, NamedTuple

import numpy as np
from PIL import Image

from painters.canvas import Canvas
from painters.colours import accent, mix, palette, ramp, vary
from painters.fields import Array, along, fractal, grid, sample
from painters.strokes import Brush, cover

NIGHT: Final = palette("0a1a52", "12307c", "1c4a9f", "2c6bb8", "4f94cc", "8cc0dc", "cfe6e2")
RINGS: Final = palette("3b7fbd", "7fb9d0", "f0dc8c", "f7c53a", "ee9a26", "f8d75a", "fbe79a", "fdf3c9")
ACCENTS: Final = palette("f0b93a", "e8842a", "0a1440", "d8ead9", "2f8f8f")


class Vortex(NamedTuple):
    """A place that the strokes turn around: `spin` is how strongly and which way, `glow` its light."""

    x: float
    y: float
    radius: float
    spin: float
    glow: float


VORTICES: Final = (
    Vortex(0.76, 0.22, 0.155, 3.4, 1.0),
    Vortex(0.31, 0.45, 0.160, 3.2, 0.62),
    Vortex(0.56, 0.57, 0.120, -3.2, 0.5),
    Vortex(0.15, 0.14, 0.085, 3.0, 1.0),
    Vortex(0.43, 0.12, 0.055, 3.0, 0.95),
    Vortex(0.89, 0.62, 0.075, 3.0, 1.0),
    Vortex(0.15, 0.80, 0.080, 3.0, 1.0),
    Vortex(0.71, 0.87, 0.095, 3.0, 1.0),
    Vortex(0.44, 0.83, 0.050, -3.0, 0.9),
)
BRUSHES: Final = (
    Brush(17.0, 56, 10, bristles=7, streak=0.08, ridge=35),
    Brush(11.0, 44, 9, bristles=7, streak=0.08, ridge=35),
    Brush(7.5, 32, 13, bristles=7, streak=0.08, ridge=35),
)


def _reach(light: Vortex, x: Array, y: Array) -> Array:
    """Return 1 at the middle of a vortex, falling to 0 away from it."""
    distance: Array = np.hypot(x - light.x, y - light.y) / light.radius
    return np.exp(-(distance**2))


def _stream(rng: np.random.Generator) -> Array:
    x, y = grid()
    wind = y + 0.10 * fractal(rng, (3, 3)) + 0.05 * np.sin(5 * x)
    whirls = [light.spin * light.radius * _reach(light, x, y) for light in VORTICES]
    return sum(whirls, wind)


def _glow() -> Array:
    x, y = grid()
    glow: Array = np.max([light.glow * _reach(light, x, y) for light in VORTICES], axis=0)
    return glow


def _colours(rng: np.random.Generator, points: Array, stream: Array, glow: Array) -> Array:
    count = len(points)
    band = 0.43 + 0.33 * np.sin(sample(stream, points) * 36) + rng.normal(0, 0.17, count)
    bright = sample(glow, points)
    ring = 0.94 * bright + 0.17 * np.sin(bright * 26) + rng.normal(0, 0.09, count)
    lit = (bright - 0.34 + rng.normal(0, 0.09, count)) * 9
    colours = mix(ramp(NIGHT, band), ramp(RINGS, ring), lit)
    return vary(rng, accent(rng, colours, ACCENTS, share=0.04), light=0.07, hue=0.03)


def paint(size_px: int) -> Image.Image:
    """Paint the picture, `size_px` square."""
    rng = np.random.default_rng(1889)
    stream, glow = _stream(rng), _glow()
    canvas = Canvas(size_px, NIGHT[0])
    for brush in BRUSHES:
        cover(canvas, rng, along(stream), brush, lambda points: _colours(rng, points, stream, glow))
    return canvas.finish(shine=0.45)
