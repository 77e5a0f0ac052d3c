"""Between RGB pictures and the network's input: BGR, ImageNet's mean subtracted, 0..255 scale."""

from typing import Final

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

MEAN_BGR: Final[NDArray[np.float32]] = np.array([103.939, 116.779, 123.68], np.float32)
"""ImageNet's channel means in BGR order, as in Simonyan and Zisserman's training."""


Picture = NDArray[np.float32]

IMAGE: Final = tf.TensorSpec([1, None, None, 3])
"""The network's input, of any size."""


def preprocess(image: NDArray[np.float32]) -> tf.Tensor:
    """Turn an RGB picture into the network's input.

    Args:
        image: `[H, W, 3]` float32, RGB, 0..255.

    Returns:
        `[1, H, W, 3]` float32, BGR, mean-subtracted.
    """
    return tf.constant(image[np.newaxis, :, :, ::-1] - MEAN_BGR)


def within_range(tensor: tf.Tensor) -> tf.Tensor:
    """Clip the network's input, `[1, H, W, 3]`, to the pixels that a file can store."""
    return tf.clip_by_value(tensor, -MEAN_BGR, 255 - MEAN_BGR)


def deprocess(tensor: tf.Tensor) -> NDArray[np.float32]:
    """Turn the network's input back into an RGB picture; what left the range is clipped.

    Args:
        tensor: `[1, H, W, 3]` float32, BGR, mean-subtracted.

    Returns:
        `[H, W, 3]` float32, RGB, 0..255.
    """
    bgr = np.asarray(tensor)[0] + MEAN_BGR
    return np.ascontiguousarray(np.clip(bgr[:, :, ::-1], 0, 255))
