"""Dots: a field in the evening sun, in touches of pure colour beside their complements."""

from typing import Final, NamedTuple

import numpy as np
from PIL import Image

from painters.canvas import Canvas
from painters.colours import mix, palette, ramp, vary
from painters.fields import Array, fractal, grid, sample, scatter
from painters.strokes import dab

SKY: Final = palette("fff1b0", "fbd55c", "f8b060", "e6a7b4", "9db8e0", "5a92d6", "3a6fc0", "2d55a6")
FIELD: Final = palette("3f7f5c", "8fb04a", "e8cf4e", "f8dc6a", "f2ab3c", "e27a35")
HILLS: Final = palette("4b4fa6", "6f70bf", "b08fc4")
TREES: Final = palette("27306e", "1f5f74", "2f8a5a", "a9bf4a")
SHADOW: Final = palette("35408f", "5a4f9f")
PATH: Final = palette("f6d5b8", "e9b3a8", "c9a0c8")
GROUND: Final = palette("f3e7c6")[0]
COMPLEMENTS: Final = 0.12
SUN: Final = (0.66, 0.27)


class Tree(NamedTuple):
    """An upright ellipse: its foot and its half width and half height."""

    x: float
    foot: float
    wide: float
    high: float


TREES_STANDING: Final = (
    Tree(0.08, 0.66, 0.055, 0.24),
    Tree(0.19, 0.62, 0.042, 0.19),
    Tree(0.275, 0.59, 0.032, 0.14),
    Tree(0.335, 0.57, 0.024, 0.10),
    Tree(0.93, 0.60, 0.060, 0.085),
)


def _sky(rng: np.random.Generator, x: Array, y: Array) -> Array:
    far = np.hypot((x - SUN[0]) * 0.85, y - SUN[1])
    rings = 0.11 * np.sin(far * 62)
    return ramp(SKY, far * 1.7 - 0.06 + rings + 0.07 * fractal(rng, (3, 6)))


def _field(rng: np.random.Generator, x: Array, y: Array) -> Array:
    """Return furrows that run together under the sun, and a path between them."""
    depth = np.maximum(y - 0.47, 0.02)
    across = (x - SUN[0]) / depth
    rows = 0.5 + 0.5 * np.sin(across * 7.5 + 0.4 * np.sin(y * 20))
    field = ramp(FIELD, 0.08 + 0.62 * rows + 0.2 * fractal(rng, (3, 3)) + 0.25 * (y - 0.5))
    field = mix(field, ramp(SHADOW, rows), (0.16 - rows) * 9)
    bend = (x - SUN[0] + 0.10 * np.sin(depth * 9)) / depth
    return mix(field, ramp(PATH, 0.5 + 0.5 * np.sin(y * 60)), (0.22 - np.abs(bend)) * 18)


def _plant(scene: Array, tree: Tree, x: Array, y: Array) -> Array:
    """Add a tree, bright towards the sun, and its shadow, away from it."""
    aside = (x - tree.x) / tree.wide
    up = (tree.foot - y) / tree.high
    slope = (tree.x - SUN[0]) * 0.9
    along = (y - tree.foot) / (tree.high * 0.9)
    shade = np.abs((x - tree.x - slope * (y - tree.foot)) / tree.wide)
    scene = mix(scene, ramp(SHADOW, along), (1 - shade) * 4 * ((along > 0) & (along < 1)))
    inside = 1 - np.hypot(aside * (1.25 - 0.35 * np.cos(up * 3)), (up - 1) * 0.98)
    towards = np.sign(SUN[0] - tree.x)
    return mix(scene, ramp(TREES, 0.45 + 0.45 * aside * towards), inside * 8)


def _scene(rng: np.random.Generator) -> Array:
    """Return the soft colours `[R, R, 3]` that the touches break up."""
    x, y = grid()
    scene = _sky(rng, x, y)
    hill = 0.455 - 0.05 * np.sin(5 * x + 0.6) + 0.015 * np.sin(17 * x)
    scene = mix(scene, ramp(HILLS, (y - hill) * 9), (y - hill) * 150)
    scene = mix(scene, _field(rng, x, y), (y - 0.53 - 0.015 * np.sin(4 * x)) * 150)
    for tree in TREES_STANDING[::-1]:
        scene = _plant(scene, tree, x, y)
    return scene


def _split(rng: np.random.Generator, colours: Array) -> Array:
    """Break colours into purer ones, and now and then their complement."""
    grey = colours.mean(axis=-1, keepdims=True)
    pure = grey + (colours - grey) * rng.uniform(1.0, 1.45, grey.shape)
    opposite = grey * 0.95 - (colours - grey) * 0.75
    chosen = np.where(rng.random(grey.shape) < COMPLEMENTS, opposite, pure)
    return vary(rng, np.clip(chosen, 0, 255), light=0.12, hue=0.07)


def paint(size_px: int) -> Image.Image:
    """Paint the picture, `size_px` square."""
    rng = np.random.default_rng(1886)
    scene = _scene(rng)
    canvas = Canvas(size_px, GROUND)
    for radius_px, spacing_px in ((9.5, 17.5), (7.0, 13.5), (4.6, 11)):
        points = scatter(rng, spacing_px / size_px)
        radii = rng.uniform(0.75, 1.15, len(points)) * radius_px
        dab(canvas, rng, points, radii, _split(rng, sample(scene, points)))
    return canvas.finish(shine=0.35)
