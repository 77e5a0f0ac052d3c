"""Matrix products in full float32, also where the GPU would round their factors."""

from typing import Final

import tensorflow as tf

_HIGH_BITS: Final = -(1 << 13)
"""Sign, exponent and the first 10 digits of a float32: what TF32 keeps of it."""


def product(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """Multiply matrices in float32.

    Where TensorFlow rounds the factors to TF32, each is taken apart into two that lose next to nothing by that; three
    products of them are still faster there than one in float32, not to speak of float64.

    Reference:
        Ootomo and Yokota 2022, "Recovering single precision accuracy from Tensor Cores", eq. 5 to 7 without scaling.
    """
    if not rounds_factors():
        return tf.matmul(a, b)
    (a_high, a_low), (b_high, b_low) = _parts(a), _parts(b)
    return tf.matmul(a_high, b_high) + (tf.matmul(a_high, b_low) + tf.matmul(a_low, b_high))


def rounds_factors() -> bool:
    """Say whether products may be computed in TF32, as they are on GPUs of compute capability 8.0 or more."""
    return bool(tf.config.get_visible_devices("GPU")) and tf.config.experimental.tensor_float_32_execution_enabled()


def _parts(matrix: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    high = tf.bitcast(tf.bitwise.bitwise_and(tf.bitcast(matrix, tf.int32), _HIGH_BITS), tf.float32)
    return high, matrix - high
