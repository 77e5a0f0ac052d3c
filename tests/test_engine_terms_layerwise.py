"""What holds for every style term that compares each layer by itself."""

import numpy as np
import pytest
import tensorflow as tf

from nstd.engine import products
from nstd.engine.terms.gram import Gram
from nstd.engine.terms.sums import mean_of
from nstd.engine.terms.wasserstein import Wasserstein

TERMS = [Gram(("block1_conv1",)), Wasserstein(("block1_conv1",))]


@pytest.fixture(params=TERMS, ids=lambda term: term.name)
def term(request):
    return request.param


def means(term, features):
    return mean_of(term.measure(features, tf.ones([*features.shape[:3], 1])))


def target_of(term, features):
    return term.target(means(term, features))


def loss_and_gradient(term, features, target):
    with tf.GradientTape() as tape:
        tape.watch(features)
        loss = term.distance(means(term, features), target)
    return loss, tape.gradient(loss, features)


def test_loss_and_gradient_vanish_at_the_target(term):
    features = 20 * tf.random.normal([1, 12, 12, 16], seed=3)
    target = target_of(term, features)
    start, slope = loss_and_gradient(term, features * 2, target)
    end, flat = loss_and_gradient(term, features, target)
    assert float(end) == pytest.approx(0, abs=1e-6 * float(start))
    assert float(tf.norm(flat)) < 1e-3 * float(tf.norm(slope))


@pytest.mark.parametrize("side", [1, 2, 12])
def test_gradient_agrees_with_finite_differences(term, side):
    """With 24 channels a map of 1 x 1 or 2 x 2 has a covariance that is far from full rank."""
    features, style, direction = (20 * tf.random.normal([1, side, side, 24], seed=seed) for seed in (1, 2, 3))
    target = target_of(term, style + 5)
    _, gradient = loss_and_gradient(term, features, target)
    # Along the gradient, and along a random direction made to have a part of it.
    unit = gradient / tf.norm(gradient)
    for along in (unit, unit + direction / tf.norm(direction)):
        step = 0.02 * tf.norm(features) / tf.norm(along) * along
        ahead, behind = (term.distance(means(term, x), target) for x in (features + step, features - step))
        assert float(ahead - behind) / 2 == pytest.approx(float(tf.reduce_sum(gradient * step)), rel=1e-2)


@pytest.mark.parametrize("level", [0.0, 50.0])
def test_plain_features_have_finite_losses_and_gradients(term, level):
    plain, lively = tf.fill([1, 2, 2, 512], level), 100 * tf.nn.relu(tf.random.normal([1, 6, 6, 512], seed=4))
    for style, features in ((plain, plain), (plain, lively), (lively, plain)):
        loss, gradient = loss_and_gradient(term, features, target_of(term, style))
        assert np.isfinite(loss)
        assert np.isfinite(gradient).all()


def test_same_features_give_the_same_bytes(term):
    features, style = (tf.random.normal([1, 8, 8, 64], seed=seed) for seed in (6, 7))
    runs = [loss_and_gradient(term, features, target_of(term, style))[1].numpy().tobytes() for _ in range(2)]
    assert runs[0] == runs[1]


def test_specs_fit_the_targets(term):
    target, spec = target_of(term, tf.ones([1, 2, 2, 6])), term.target_spec(6)
    tf.nest.assert_same_structure(spec, target)
    assert all(s.is_compatible_with(t) for s, t in zip(tf.nest.flatten(spec), tf.nest.flatten(target), strict=True))


def test_sums_of_two_halves_are_those_of_the_whole(term):
    features, guide = 20 * tf.random.normal([1, 6, 8, 16], seed=1), tf.random.uniform([1, 6, 8, 1], seed=2)
    left, right = (term.measure(features[:, :, part], guide[:, :, part]) for part in (slice(3), slice(3, 8)))
    whole = term.measure(features, guide)
    for one, two, both in zip(*map(tf.nest.flatten, (left, right, whole)), strict=True):
        np.testing.assert_allclose(one + two, both, rtol=1e-4, atol=1e-2)


def test_positions_that_do_not_count_change_nothing(term):
    features = 20 * tf.random.normal([1, 6, 8, 16], seed=1)
    target = target_of(term, features + 3)
    guide = np.zeros((1, 6, 8, 1), np.float32)
    guide[:, 1:5, 2:6] = 1
    guided = term.distance(mean_of(term.measure(features, tf.constant(guide))), target)
    assert float(guided) == pytest.approx(float(term.distance(means(term, features[:, 1:5, 2:6]), target)), rel=1e-4)


def as_tf32(matrix: tf.Tensor) -> tf.Tensor:
    """Round to 10 binary digits, as a tensor core does with what it multiplies; the gradient goes through."""
    bits = tf.bitcast(matrix, tf.int32)
    rounded = tf.bitcast(tf.bitwise.bitwise_and(bits + (1 << 12), -(1 << 13)), tf.float32)
    return matrix + tf.stop_gradient(rounded - matrix)


def test_products_of_rounded_factors_leave_the_loss_as_it_is(term, monkeypatch, features_of):
    """A GPU multiplies float32 matrices in TF32; only the features, which are bfloat16 there, lose nothing by that."""
    photo, style = features_of("photos/coffee.jpg"), features_of("styles/swirls.jpg")
    exact, exact_gradient = loss_and_gradient(term, photo, target_of(term, style))
    multiply = tf.matmul
    monkeypatch.setattr(tf, "matmul", lambda a, b, **options: multiply(as_tf32(a), as_tf32(b), **options))
    monkeypatch.setattr(products, "rounds_factors", lambda: True)
    rounded, gradient = loss_and_gradient(term, photo, target_of(term, style))
    assert float(rounded) == pytest.approx(float(exact), rel=0.01)
    assert float(tf.norm(gradient - exact_gradient) / tf.norm(exact_gradient)) < 0.01


@pytest.fixture(params=["block1_conv1", "block4_conv1", "block5_conv1"])
def features_of(engine, picture, request):
    from nstd.engine.pixels import preprocess  # noqa: PLC0415  TensorFlow is loaded with the weights

    model = engine._extractor.cut([request.param])  # noqa: SLF001  to load the network once

    def features(name: str) -> tf.Tensor:
        seen = model(preprocess(picture(name, 96)))[request.param]
        return tf.cast(tf.cast(seen, tf.bfloat16), tf.float32)

    return features
