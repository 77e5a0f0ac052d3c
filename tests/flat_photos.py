"""Photos with next to nothing on them."""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.float32]


def _grid(side: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return np.meshgrid(np.linspace(0, 1, side), np.linspace(0, 1, side))


def _noise(side: int, deviation: float) -> NDArray[np.float64]:
    return np.random.default_rng(side).normal(0, deviation, (side, side))


def grey_card(side: int) -> NDArray[np.float64]:
    return 128 + _noise(side, 0.5)


def fog(side: int) -> NDArray[np.float64]:
    _, down = _grid(side)
    return 190 + 25 * down + _noise(side, 1)


def white_wall(side: int) -> NDArray[np.float64]:
    across, down = _grid(side)
    return 245 - 12 * ((across - 0.5) ** 2 + (down - 0.5) ** 2) + _noise(side, 1.5)


def night_sky(side: int) -> NDArray[np.float64]:
    sky = 12 + _noise(side, 2)
    sky[np.random.default_rng(1).integers(0, side, 4), np.random.default_rng(2).integers(0, side, 4)] = 220
    return sky


FLAT: Final[dict[str, Callable[[int], NDArray[np.float64]]]] = {
    make.__name__: make for make in (grey_card, fog, white_wall, night_sky)
}


def flat_photo(name: str, side: int) -> Picture:
    """Return one of them, `[side, side, 3]` float32, 0..255 in whole steps as in a file."""
    grey = np.rint(np.clip(FLAT[name](side), 0, 255)).astype(np.float32)
    return np.repeat(grey[..., np.newaxis], 3, axis=2)
