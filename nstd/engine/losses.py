"""The terms of the loss, on the network's own scale (BGR, mean-subtracted, 0..255).

The scales below bring content and style of a typical pair to the same order, so that weights around 1 are the
useful ones.
"""

from typing import Final

import tensorflow as tf

CONTENT_SCALE: Final = 0.3
STYLE_SCALE: Final = 10.0


def gram_matrix(features: tf.Tensor) -> tf.Tensor:
    """Correlate channels: `[1, H, W, C]` -> `[C, C]` float32, divided by H * W.

    Reference:
        Gatys et al. 2016, eq. 3. Differs: divided by the number of positions, so that the scale does not depend on
        the picture's size.
    """
    positions = tf.cast(tf.reshape(features, [-1, features.shape[-1]]), tf.float32)
    count = tf.cast(tf.shape(positions)[0], tf.float32)
    # Both factors are the same, so one of them can carry the gradient of both: one product instead of two and their
    # sum. The mirrored term is zero and brings the other's share. (A custom gradient would be kept by TensorFlow for
    # good, with the whole graph it is used in.)
    gram = tf.matmul(tf.stop_gradient(positions), positions, transpose_a=True) / count
    mirrored = tf.transpose(gram)
    return gram + (mirrored - tf.stop_gradient(mirrored))


def content_loss(features: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """Compare one layer's features `[1, H, W, C]` with the content image's; a float32 scalar.

    Reference:
        Gatys et al. 2016, eq. 1. Differs: the mean of squares instead of half their sum, times `CONTENT_SCALE`.
    """
    return CONTENT_SCALE * tf.reduce_mean(tf.square(tf.cast(features, tf.float32) - target))


def style_loss(gram: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """Compare one layer's Gram matrix `[C, C]` with the style's; a float32 scalar.

    Reference:
        Gatys et al. 2016, eq. 4. Differs: the mean over C * C entries, divided by C * C, times `STYLE_SCALE`; the
        Gram matrices are already free of the number of positions.
    """
    channels = gram.shape[-1]
    return STYLE_SCALE / channels**2 * tf.reduce_mean(tf.square(gram - target))


def total_variation_loss(image: tf.Tensor) -> tf.Tensor:
    """Punish differences between neighbours in `[1, H, W, 3]`: the mean square across and down; a scalar.

    Reference:
        Mahendran and Vedaldi 2015, eq. 4 with beta = 2. Differs: means instead of sums.
    """
    across = image[:, :, 1:] - image[:, :, :-1]
    down = image[:, 1:] - image[:, :-1]
    return tf.reduce_mean(tf.square(across)) + tf.reduce_mean(tf.square(down))
