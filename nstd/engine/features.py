"""What the terms of the loss see of a picture."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import tensorflow as tf

PIXELS: Final = "pixels"
"""The guide of the picture itself, among those of the layers."""

GUIDE: Final = tf.TensorSpec([1, None, None, 1])

Guides = Mapping[str, tf.Tensor]


class Features(NamedTuple):
    """A picture, what the network sees in it, and how much each position of it counts.

    Attributes:
        image: `[1, H, W, 3]` float32, the network's input.
        layers: features after the ReLU, `[1, h, w, C]`, by layer name; in the network's precision.
        guides: `[1, h, w, 1]` float32 of 0 to 1, by layer name and for `PIXELS`.
    """

    image: tf.Tensor
    layers: Mapping[str, tf.Tensor]
    guides: Guides


def layer_guides(pixels: tf.Tensor, layers: Sequence[str]) -> dict[str, tf.Tensor]:
    """Bring a guide of pixels to layers: a position counts as much as the pixels from which it is pooled.

    Args:
        pixels: `[1, H, W, 1]`.
        layers: names as in `nstd.network.layer_names`.

    Returns:
        Their guides and that of `PIXELS`.

    Reference:
        Gatys et al. 2017, section 4.1. Differs: the guide is a weight and not a channel of its own, as the sums are
        divided by it.
    """
    pooled = [pixels]
    while len(pooled) < max(map(block_of, layers), default=1):
        pooled.append(tf.nn.avg_pool2d(pooled[-1], 2, 2, "VALID"))
    return {PIXELS: pixels, **{name: pooled[block_of(name) - 1] for name in layers}}


def block_of(layer: str) -> int:
    """Return the number of a layer's block, from 1; each has half the height and width of the one before."""
    return int(layer.removeprefix("block").partition("_")[0])
