"""Content by self-similarity: how unlike each other the parts of the photo are, whatever they look like."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, NamedTuple

import tensorflow as tf

from nstd.engine.features import Features
from nstd.engine.terms.layerwise import LayerwiseContent
from nstd.engine.terms.positions import at, directions, drawn
from nstd.engine.terms.sums import Sums, mean_of
from nstd.transfer_settings import TransferSettings

SCALE: Final = 3e6
"""Brings the content of a typical pair to the order of its style, so that weights around 1 are the useful ones."""

_POSITIONS: Final = 1024
"""Parts of the picture that are compared with each other."""

_GRAIN: Final = 0.45
"""A mean distance between those of grain and of content: at block4_conv2 the parts of a grey card, a white wall, fog
and a night sky are 0.13 to 0.19 apart, those of six ordinary photos 0.62 to 0.74."""

_STEEPNESS: Final = 8

_GROWN: Final = 0.1
"""What a distance that has grown counts, by one that has shrunk as much."""

_SCARCE: Final = 0.003
"""A photo whose distances vary by less, as far as they are content, has next to none: flat ones by 0.0002, ordinary
ones by 0.02 to 0.08."""

_LEAST: Final = 0.05


class Likeness(NamedTuple):
    """How unlike each other some positions of a layer are.

    Attributes:
        positions: `[N]` int64, row by row.
        distances: `[N, N]`, relative to each column's mean.
        certainty: scalar, 0 for a photo whose parts differ by their grain alone, 1 for one with content.
    """

    positions: tf.Tensor
    distances: tf.Tensor
    certainty: tf.Tensor


@dataclass(frozen=True)
class SelfSimilarity(LayerwiseContent):
    """Compare the distances between parts of the picture with those between the same parts of the photo.

    What parts look like is free, and so is their colour. What is unlike in the photo stays unlike, as an eye and the
    skin around it; what is alike may be told apart, as a sky by brush strokes, for little. The sums are not additive:
    every part is compared with every other.

    Args:
        layers: names of the content layers.

    Reference:
        Kolkin et al. 2019, "STROTSS", eq. 7. Differs: layer by layer; squares in the place of absolute values, which
        have no curvature for L-BFGS to learn; distances that have grown count by `_GROWN`; all are relative to their
        mean plus `_LEAST`. The directions of a flat photo's features are those of its grain, so that it counts by its
        `certainty`.
    """

    name: ClassVar[str] = "self_similarity"

    @property
    def floor(self) -> Sequence[float]:
        """How much distances vary in a photo with next to no content."""
        return [(1 + _GROWN) * SCALE * _SCARCE] * len(self.layers)

    def aim(self, photo: Features, style: Any) -> list[Likeness]:  # noqa: ANN401, ARG002  it is the photo's alone
        """Measure the photo at positions that stand for all."""
        return [_likeness(photo.layers[layer], photo.guides[layer]) for layer in self.layers]

    def aim_spec(self, channels: Mapping[str, int]) -> list[Likeness]:  # noqa: ARG002  distances have none
        """Return the specs of any number of positions."""
        spec = Likeness(tf.TensorSpec([None], tf.int64), tf.TensorSpec([None, None]), tf.TensorSpec([]))
        return [spec] * len(self.layers)

    def sums(self, features: Features, aim: list[Likeness]) -> list[Sums]:
        """Add up squared differences of distances, those that have grown by less."""
        return [
            _weighed_squares(_relative(_distances(features.layers[layer], likeness.positions)) - likeness.distances)
            for layer, likeness in zip(self.layers, aim, strict=True)
        ]

    def losses(self, sums: list[Sums], aim: list[Likeness]) -> tf.Tensor:
        """Return the mean squares, as far as the photo's distances are content."""
        return SCALE * tf.stack([one.certainty * mean_of(each) for each, one in zip(sums, aim, strict=True)])

    def yardstick(self, photo: Features, aim: list[Likeness]) -> tf.Tensor:  # noqa: ARG002  the aim is of the photo
        """Return the losses of a picture of something else: its distances vary as much, and half of them are larger."""
        return (1 + _GROWN) * self.losses([_squares(one.distances - tf.reduce_mean(one.distances)) for one in aim], aim)


def term(settings: TransferSettings) -> SelfSimilarity:
    """Make the term for the content layers of the settings."""
    return SelfSimilarity(tuple(sorted(settings.recipe.content[SelfSimilarity.name].layers)))


def _likeness(features: tf.Tensor, guide: tf.Tensor) -> Likeness:
    positions = drawn(guide, _POSITIONS, tf.zeros([2], tf.int32))
    distances = _distances(features, positions)
    mean = tf.reduce_mean(distances)
    certainty = mean**_STEEPNESS / (mean**_STEEPNESS + _GRAIN**_STEEPNESS)
    return Likeness(positions, _relative(distances), certainty)


def _distances(features: tf.Tensor, positions: tf.Tensor) -> tf.Tensor:
    parts = directions(at(features, positions), tf.zeros([features.shape[-1]]))
    return 1 - tf.matmul(parts, parts, transpose_b=True)


def _relative(distances: tf.Tensor) -> tf.Tensor:
    return distances / (tf.reduce_mean(distances, axis=0, keepdims=True) + _LEAST)


def _weighed_squares(growth: tf.Tensor) -> Sums:
    return _squares(growth * tf.where(growth > 0, _GROWN**0.5, 1.0))


def _squares(difference: tf.Tensor) -> Sums:
    return Sums(tf.cast(tf.size(difference), tf.float32), tf.reduce_sum(tf.square(difference)))
