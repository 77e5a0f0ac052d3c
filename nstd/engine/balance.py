"""How the terms of the loss are weighed against each other, so that `strength` means the same for every pair."""

from typing import Any, Final, NamedTuple

import tensorflow as tf

from nstd.preset import StyleStatistics, TransferSettings

_TOTAL: Final = 1e4
"""What the style loss of the photo itself is brought to, for strength 1; about what raw losses end at."""

_CONTENT: Final = {StyleStatistics.GRAM: 0.02, StyleStatistics.WASSERSTEIN: 0.2}
"""What the content loss of a featureless picture is brought to for strength 0, in the same unit.

A Gram loss is of the fourth power of the features, and a painting leaves a hundredth of it; the content loss and the
Wasserstein distance are of the second.
"""


class Yardstick(NamedTuple):
    """The photo's own losses, by which the terms are measured; float32 tensors.

    Attributes:
        content: `[number of content layers]`, of a picture that has the photo's mean features everywhere.
        style: `[number of style layers]`, of the photo.
        variation: scalar, the photo's total variation.
    """

    content: tf.Tensor
    style: tf.Tensor
    variation: tf.Tensor


class TermWeights(NamedTuple):
    """The factors of the loss terms as float32 tensors, so that a change of them compiles nothing.

    Attributes:
        content: `[number of content layers]`.
        style: `[number of style layers]`.
        tv: scalar.
    """

    content: tf.Tensor
    style: tf.Tensor
    tv: tf.Tensor


def term_weights(settings: TransferSettings, layers: tuple[Any, Any], yardstick: Yardstick) -> TermWeights:
    """Weigh the terms as the settings say.

    With a strength s, content and style are divided by the photo's own losses and multiplied by (1 - s)^2 and s^2.

    Args:
        settings: with the weights and the strength.
        layers: the weights of the content layers and of the style layers, in their order.
        yardstick: what the photo's own losses are, before any weights.
    """
    content, style = (tf.constant(weights, tf.float32) for weights in layers)
    factors = TermWeights(
        settings.content_weight * content, settings.style_weight * style, tf.constant(settings.tv_weight, tf.float32)
    )
    if settings.strength is None:
        return factors
    keep = _TOTAL * _CONTENT[settings.style_statistics] * (1 - settings.strength) ** 2
    take = _TOTAL * settings.strength**2
    return TermWeights(
        factors.content * _share(keep, tf.reduce_sum(content * yardstick.content)),
        factors.style * _share(take, tf.reduce_sum(style * yardstick.style)),
        factors.tv * _share(_TOTAL, yardstick.variation),
    )


def _share(total: float, measured: tf.Tensor) -> tf.Tensor:
    return tf.math.divide_no_nan(total, measured)
