"""The terms of the loss beside the style's, on the network's own scale (BGR, mean-subtracted, 0..255)."""

from typing import Final

import tensorflow as tf

CONTENT_SCALE: Final = 0.3
"""Brings the content of a typical pair to the order of its style, so that weights around 1 are the useful ones."""


def content_loss(features: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """Compare one layer's features `[1, H, W, C]` with the content image's; a float32 scalar.

    Reference:
        Gatys et al. 2016, eq. 1. Differs: the mean of squares instead of half their sum, times `CONTENT_SCALE`.
    """
    return CONTENT_SCALE * tf.reduce_mean(tf.square(tf.cast(features, tf.float32) - target))


def total_variation_loss(image: tf.Tensor) -> tf.Tensor:
    """Punish differences between neighbours in `[1, H, W, 3]`: the mean square across and down; a scalar.

    Reference:
        Mahendran and Vedaldi 2015, eq. 4 with beta = 2. Differs: means instead of sums.
    """
    across = image[:, :, 1:] - image[:, :, :-1]
    down = image[:, 1:] - image[:, :-1]
    return tf.reduce_mean(tf.square(across)) + tf.reduce_mean(tf.square(down))
