"""Glass: a rose window of marbled, jewel-coloured panes between lead lines."""

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from painters.canvas import OVERSAMPLING, shrink
from painters.colours import palette, ramp, vary
from painters.fields import Array, fractal, grid, noise, towards

Numbers = NDArray[np.integer[Any]]


class Ring(NamedTuple):
    """Panes between this radius and the next ring's; `lobe` rounds their outer ends into petals.

    Each pane may hold a roundel of the last colour, whose radius is this share of the ring's depth.
    """

    radius: float
    panes: int
    lobe: float
    roundel: float
    colours: tuple[str, ...]


class Panes(NamedTuple):
    """For every pixel: the number of its pane, and the distance to the nearest lead line."""

    number: Numbers
    edge: Array


RUBY, AMBER, GOLD, LEAF, EMERALD = "c0142c", "f08a1c", "fbcf3c", "a4d03c", "14964c"
TEAL, AZURE, COBALT, VIOLET, ROSE = "12949a", "4299ea", "1c44b8", "7833b6", "f0548c"
RINGS: Final = (
    Ring(0.000, 1, 0.000, 0.00, (GOLD,)),
    Ring(0.060, 8, 0.030, 0.00, (RUBY, AMBER)),
    Ring(0.145, 16, 0.000, 0.36, (COBALT, AZURE, GOLD)),
    Ring(0.225, 16, 0.040, 0.30, (RUBY, VIOLET, AMBER)),
    Ring(0.335, 32, 0.012, 0.00, (EMERALD, TEAL, LEAF, TEAL)),
    Ring(0.400, 16, 0.045, 0.34, (COBALT, VIOLET, ROSE)),
    Ring(0.520, 32, 0.014, 0.00, (GOLD, AMBER, RUBY, AMBER)),
    Ring(0.590, 32, 0.030, 0.34, (AZURE, COBALT, LEAF)),
    Ring(0.690, 32, 0.000, 0.34, (RUBY, VIOLET, GOLD)),
)
SLOTS: Final = 64  # more than any ring has panes, so that numbers never meet
MIDDLE: Final = (0.5, 0.5)
LEAD: Final = palette("1c1a26", "302e3c", "6d6b7c")
LEAD_PX: Final = 7.0
DUSK: Final = np.array([0.28, 0.44, 0.40])  # what a dark streak takes from red, green and blue

PANES: Final = np.array([ring.panes for ring in RINGS])
RADII: Final = np.array([ring.radius for ring in RINGS])
DEPTHS: Final = np.diff(RADII, append=0.8)
ROUNDELS: Final = np.array([ring.roundel for ring in RINGS]) * DEPTHS


def _colours() -> Array:
    """Return the colour of every pane number, `[rings * 2 * SLOTS, 3]`."""
    colours = np.zeros((len(RINGS), 2, SLOTS, 3))
    for place, ring in enumerate(RINGS):
        chosen = palette(*ring.colours)
        plain = chosen[:-1] if ring.roundel else chosen
        colours[place, 0] = plain[np.arange(SLOTS) % len(plain)]
        colours[place, 1] = chosen[-1]
    return colours.reshape(-1, 3)


def _turn(ring: Numbers | int) -> Array:
    """Turn every second ring by half a pane."""
    turn: Array = np.pi / PANES[ring] * (ring % 2)
    return turn


def _outline(ring: int, radius: Array, angle: Array) -> tuple[NDArray[np.bool_], Array]:
    """Return which pixels lie beyond a ring, and their distance to its outer edge."""
    panes, lobe, end = RINGS[ring].panes, RINGS[ring].lobe, RINGS[ring + 1].radius
    phase = panes * (angle - _turn(ring)) / 2
    edge = end + lobe * (np.abs(np.cos(phase)) - 0.6)
    slope = lobe * panes / 2 * np.sin(phase) / end
    return radius > edge, np.abs(radius - edge) / np.hypot(1, slope)


def _inside_roundel(ring: Numbers, centre: Array, aside: Array, down: Array) -> Array:
    """Return how far inside the roundel of its pane each pixel is; negative outside."""
    midway = RADII[ring] + 0.52 * DEPTHS[ring]
    off_centre = np.hypot(aside - midway * np.cos(centre), down - midway * np.sin(centre))
    return np.where(ROUNDELS[ring] > 0, ROUNDELS[ring] - off_centre, -np.inf)


def _divide(points: Array) -> Panes:
    """Divide the picture into rings, the rings into panes, and cut the roundels out of these."""
    aside, down = np.moveaxis(points - MIDDLE, -1, 0)
    radius, angle = np.hypot(aside, down), np.arctan2(down, aside)
    beyond, edges = zip(*(_outline(ring, radius, angle) for ring in range(len(RINGS) - 1)), strict=True)
    ring = np.sum(beyond, axis=0)
    width = 2 * np.pi / PANES[ring]
    sector = np.round((angle - _turn(ring)) / width)
    centre = sector * width + _turn(ring)
    spoke = np.where(ring == 0, np.inf, radius * (width / 2 - np.abs(angle - centre)))
    inside = _inside_roundel(ring, centre, aside, down)
    edge = np.where(inside > 0, inside, np.min([*edges, spoke, -inside], axis=0))
    number = (ring * 2 + (inside > 0)) * SLOTS + sector.astype(int) % PANES[ring]
    return Panes(number, edge)


def _marble(rng: np.random.Generator, number: Numbers, points: Array) -> Array:
    """Colour the panes with dark and light streaks, each in its own direction: `[H, W, 3]`."""
    side = len(points)
    colours = vary(rng, _colours(), light=0.11, hue=0.05)
    tilt = rng.uniform(0, np.pi, len(colours))[number]
    march = (points * towards(tilt)).sum(axis=-1)
    clouds = fractal(rng, (10, 10), octaves=6, resolution=side)
    streak = np.tanh(2.2 * np.sin(march * 100 + clouds * 5.5))
    streak = (streak + 0.35 * noise(rng, (260, 260), resolution=side))[..., None]
    marbled: Array = colours[number] * (1 + DUSK * streak) + 34 * np.maximum(streak, 0)
    return marbled


def paint(size_px: int) -> Image.Image:
    """Paint the picture, `size_px` square."""
    rng = np.random.default_rng(1220)
    side = size_px * OVERSAMPLING
    points = np.stack(grid(side), axis=-1)
    sway = np.stack([fractal(rng, (5, 5), resolution=side) for _ in "xy"], axis=-1)
    panes = _divide(points + 0.007 * sway)
    edge_px = panes.edge * size_px - LEAD_PX / 2
    contour = 0.30 * np.exp(-(((edge_px - 6) / 1.3) ** 2))
    sunlight = 1.22 - 0.28 * np.linalg.norm(points - MIDDLE, axis=-1)
    light = sunlight * (0.70 + 0.30 * np.clip(edge_px / 5, 0, 1) - contour)
    light += 0.12 * fractal(rng, (4, 4), resolution=side)
    lead = ramp(LEAD, -0.1 - edge_px / (LEAD_PX / 2) + 0.3 * noise(rng, (90, 90), resolution=side))
    glass = _marble(rng, panes.number, points) * light[..., None]
    return shrink(np.where(edge_px[..., None] < 0, lead, glass))
