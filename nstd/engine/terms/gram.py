"""Style by Gram matrices: which channels are active together."""

from dataclasses import dataclass
from typing import ClassVar, Final

import tensorflow as tf

from nstd.engine.terms.layerwise import LayerwiseStyle
from nstd.engine.terms.sums import Sums, second_moment
from nstd.transfer_settings import TransferSettings

SCALE: Final = 10.0
"""Brings the style of a typical pair to the order of its content, so that weights around 1 are the useful ones."""


@dataclass(frozen=True)
class Gram(LayerwiseStyle):
    """Compare Gram matrices.

    The loss is of the fourth power of the features, and a painting leaves a hundredth of it; the content loss is of the
    second, which is why the photo's share is so small.
    """

    name: ClassVar[str] = "gram"
    photo_share: ClassVar[float] = 0.02

    def measure(self, features: tf.Tensor, guide: tf.Tensor) -> Sums:
        """Add up the products of channels; the mean is the Gram matrix.

        Reference:
            Gatys et al. 2016, eq. 3. Differs: divided by the number of positions that count, so that the scale does not
            depend on the picture's size.
        """
        return Sums(tf.reduce_sum(guide), second_moment(features, guide))

    def target(self, mean: tf.Tensor) -> tf.Tensor:
        """Return the style's Gram matrix, `[C, C]`."""
        return tf.identity(mean)

    def target_spec(self, channels: int) -> tf.TensorSpec:
        """Return that of a matrix."""
        return tf.TensorSpec([channels, channels])

    def distance(self, mean: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
        """Compare Gram matrices `[C, C]`; a float32 scalar.

        Reference:
            Gatys et al. 2016, eq. 4. Differs: the mean over C * C entries, divided by C * C, times `SCALE`; the Gram
            matrices are already free of the number of positions.
        """
        channels = mean.shape[-1]
        return SCALE / channels**2 * tf.reduce_mean(tf.square(mean - target))


def term(settings: TransferSettings) -> Gram:
    """Make the term for the style layers of the settings."""
    return Gram(tuple(sorted(settings.style_layers)))
