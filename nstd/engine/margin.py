"""The margin around a picture that is painted and not counted.

The network pads with zeros, which it sees as a grey edge, and the optimiser paints that as a frame. So, with `padding:
mirror`, every level is painted with its border mirrored outwards. What lies in the margin counts in no loss, and is cut
off in the end.
"""

from typing import Final

import numpy as np
import tensorflow as tf

from nstd.engine.pixels import Picture
from nstd.transfer_settings import Padding

MARGIN_PX: Final = 16


def margin_px(padding: Padding) -> int:
    """Return how wide the margin is on each side."""
    return MARGIN_PX if padding is Padding.MIRROR else 0


def with_margin(image: Picture, margin: int) -> Picture:
    """Mirror a picture `[H, W, 3]` outwards."""
    return np.pad(image, ((margin, margin), (margin, margin), (0, 0)), mode="symmetric")


def without_margin(image: Picture, margin: int) -> Picture:
    """Cut the margin off."""
    height, width, _ = image.shape
    return np.ascontiguousarray(image[margin : height - margin, margin : width - margin])


def guide_with_margin(width: int, height: int, margin: int) -> tf.Tensor:
    """Let a picture of this size count, and the margin around it not: `[1, H + 2 margin, W + 2 margin, 1]`."""
    return tf.pad(tf.ones([1, height, width, 1]), [[0, 0], [margin, margin], [margin, margin], [0, 0]])
