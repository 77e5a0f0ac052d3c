"""The way into float16 and out of it, for a network whose features and gradients do not fit its range.

VGG's features reach 90,000 on the 0..255 scale, and float16 ends at 65,504. A network of convolutions, ReLUs and
poolings is homogeneous: with its image and its biases divided by `SCALE`, all its features are divided by it, and since
it is a power of two, none of them loses a digit.

The size of what flows back depends on the weights of the loss and on the picture's size, and has no bounds. So it is
multiplied by a power of two that brings its own largest value to float16's middle, and what arrives at the image is
divided by it again, in float32. The factor goes from `widen` to `narrow` as the gradient of a number that nothing else
depends on.

TensorFlow keeps custom gradients for good, with the graph they are in. Here each is in a small graph of its own, made
once in a process, which the large graphs call.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, Final, cast

import tensorflow as tf

from nstd.engine.pixels import IMAGE

SCALE: Final = 64.0
_LARGEST_GRADIENT: Final = 16.0
"""The largest gradient by a feature is brought to 16..32, and grows to some thousands on its way to the image."""

_LEAST: Final = 2.0**-123
_EXPONENT_BITS: Final = 0x7F800000

_Backward = Callable[..., tf.Tensor]


def narrow(image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Bring an image into float16.

    Args:
        image: `[1, H, W, 3]` float32.

    Returns:
        The image divided by `SCALE`, in float16, and the factor's carrier, for `widen`.
    """
    narrowed: tuple[tf.Tensor, tf.Tensor] = _narrowing()(image)
    return narrowed


def widen(features: Sequence[tf.Tensor], carrier: tf.Tensor) -> list[tf.Tensor]:
    """Bring features of the narrowed image into float32 and to their true size.

    Args:
        features: one `[1, h, w, C]` float16 tensor a layer, divided by `SCALE`.
        carrier: what `narrow` gave with the image.
    """
    return [*_widening(len(features))(carrier, *features)]


@functools.cache
def _narrowing() -> Callable[..., Any]:
    whole = tf.function(_narrow, input_signature=[IMAGE], autograph=False)
    return cast("Callable[..., Any]", whole)


@functools.cache
def _widening(count: int) -> Callable[..., Any]:
    features = [tf.TensorSpec([1, None, None, None], tf.float16)] * count
    whole = tf.function(_widen, input_signature=[tf.TensorSpec([]), *features], autograph=False)
    return cast("Callable[..., Any]", whole)


@tf.custom_gradient  # type: ignore[untyped-decorator]  # TensorFlow has no types
def _narrow(image: tf.Tensor) -> tuple[tuple[tf.Tensor, tf.Tensor], _Backward]:
    def backward(gradient: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
        return tf.cast(gradient, tf.float32) / factor

    return (tf.cast(image / SCALE, tf.float16), tf.constant(1.0)), backward


@tf.custom_gradient  # type: ignore[untyped-decorator]  # as above
def _widen(carrier: tf.Tensor, *features: tf.Tensor) -> tuple[tuple[tf.Tensor, ...], _Backward]:  # noqa: ARG001
    def backward(*gradients: tf.Tensor) -> tuple[tf.Tensor, ...]:
        # By the chain rule both ends would bring a factor of SCALE, one the inverse of the other.
        largest = tf.reduce_max([tf.reduce_max(tf.abs(gradient)) for gradient in gradients])
        factor = _LARGEST_GRADIENT / _power_of_two(tf.maximum(largest, _LEAST))
        return factor, *(tf.cast(gradient * factor, tf.float16) for gradient in gradients)

    return tuple(tf.cast(feature, tf.float32) * SCALE for feature in features), backward


def _power_of_two(number: tf.Tensor) -> tf.Tensor:
    """Round a positive float32 scalar down to a power of two, which is to clear its digits."""
    return tf.bitcast(tf.bitwise.bitwise_and(tf.bitcast(number, tf.int32), _EXPONENT_BITS), tf.float32)
