"""Woodcut: rolling waves with curling crests, printed in a few colours from carved lines."""

from typing import Final, NamedTuple

import numpy as np
from PIL import Image

from painters.canvas import Canvas
from painters.colours import palette, ramp
from painters.fields import Array, towards
from painters.strokes import ribbon

INDIGO, PRUSSIAN, BLUE, PALE, FOAM, PAPER, OCHRE, VERMILION = palette(
    "172a52", "1f4478", "3f75a6", "9cc0c8", "f6efd9", "ecdcb4", "d6a45a", "c8452c"
)
BODY: Final = np.stack([FOAM, PALE, BLUE, PALE, BLUE, PRUSSIAN, BLUE, PRUSSIAN])
FRONT: Final = 0.36  # the part of a wave that is before its crest
LIP: Final = 0.62  # claws grow above this part of the height
CREST: Final = 0.80  # and drops fly about this one
PLACES: Final = np.linspace(-0.6, 1.6, 2200)
CIRCLE: Final = towards(np.linspace(0, 2 * np.pi, 16))


class Swell(NamedTuple):
    """A row of waves: its foot, height, length and place across, and how far the crests curl (radians)."""

    foot: float
    height: float
    length: float
    shift: float
    curl: float


SWELLS: Final = (
    Swell(0.50, 0.090, 0.30, 0.05, 1.9),
    Swell(0.60, 0.180, 0.47, 0.34, 2.3),
    Swell(0.74, 0.520, 0.95, 0.36, 2.7),
    Swell(0.86, 0.260, 0.58, 0.72, 2.5),
    Swell(1.00, 0.300, 0.70, 0.20, 2.6),
    Swell(1.13, 0.260, 0.56, 0.46, 2.5),
)


def _rise(swell: Swell) -> tuple[Array, Array]:
    """Return how far up its wave each place is, 0..1, and how far behind (-) or before (+) the crest."""
    phase = (PLACES - swell.shift) / swell.length % 1
    climb = np.minimum(phase / (1 - FRONT), (1 - phase) / FRONT)
    rise = np.sin(climb * np.pi / 2) ** 3
    return rise, (phase - (1 - FRONT)) * swell.length


def _walk(bend: Array) -> Array:
    """Follow a line of length 1 that starts upwards and turns to the right by each angle: `[N]` -> `[N, 2]`."""
    return np.cumsum(towards(bend - np.pi / 2), axis=0) / len(bend)


def _spine(curl: float, rise: Array) -> tuple[Array, Array]:
    """Follow a line that climbs and bends over: returns the places `[N, 2]` and the directions `[N]`."""
    steps = np.linspace(0, 1, 200)
    bend = curl * steps**1.6
    place = np.stack([np.interp(rise, steps, axis) for axis in _walk(bend).T], axis=-1)
    return place, np.interp(rise, steps, bend)


def _line(swell: Swell, depth: float) -> Array:
    """Return a line `[N, 2]` along the waves; depth 0 is their edge, 1 a flat line below."""
    rise, ahead = _rise(swell)
    spine, bend = _spine(swell.curl, rise * (1 - depth))
    across = towards(bend) * ahead[:, None]
    foot = np.stack([PLACES - ahead, np.full_like(PLACES, swell.foot + 0.12 * depth)], axis=-1)
    return foot + spine * swell.height + across


def _carve(canvas: Canvas, rng: np.random.Generator, path: Array, width_px: float, colour: Array) -> None:
    """Print a line as the knife leaves it: in pieces that swell and run out."""
    start = 0
    while start < len(path) - 8:
        piece = path[start : start + int(rng.integers(90, 360))]
        swell = np.sin(np.linspace(0.05, 0.97, len(piece)) * np.pi) ** 0.5
        wobble = 1 + 0.3 * np.sin(np.linspace(0, rng.uniform(3, 12), len(piece)) + rng.uniform(0, 6))
        ribbon(canvas, piece, width_px * swell * wobble, colour)
        start += len(piece) + int(rng.integers(-12, 10))


def _fill(canvas: Canvas, line: Array, colour: Array) -> None:
    canvas.polygon(np.concatenate([line, [[1.6, 1.3], [-0.6, 1.3]]]), colour)


def _claws(rng: np.random.Generator, swell: Swell) -> list[Array]:
    """Return hooked lines `[N, 2]` that reach out of the curls and bend with them."""
    rise, ahead = _rise(swell)
    edge = _line(swell, 0)
    lip = np.flatnonzero((rise > LIP) & (ahead <= 0))
    claws = []
    while len(lip):
        root = lip[0]
        bend = swell.curl * rise[root] ** 1.6 + np.linspace(-1.1, rng.uniform(1.0, 2.2), 14)
        reach = 0.26 * swell.height * rise[root] ** 3 * rng.uniform(0.5, 1.2)
        walk = _walk(bend)
        claws.append(edge[root] + reach * (walk - walk[2]))
        apart = np.linalg.norm(edge[lip] - edge[root], axis=-1) > 0.055 * swell.height * rng.uniform(0.7, 1.3)
        lip = lip[np.argmax(apart) :] if apart.any() else lip[:0]
    return claws


def _foam(canvas: Canvas, rng: np.random.Generator, swell: Swell) -> None:
    """Print the claws, all outlines first, so that the foam flows together."""
    claws = _claws(rng, swell)
    width_px = 0.066 * swell.height * canvas.size_px
    profile = np.linspace(1, 0, 14) ** 0.6
    for rim_px, colour in ((4.5, INDIGO), (0, FOAM)):
        for claw in claws:
            ribbon(canvas, claw, width_px * profile + rim_px * (profile > 0), colour)


def _spray(canvas: Canvas, rng: np.random.Generator, swell: Swell) -> None:
    """Print drops around the crests."""
    crests = _line(swell, 0)[_rise(swell)[0] > CREST]
    for place in rng.choice(crests, len(crests) // 12):
        drop = place + rng.normal((0.12, 0), 0.12) * swell.height
        radius_px = rng.uniform(1.2, 4)
        for rim_px, colour in ((1.3, INDIGO), (0, FOAM)):
            canvas.polygon(drop + CIRCLE * (radius_px + rim_px) / canvas.size_px, colour)


def _sky(canvas: Canvas, rng: np.random.Generator) -> None:
    for height in np.arange(-0.02, 0.62, 0.015):
        wave = 0.012 * np.sin(PLACES * 7 + height * 14) + 0.006 * np.sin(PLACES * 17 - height * 30)
        path = np.stack([PLACES, height + wave], axis=-1)
        colour = ramp(np.stack([BLUE, PALE, OCHRE, OCHRE]), np.array(height * 1.9))
        _carve(canvas, rng, path, rng.uniform(3, 7), colour)


def _sun(canvas: Canvas, rng: np.random.Generator) -> None:
    for radius in np.arange(0.10, 0.002, -0.0105):
        turn = np.linspace(0, 2 * np.pi, 700) + rng.uniform(0, 6.3)
        path = towards(turn) * radius + (0.80, 0.17)
        _carve(canvas, rng, path, 6.5, VERMILION)


def paint(size_px: int) -> Image.Image:
    """Paint the picture, `size_px` square."""
    rng = np.random.default_rng(1831)
    canvas = Canvas(size_px, PAPER)
    _sky(canvas, rng)
    _sun(canvas, rng)
    for swell in SWELLS:
        for depth, colour in zip(np.linspace(0, 0.75, len(BODY)), BODY, strict=True):
            _fill(canvas, _line(swell, depth), colour)
        for depth in np.linspace(0, 0.9, 14 + int(30 * swell.height)):
            _carve(canvas, rng, _line(swell, depth), 2.5 + 3 * rng.random(), INDIGO)
        _foam(canvas, rng, swell)
        _spray(canvas, rng, swell)
    return canvas.finish(shine=0.2)
