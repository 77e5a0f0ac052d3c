"""Colours as float arrays `[..., 3]` in 0..255."""

import numpy as np

from painters.fields import Array


def palette(*codes: str) -> Array:
    """Return `[N, 3]` from hexadecimal codes such as `1f3a93`."""
    return np.array([list(bytes.fromhex(code)) for code in codes], float)


def ramp(colours: Array, position: Array) -> Array:
    """Blend along a palette: 0 gives its first colour, 1 its last; `[...]` -> `[..., 3]`."""
    place = np.clip(position, 0, 1) * (len(colours) - 1)
    knots = np.arange(len(colours))
    return np.stack([np.interp(place, knots, channel) for channel in colours.T], axis=-1)


def mix(first: Array, second: Array, share: Array) -> Array:
    """Blend two colours; a share `[...]` of 0 gives the first, 1 the second."""
    weight = np.clip(share, 0, 1)[..., None]
    return first * (1 - weight) + second * weight


def vary(rng: np.random.Generator, colours: Array, *, light: float, hue: float) -> Array:
    """Scatter colours: `light` scales all channels together, `hue` each on its own; both relative."""
    together = rng.normal(1, light, (*colours.shape[:-1], 1))
    apart = rng.normal(1, hue, colours.shape)
    return np.clip(colours * together * apart, 0, 255)


def accent(rng: np.random.Generator, colours: Array, accents: Array, share: float) -> Array:
    """Replace a share of the colours `[S, 3]` by accents, drawn at random."""
    chosen = rng.random((len(colours), 1)) < share
    return np.where(chosen, rng.choice(accents, len(colours)), colours)
