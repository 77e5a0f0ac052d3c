"""Content: the features of the photo, where they are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import tensorflow as tf

from nstd.engine.features import Features, block_of
from nstd.engine.terms.layerwise import LayerwiseContent
from nstd.engine.terms.sums import Sums, first_moment, mean_of, squares
from nstd.transfer_settings import Pooling, TransferSettings

SCALE: Final = 0.3
"""Brings the content of a typical pair to the order of its style, so that weights around 1 are the useful ones."""

_TYPICAL_SPREAD: Final = {
    "block1_conv1": 980.0, "block1_conv2": 1.35e4,
    "block2_conv1": 2.05e4, "block2_conv2": 4.39e4,
    "block3_conv1": 4.83e4, "block3_conv2": 5.25e4, "block3_conv3": 1.22e5, "block3_conv4": 4.47e5,
    "block4_conv1": 4.88e5, "block4_conv2": 3.79e5, "block4_conv3": 1.5e5, "block4_conv4": 2.69e4,
    "block5_conv1": 1.42e4, "block5_conv2": 3330.0, "block5_conv3": 632.0, "block5_conv4": 37.4,
}  # fmt: skip
"""Mean variance of VGG19's features over a photo of 320 px: geometric means of six ordinary photos, which lie within a
factor of 3 of them. Fog, a white wall and a night sky have a tenth or less of it, a grey card has a three-hundredth.
VGG16's were not measured: its weights could not be had."""

_BY_POOLING: Final = {
    Pooling.MAX: (1.0, 1.0, 1.0, 1.0, 1.0),
    Pooling.AVERAGE: (1.0, 2.5, 4.8, 11.0, 12.0),
    Pooling.L2: (1.0, 1.7, 2.3, 3.7, 3.8),
}
"""What the spread in each block is multiplied by with other poolings: by four of these photos, within a fifth."""

_SCARCE: Final = 0.25
"""A photo with less than this share of the typical spread has next to no content."""


@dataclass(frozen=True)
class Content(LayerwiseContent):
    """Compare features with the photo's, position by position.

    Args:
        layers: names of the content layers.
        pooling: of the network.

    Reference:
        Gatys et al. 2016, eq. 1. Differs: the mean of squares instead of half their sum, times `SCALE`.
    """

    pooling: Pooling = Pooling.MAX

    name: ClassVar[str] = "content"

    @property
    def floor(self) -> Sequence[float]:
        """The share of a typical photo's spread that counts as next to none."""
        factors = _BY_POOLING[self.pooling]
        return [SCALE * _SCARCE * _TYPICAL_SPREAD[layer] * factors[block_of(layer) - 1] for layer in self.layers]

    def aim(self, photo: Features, style: Any) -> list[tf.Tensor]:  # noqa: ANN401, ARG002  it is the photo's alone
        """Return the photo's features, `[1, h, w, C]` float32 a layer."""
        return [tf.cast(photo.layers[layer], tf.float32) for layer in self.layers]

    def aim_spec(self, channels: Mapping[str, int]) -> list[tf.TensorSpec]:
        """Return those of features of any size."""
        return [tf.TensorSpec([1, None, None, channels[layer]]) for layer in self.layers]

    def sums(self, features: Features, aim: list[tf.Tensor]) -> list[Sums]:
        """Add up squared differences."""
        return [
            squares(tf.cast(features.layers[layer], tf.float32) - target, features.guides[layer])
            for layer, target in zip(self.layers, aim, strict=True)
        ]

    def losses(self, sums: list[Sums], aim: list[tf.Tensor]) -> tf.Tensor:  # noqa: ARG002  the sums hold all
        """Return the mean squares."""
        return SCALE * tf.stack([mean_of(one) for one in sums])

    def yardstick(self, photo: Features, aim: list[tf.Tensor]) -> tf.Tensor:
        """Return the losses of a picture that has the photo's mean features everywhere."""
        spreads = [_spread(target, photo.guides[layer]) for layer, target in zip(self.layers, aim, strict=True)]
        return self.losses(spreads, aim)


def term(settings: TransferSettings) -> Content:
    """Make the term for the content layers of the settings."""
    return Content(tuple(sorted(settings.recipe.content[Content.name].layers)), settings.pooling)


def _spread(features: tf.Tensor, guide: tf.Tensor) -> Sums:
    mean = mean_of(Sums(tf.reduce_sum(guide), first_moment(features, guide)))
    return squares(features - mean, guide)
