"""Style images and their statistics, which are measured once."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Final, NamedTuple

import tensorflow as tf

from nstd.engine.pixels import Picture

_MOST_BYTES: Final = 64 * 2**20
"""Gram matrices of the default layers take 2.4 MB: five styles for photos of three shapes, at two levels.

One that is not there costs a forward pass, at 512 px a third of a step.
"""


class Style(NamedTuple):
    """A style image, which is read only where its statistics are not known yet.

    Attributes:
        identity: equal for the same image, and for no other.
        share: in the style statistics.
        read: returns the image, `[H, W, 3]` float32, RGB, 0..255.
    """

    identity: Hashable
    share: float
    read: Callable[[], Picture]


class StatisticsCache:
    """Raw statistics of style images; those that were used longest ago are forgotten.

    Args:
        most_bytes: of tensors to keep.
    """

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._most = most_bytes
        self._kept: OrderedDict[Hashable, list[Any]] = OrderedDict()
        self._bytes = 0

    def get(self, key: Hashable, measure: Callable[[], list[Any]]) -> list[Any]:
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


def _bytes_of(statistics: list[Any]) -> int:
    return sum(tensor.shape.num_elements() * tensor.dtype.size for tensor in tf.nest.flatten(statistics))
