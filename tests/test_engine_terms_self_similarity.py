import functools

import engine_samples
import numpy as np
import pytest
import tensorflow as tf
from engine_samples import random_features as random

from nstd.engine.features import Features
from nstd.engine.terms.self_similarity import SCALE, SelfSimilarity

LAYER = "block1_conv1"
TERM = SelfSimilarity((LAYER,))


seen = functools.partial(engine_samples.seen, LAYER)


def loss(picture, photo, guide=None) -> float:
    aim = TERM.aim(seen(photo, guide), ())
    return float(TERM.losses(TERM.sums(seen(picture, guide), aim), aim)[0]) / SCALE


def test_loss_by_hand():
    # Cosine distances of the photo's parts: 0 and 1, with a mean of 1/2; of the picture's: 0 and 0.
    photo, picture = [[(1, 0), (0, 1)]], [[(2, 0), (5, 0)]]
    certainty = 0.5**8 / (0.5**8 + 0.45**8)
    assert loss(picture, photo) == pytest.approx(certainty * (1 / (0.5 + 0.05)) ** 2 / 2, rel=1e-5)


def test_what_was_alike_may_be_told_apart_for_a_tenth():
    # Relative distances in both columns: 0 and 0 of the photo's, 0 and 1 / 0.55 of the picture's.
    photo, picture = [[(1, 0), (1, 0)]], [[(1, 0), (0, 1)]]
    aim = TERM.aim(seen(photo), ())
    [sums] = TERM.sums(seen(picture), aim)
    assert float(sums.values / sums.weight) == pytest.approx(0.1 * (1 / (0.5 + 0.05)) ** 2 / 2, rel=1e-5)


def test_the_photo_itself_and_all_that_is_like_it_in_the_same_way_is_at_no_distance():
    photo = random(6, 1)
    assert loss(photo, photo) == pytest.approx(0, abs=1e-9)
    assert loss(3 * photo[..., ::-1], photo) == pytest.approx(0, abs=1e-9), "other channels, three times as strong"
    assert loss(random(6, 2), photo) > 0.002


def test_what_lies_in_the_margin_does_not_count():
    inner = np.pad(np.ones([6, 6]), 3)
    photo, picture = random(12, 1), random(12, 2)
    cut = slice(3, 9)
    assert loss(picture, photo, inner) == pytest.approx(loss(picture[cut, cut], photo[cut, cut]), rel=1e-5)


def test_of_many_positions_some_are_compared_and_the_same_of_both():
    photo = random(40, 1)
    [likeness] = TERM.aim(seen(photo), ())
    assert likeness.distances.shape == [1024, 1024]
    assert len(set(likeness.positions.numpy())) > 900, "some are drawn twice"
    assert loss(photo, photo) == pytest.approx(0, abs=1e-9)


def test_yardstick_is_the_loss_of_a_picture_of_something_else():
    photo = seen(random(6, 1))
    aim = TERM.aim(photo, ())
    yardstick = float(TERM.yardstick(photo, aim)[0])
    assert SCALE * np.mean([loss(random(6, seed), random(6, 1)) for seed in range(2, 8)]) == pytest.approx(
        yardstick, rel=0.2
    )


def test_a_flat_photo_has_next_to_no_content():
    def yardstick(features) -> float:
        photo = seen(features)
        return float(TERM.yardstick(photo, TERM.aim(photo, ()))[0])

    rng = np.random.default_rng(1)
    flat = np.maximum(0, 1 + rng.normal(0, 0.4, (12, 12, 64)))
    sparse = rng.gamma(0.3, 10, (12, 12, 64)) * rng.integers(0, 2, (12, 12, 64))
    assert yardstick(flat) < 0.1 * TERM.floor[0] < TERM.floor[0] < yardstick(sparse)


def test_features_that_are_zero_are_no_trouble():
    photo = random(6, 1)
    aim = TERM.aim(seen(photo), ())
    with tf.GradientTape() as tape:
        picture = tf.Variable(np.zeros_like(photo), dtype=tf.float32)
        features = Features(tf.zeros([]), {LAYER: picture[tf.newaxis]}, seen(photo).guides)
        found = tf.reduce_sum(TERM.losses(TERM.sums(features, aim), aim))
    assert np.isfinite(found)
    assert np.isfinite(tf.convert_to_tensor(tape.gradient(found, picture))).all()


def test_gradient_agrees_with_finite_differences():
    picture, photo = random(8, 1), random(8, 2)
    aim = TERM.aim(seen(photo), ())
    with tf.GradientTape() as tape:
        variable = tf.Variable(picture, dtype=tf.float32)
        features = Features(tf.zeros([]), {LAYER: variable[tf.newaxis]}, seen(picture).guides)
        found = TERM.losses(TERM.sums(features, aim), aim)[0]
    gradient = tf.convert_to_tensor(tape.gradient(found, variable)).numpy()
    step = 0.5 * gradient / np.linalg.norm(gradient)
    ahead, behind = (SCALE * loss(picture + sign * step, photo) for sign in (1, -1))
    assert (ahead - behind) / 2 == pytest.approx((gradient * step).sum(), rel=0.02)
