import numpy as np
import tensorflow as tf

from nstd.engine.features import PIXELS, block_of, layer_guides
from nstd.engine.margin import guide_with_margin

LAYERS = ("block1_conv2", "block3_conv1", "block5_conv4")


def test_a_margin_of_whole_positions_is_left_out_of_every_layer():
    guides = layer_guides(guide_with_margin(48, 64, 16), LAYERS)
    assert list(guides) == [PIXELS, *LAYERS]
    for name, guide in guides.items():
        side = 1 if name == PIXELS else 2 ** (block_of(name) - 1)
        margin = 16 // side
        assert guide.shape == (1, (64 + 32) // side, (48 + 32) // side, 1)
        inner = guide[:, margin:-margin, margin:-margin]
        assert inner.numpy().min() == 1
        assert float(tf.reduce_sum(guide)) == inner.shape[1] * inner.shape[2]


def test_a_position_counts_as_much_as_its_pixels():
    pixels = np.zeros((1, 5, 4, 1), np.float32)
    pixels[0, 1:, 1] = 1
    # The fifth row has no position, as in the network.
    np.testing.assert_array_equal(layer_guides(tf.constant(pixels), ["block2_conv1"])["block2_conv1"][0, :, :, 0],
                                  [[0.25, 0], [0.5, 0]])  # fmt: skip
