import functools

import engine_samples
import numpy as np
import pytest
import tensorflow as tf
from engine_samples import random_features as random

from nstd.engine.features import Features
from nstd.engine.terms.nearest import SCALE, Nearest
from nstd.transfer_settings import TransferSettings

LAYER = "block1_conv1"
TERM = Nearest((LAYER,), views=1)


seen = functools.partial(engine_samples.seen, LAYER)


def keys_of(*styles, shares=(1.0,), term=TERM):
    return term.mixed([[term.style(seen(view)) for view in views] for views in styles], shares)


def matched(picture, style, seed=(0, 0)):
    [match] = TERM.match(seen(picture), keys_of([style]), tf.constant(seed))
    return match


def distance(picture, match) -> float:
    return float(TERM.losses(TERM.sums(seen(picture), [match]), [match])[0]) / SCALE


def test_each_part_of_either_is_matched_with_the_nearest_of_the_other_by_hand():
    # From the mean (2, 2), the style's parts lie up, down, left and right.
    style = [[(2, 3), (2, 1)], [(0, 2), (4, 2)]]
    picture = [[(2, 9), (3, 9)]]  # up, and between up and right, but nearer to up
    [match] = TERM.match(seen(picture), keys_of([style]), tf.constant([0, 0]))
    np.testing.assert_allclose(match.mean, [2, 2])
    near, nearer = 7 / np.hypot(7, 1), 1 / np.hypot(7, 1)
    assert list(match.positions) == [0, 1]
    # Each of the picture is to be like up, by 1/2; up and left are to be found in the first, where they are nearest,
    # and down and right in the second, each by 1/2 * 1/4.
    np.testing.assert_allclose(match.goals, [[-1 / 8, 1 / 2 + 1 / 8], [1 / 8, 1 / 2 - 1 / 8]], atol=1e-6)
    np.testing.assert_allclose(match.weights, [1 / 2 + 2 / 8, 1 / 2 + 2 / 8])
    there = (0 + 1 - near) / 2
    back = (0 + 1 + near + 1 + 1 - nearer) / 4
    assert distance(picture, match) == pytest.approx((there + 0.5 * back) / 1.5, rel=1e-5)


def test_what_is_nearest_to_others_anyway_is_left_to_them_by_hand():
    style = [[(2, 3), (2, 1)], [(0, 2), (4, 2)]]  # up, down, left and right
    between = 2 + np.sin(np.radians(40)), 2 + np.cos(np.radians(40))  # up and right, and nearer to up
    np.testing.assert_allclose(matched([[between, between]], style).goals[1], [0, 1 / 2], atol=1e-6)
    # The first is up, which costs 3/4 of 1. Right costs 3/4 of cos 50: 0.643 - 0.482 is more than 0.766 - 0.75.
    beside_up = matched([[(2, 9), between]], style)
    np.testing.assert_allclose(beside_up.goals[1], [1 / 2 + 1 / 8, -1 / 8], atol=1e-6)


def test_the_style_itself_is_at_no_distance():
    style = random(12, 1)
    assert distance(style, matched(style, style)) == pytest.approx(0, abs=1e-5)
    assert distance(random(12, 2), matched(random(12, 2), style)) > 0.05


def test_what_lies_in_the_margin_neither_counts_nor_is_offered():
    inner = np.pad(np.ones([6, 6]), 3)
    style, picture = random(12, 1), random(12, 2)
    keys = TERM.mixed([[TERM.style(seen(style, inner))]], [1.0])
    [match] = TERM.match(seen(picture, inner), keys, tf.constant([0, 0]))
    assert set(match.positions.numpy()) == set(np.flatnonzero(inner))
    cut = slice(3, 9)
    [same] = TERM.match(seen(picture[cut, cut]), keys_of([style[cut, cut]]), tf.constant([0, 0]))
    np.testing.assert_allclose(match.goals, same.goals, atol=1e-6)


def test_a_seed_draws_the_same_positions_again_and_another_seed_others():
    picture, style = random(100, 1), random(20, 2)
    first, again, other = (matched(picture, style, seed).positions.numpy() for seed in ((1, 2), (1, 2), (1, 3)))
    np.testing.assert_array_equal(first, again)
    assert len(first) == 3072
    assert len(set(first)) > 2900, "hardly any is drawn twice"
    assert 0.2 < np.isin(first, other).mean() < 0.4
    # As many from each fifth of the picture.
    assert np.ptp(np.histogram(first, 5, (0, 100 * 100))[0]) <= 2


def test_turned_styles_are_offered_but_not_looked_for():
    term = Nearest((LAYER,), views=4)
    views = [random(10, seed) for seed in range(4)]
    [keys] = keys_of(views, term=term)
    assert keys.directions.shape == [400, 8]
    [upright] = keys_of(views[:1])
    np.testing.assert_allclose(keys.directions[:100], upright.directions, atol=1e-6)
    picture = seen(random(2, 9))
    [match] = term.match(picture, [keys], tf.constant([0, 0]))
    [alone] = TERM.match(picture, [upright], tf.constant([0, 0]))
    np.testing.assert_allclose(match.weights, alone.weights, atol=1e-6)
    np.testing.assert_allclose(keys.mean, views[0].mean((0, 1)), rtol=1e-5)


def test_several_styles_are_offered_by_their_shares():
    [keys] = keys_of([random(40, 1)], [random(40, 2)], shares=(0.75, 0.25))
    alone = [keys_of([random(40, seed)])[0] for seed in (1, 2)]
    assert keys.directions.shape[0] == 1600
    np.testing.assert_allclose(keys.mean, 0.75 * alone[0].mean + 0.25 * alone[1].mean, rtol=1e-5)


def test_features_that_are_all_the_styles_mean_are_no_trouble():
    flat = np.full([8, 8, 8], 5.0)
    with tf.GradientTape() as tape:
        picture = tf.Variable(flat, dtype=tf.float32)
        match = matched(flat, flat)
        features = Features(tf.zeros([]), {LAYER: picture[tf.newaxis]}, seen(flat).guides)
        loss = tf.reduce_sum(TERM.losses(TERM.sums(features, [match]), [match]))
    assert np.isfinite(loss)
    assert np.isfinite(tf.convert_to_tensor(tape.gradient(loss, picture))).all()


def test_gradient_agrees_with_finite_differences():
    picture, match = random(12, 1), matched(random(12, 1), random(12, 2))
    with tf.GradientTape() as tape:
        variable = tf.Variable(picture, dtype=tf.float32)
        features = Features(tf.zeros([]), {LAYER: variable[tf.newaxis]}, seen(picture).guides)
        loss = TERM.losses(TERM.sums(features, [match]), [match])[0]
    gradient = tf.convert_to_tensor(tape.gradient(loss, variable)).numpy()
    step = 0.5 * gradient / np.linalg.norm(gradient)
    ahead, behind = (SCALE * distance(picture + sign * step, match) for sign in (1, -1))
    assert (ahead - behind) / 2 == pytest.approx((gradient * step).sum(), rel=0.02)


def test_layers_are_weighed_among_each_other():
    settings = TransferSettings(nearest_layers={"block2_conv1": 3, "block3_conv1": 1}, nearest_weight=2)
    term = Nearest(("block2_conv1", "block3_conv1"))
    assert term.weight(settings) == 2
    assert term.row_weights(settings) == [0.75, 0.25]
