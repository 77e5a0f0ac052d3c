import pytest
import tensorflow as tf

from nstd.engine.losses import content_loss, total_variation_loss


def test_content_loss_by_hand():
    features = tf.constant([[[[1.0, 2.0], [3.0, 4.0]]]])
    target = tf.constant([[[[0.0, 2.0], [3.0, 1.0]]]])
    # 0.3 * (1 + 0 + 0 + 9) / 4
    assert float(content_loss(features, target)) == pytest.approx(0.75)


def test_total_variation_loss_by_hand():
    image = tf.reshape(tf.constant([[0.0, 1.0, 3.0], [0.0, 2.0, 3.0]]), [1, 2, 3, 1])
    # across: (1 + 4 + 4 + 1) / 4; down: (0 + 1 + 0) / 3
    assert float(total_variation_loss(image)) == pytest.approx(2.5 + 1 / 3)


def test_losses_vanish_at_their_targets():
    features = tf.random.normal([1, 4, 5, 6], seed=3)
    assert float(content_loss(features, features)) == 0
    assert float(total_variation_loss(tf.ones([1, 4, 4, 3]))) == 0
