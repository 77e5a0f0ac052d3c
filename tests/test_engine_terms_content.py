import pytest
import tensorflow as tf

from nstd.engine.features import Features
from nstd.engine.terms.content import Content

TERM = Content(("block1_conv1",))


def seen(features: tf.Tensor, guide: tf.Tensor | None = None) -> Features:
    counts = tf.ones([*features.shape[:3], 1]) if guide is None else guide
    return Features(tf.zeros([1, 8, 8, 3]), {"block1_conv1": features}, {"block1_conv1": counts})


def loss(features: tf.Tensor, target: tf.Tensor, guide: tf.Tensor | None = None) -> float:
    (found,) = TERM.losses(TERM.sums(seen(features, guide), [target]), [target]).numpy()
    return float(found)


FEATURES = tf.constant([[[[1.0, 2.0], [3.0, 4.0]]]])
TARGET = tf.constant([[[[0.0, 2.0], [3.0, 1.0]]]])


def test_content_loss_by_hand():
    # 0.3 * (1 + 0 + 0 + 9) / 4
    assert loss(FEATURES, TARGET) == pytest.approx(0.75)


def test_positions_count_by_their_guide():
    # 0.3 * (1 * 0.5 + 9 * 0.25) / (2 * 0.75)
    assert loss(FEATURES, TARGET, tf.constant([[[[0.5], [0.25]]]])) == pytest.approx(0.3 * 2.75 / 1.5)


def test_it_vanishes_at_the_photo():
    features = tf.random.normal([1, 4, 5, 6], seed=3)
    aim = TERM.aim(seen(features), ())
    assert loss(features, *aim) == 0


def test_yardstick_is_the_loss_of_the_photos_mean_features():
    photo = seen(tf.random.normal([1, 4, 5, 6], seed=4))
    aim = TERM.aim(photo, ())
    mean = tf.reduce_mean(photo.layers["block1_conv1"], [1, 2], keepdims=True)
    assert float(TERM.yardstick(photo, aim)[0]) == pytest.approx(loss(mean + 0 * aim[0], *aim), rel=1e-5)
