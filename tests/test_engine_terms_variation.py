import pytest
import tensorflow as tf

from nstd.engine.features import PIXELS, Features
from nstd.engine.terms.variation import Variation

IMAGE = tf.reshape(tf.constant([[0.0, 1.0, 3.0], [0.0, 2.0, 3.0]]), [1, 2, 3, 1])


def loss(image: tf.Tensor, guide: tf.Tensor) -> float:
    return float(Variation().yardstick(Features(image, {}, {PIXELS: guide}), ())[0])


def test_total_variation_loss_by_hand():
    # across: (1 + 4 + 4 + 1) / 4; down: (0 + 1 + 0) / 3
    assert loss(IMAGE, tf.ones([1, 2, 3, 1])) == pytest.approx(2.5 + 1 / 3)


def test_pairs_with_a_pixel_that_does_not_count_do_not_count():
    # Without the first column, across: (4 + 1) / 2; down: (1 + 0) / 2
    guide = tf.reshape(tf.constant([[0.0, 1.0, 1.0]] * 2), [1, 2, 3, 1])
    assert loss(IMAGE, guide) == pytest.approx(3.0)


def test_a_plain_picture_has_none():
    assert loss(tf.ones([1, 4, 4, 3]), tf.ones([1, 4, 4, 1])) == 0
