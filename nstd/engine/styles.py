"""Style images and what was measured of them, which is measured once."""

import math
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import Any, Final, NamedTuple, Self, cast

import numpy as np
import tensorflow as tf

from nstd.engine.margin import guide_with_margin, with_margin
from nstd.engine.objective import Objective, Styles
from nstd.engine.pixels import Picture, preprocess
from nstd.images.palette import Palette, mixed, palette_of
from nstd.images.resize import MIN_SIDE_PX, resize_image, same_pixels_size, size_of

_MOST_BYTES: Final = 256 * 2**20
"""Gram matrices of the default layers take 2.4 MB: a hundred of them. With parts for nearest neighbours it is up to 70
MB: one style for photos of one shape, at three levels.

One that is not there costs a forward pass, at 512 px a third of a step.
"""


_PALETTE_PIXELS: Final = 128**2
"""As many as give mean and covariance to a hundredth."""


class Style(NamedTuple):
    """A style image, which is read only where its statistics are not known yet.

    Attributes:
        identity: equal for the same image, and for no other.
        share: in the style statistics.
        name: what a person calls it.
        size: its own width and height, in pixels.
        read: returns the image at a width and a height, `[H, W, 3]` float32, RGB, 0..255.
    """

    identity: Hashable
    share: float
    name: str
    size: tuple[int, int]
    read: Callable[[int, int], Picture]

    @classmethod
    def of(cls, picture: Picture, name: str, share: float = 1) -> Self:
        """Make a style of a picture in memory, `[H, W, 3]` float32, RGB, 0..255; the name stands for its identity."""
        return cls(name, share, name, size_of(picture), partial(resize_image, picture))

    def size_for(self, pixels: int) -> tuple[int, int]:
        """Return the width and height at which it has so many pixels."""
        return same_pixels_size(*self.size, max(MIN_SIDE_PX**2, pixels))


class StatisticsCache:
    """What was measured of style images; those that were used longest ago are forgotten.

    Args:
        most_bytes: of tensors to keep.
    """

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._most = most_bytes
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()
        self._bytes = 0

    def get(self, key: Hashable, measure: Callable[[], Any]) -> Any:  # noqa: ANN401  whatever is measured
        """Return what is known for a key, or measure it."""
        if key not in self._kept:
            measured = measure()
            self._kept[key] = measured
            self._bytes += _bytes_of(measured)
            while self._bytes > self._most and len(self._kept) > 1:
                _, forgotten = self._kept.popitem(last=False)
                self._bytes -= _bytes_of(forgotten)
        self._kept.move_to_end(key)
        return self._kept[key]


def measured_styles(
    objective: Objective, styles: Sequence[Style], pixels: int, margin: int, cache: StatisticsCache
) -> Styles:
    """Mix what the terms measure of style images, each at the same number of pixels; the same mix is kept.

    Args:
        objective: whose terms measure.
        styles: with their shares.
        pixels: of each, to be measured at.
        margin: by which each is mirrored outwards, without that it counts.
        cache: of what is known, for the objective's network in its precision.
    """

    def view(picture: Picture, quarters: int) -> Styles:
        turned = np.rot90(picture, quarters)
        guides = objective.guides(guide_with_margin(*size_of(turned), margin))
        return objective.style(preprocess(with_margin(turned, margin)), guides, quarters)

    def measured(style: Style) -> list[Styles]:
        picture = style.read(*style.size_for(pixels))
        return [view(picture, quarters) for quarters in range(objective.views)]

    def measure() -> Styles:
        shares = np.array([style.share for style in styles])
        return objective.mixed([measured(style) for style in styles], shares / shares.sum())

    mix = tuple((style.identity, style.share, style.size_for(pixels)) for style in styles)
    return cast("Styles", cache.get((mix, margin, objective.style_structure), measure))


def palette_of_styles(styles: Sequence[Style], cache: StatisticsCache) -> Palette:
    """Return the palette of style images together, each by its share."""

    def measured(style: Style) -> Palette:
        def measure() -> Palette:
            return palette_of(style.read(*style.size_for(_PALETTE_PIXELS)))

        return cast("Palette", cache.get((style.identity, Palette), measure))

    return mixed([measured(style) for style in styles], [style.share for style in styles])


def _bytes_of(measured: Any) -> int:  # noqa: ANN401  as above
    return sum(math.prod(tensor.shape) * tf.as_dtype(tensor.dtype).size for tensor in tf.nest.flatten(measured))
