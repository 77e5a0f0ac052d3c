"""Smooth random fields, and the lines that follow them.

A field is an array over the unit square, `[R, R]` or `[R, R, C]`, row first. Points are `(x, y)` in the unit square.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[np.float64]

RESOLUTION: Final = 384


def grid(resolution: int = RESOLUTION) -> tuple[Array, Array]:
    """Return the x and the y of every place of a field, each `[R, R]`."""
    axis = (np.arange(resolution) + 0.5) / resolution
    x, y = np.meshgrid(axis, axis)
    return x, y


def noise(rng: np.random.Generator, cells: tuple[int, int], *, resolution: int = RESOLUTION) -> Array:
    """Return smooth noise in about -1..1 with `cells` bumps across and down."""
    across, down = cells
    coarse = rng.uniform(-1, 1, (down + 1, across + 1)).astype(np.float32)
    smooth = Image.fromarray(coarse).resize((resolution, resolution), Image.Resampling.BICUBIC)
    return np.asarray(smooth, np.float64)


def fractal(
    rng: np.random.Generator, cells: tuple[int, int], *, octaves: int = 3, resolution: int = RESOLUTION
) -> Array:
    """Return noise with detail: each octave twice as fine and half as strong as the one before."""
    across, down = cells
    layers = (
        noise(rng, (across << octave, down << octave), resolution=resolution) / 2**octave for octave in range(octaves)
    )
    return sum(layers, np.zeros((resolution, resolution)))


def sample(field: Array, points: Array) -> Array:
    """Read a field at points `[..., 2]`, bilinearly; points outside read the nearest edge."""
    last = field.shape[0] - 1
    place = np.clip(points * (last + 1) - 0.5, 0, last - 1e-3)
    column, row = np.moveaxis(place.astype(int), -1, 0)
    shares = np.moveaxis(place % 1, -1, 0)
    right, below = shares.reshape(*shares.shape, *[1] * (field.ndim - 2))
    above = field[row, column] * (1 - right) + field[row, column + 1] * right
    under = field[row + 1, column] * (1 - right) + field[row + 1, column + 1] * right
    value: Array = above * (1 - below) + under * below
    return value


def towards(angle: Array) -> Array:
    """Return unit vectors at angles in radians, clockwise from the right: `[...]` -> `[..., 2]`."""
    return np.stack([np.cos(angle), np.sin(angle)], axis=-1)


def along(stream: Array) -> Array:
    """Return the unit directions `[R, R, 2]` along the level lines of a stream function `[R, R]`."""
    down, across = np.gradient(stream)
    flow = np.stack([down, -across], axis=-1)
    length: Array = np.linalg.norm(flow, axis=-1, keepdims=True)
    return flow / (length + 1e-9)


def trace(flow: Array, starts: Array, lengths: Array, steps: int = 8) -> Array:
    """Walk `[S, 2]` points along a flow, each its own length; returns paths `[S, steps, 2]`."""
    path = [starts]
    for _ in range(steps - 1):
        path.append(path[-1] + sample(flow, path[-1]) * (lengths / (steps - 1))[:, None])
    return np.stack(path, axis=1)


def scatter(rng: np.random.Generator, spacing: float, margin: float = 0.03) -> Array:
    """Return points `[S, 2]` about `spacing` apart that cover the unit square and a margin, shuffled."""
    axis = np.arange(-margin, 1 + margin, spacing)
    points = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    jittered = points + rng.uniform(-spacing / 2, spacing / 2, points.shape)
    return rng.permutation(jittered)
