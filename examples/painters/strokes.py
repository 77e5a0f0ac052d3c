"""Ways to put paint on a canvas: bristle strokes along a flow, round touches, lines that swell."""

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np

from painters.canvas import Canvas
from painters.fields import Array, scatter, towards, trace

_MARGIN: Final = 0.1  # strokes that start outside still reach into the picture
_CORNERS: Final = 14
_DOME: Final = ((1.0, 130), (0.7, 165), (0.4, 185))  # a touch's shrinking outlines and their heights


class Brush(NamedTuple):
    """A brush, in pixels, and how much its bristles differ.

    `streak` is their relative spread of lightness; `ridge` their spread of height, by which both edges stand up too.
    """

    width_px: float
    length_px: float
    spacing_px: float
    bristles: int
    streak: float
    ridge: float


def cover(
    canvas: Canvas,
    rng: np.random.Generator,
    flow: Array,
    brush: Brush,
    colour_at: Callable[[Array], Array],
) -> None:
    """Cover the canvas with strokes along a flow, coloured by where their middles are (`[S, 2]` -> `[S, 3]`)."""
    starts = scatter(rng, brush.spacing_px / canvas.size_px, _MARGIN)
    lengths_px = rng.uniform(0.55, 1.2, len(starts)) * brush.length_px
    paths = trace(flow, starts, lengths_px / canvas.size_px)
    widths_px = rng.uniform(0.65, 1.25, len(starts)) * brush.width_px
    edges = _bristle_edges(rng, paths, widths_px / canvas.size_px, brush.bristles)
    colours = colour_at(paths[:, paths.shape[1] // 2])
    tones = colours[:, None] * rng.normal(1, brush.streak, (len(starts), brush.bristles, 1))
    heights = rng.normal(120, brush.ridge, tones.shape[:2])
    heights[:, [0, -1]] += brush.ridge
    for stroke in zip(edges, tones.clip(0, 255), heights, strict=True):
        _draw_bristles(canvas, *stroke)


def dab(canvas: Canvas, rng: np.random.Generator, points: Array, radii_px: Array, colours: Array) -> None:
    """Press single touches of paint at `[S, 2]`: round, a little uneven, higher in the middle."""
    turn = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False) + rng.uniform(0, 2 * np.pi, (len(points), 1))
    uneven = 1 + 0.12 * np.sin(2 * turn) + rng.normal(0, 0.06, turn.shape)
    reach = uneven * radii_px[:, None] / canvas.size_px
    outlines = towards(turn) * reach[..., None]
    for centre, outline, colour in zip(points, outlines, colours, strict=True):
        for scale, height in _DOME:
            canvas.polygon(centre + outline * scale, colour, height)


def ribbon(canvas: Canvas, path: Array, widths_px: Array, colour: Array) -> None:
    """Fill a line `[N, 2]` whose width `[N]` changes on its way."""
    aside = _across(path) * (widths_px / canvas.size_px / 2)[:, None]
    canvas.polygon(np.concatenate([path + aside, (path - aside)[::-1]]), colour)


def _across(paths: Array) -> Array:
    """Return the unit vectors across paths `[..., N, 2]`."""
    forward = np.gradient(paths, axis=-2)
    forward /= np.linalg.norm(forward, axis=-1, keepdims=True) + 1e-9
    return np.stack([-forward[..., 1], forward[..., 0]], axis=-1)


def _bristle_edges(rng: np.random.Generator, paths: Array, widths: Array, bristles: int) -> Array:
    """Return the lines between bristles, `[S, bristles + 1, N, 2]`: narrower and ragged at the ends."""
    count, points, _ = paths.shape
    taper = np.sin(np.linspace(0.12, 0.92, points) * np.pi) ** 0.4
    offsets = np.linspace(-0.5, 0.5, bristles + 1)[:, None] * taper * widths[:, None, None]
    across = _across(paths)[:, None]
    edges = paths[:, None] + across * offsets[..., None]
    forward = np.stack([across[..., 1], -across[..., 0]], axis=-1)
    for end in (0, -1):
        ragged = rng.uniform(-0.35, 0.35, (count, bristles + 1)) * widths[:, None]
        edges[:, :, end] += forward[:, :, end] * ragged[..., None]
    return edges


def _draw_bristles(canvas: Canvas, edges: Array, tones: Array, heights: Array) -> None:
    for near, far, tone, height in zip(edges, edges[1:], tones, heights, strict=False):
        canvas.polygon(np.concatenate([near, far[::-1]]), tone, height)
