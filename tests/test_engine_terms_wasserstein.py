import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from nstd.engine.statistics import (
    KINDS,
    WASSERSTEIN_SCALE,
    Moments,
    gaussian,
    gram_loss,
    gram_matrix,
    moments,
    square_roots,
    transport_cost,
    wasserstein_loss,
)
from nstd.preset import StyleStatistics


def covariance(channels: int, rank: int, seed: int) -> NDArray[np.float64]:
    """Return a random covariance whose `rank` variances fall from 1 to 1e-3, in a random basis."""
    basis, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(channels, rank)))
    return (basis * np.geomspace(1, 1e-3, rank)) @ basis.T


def exact_root(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(values.clip(0))) @ vectors.T


def exact_cost(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Compute the covariances' part of the squared Wasserstein-2 distance from eigenvalues, in float64."""
    root = exact_root(a)
    return float(np.trace(a + b - 2 * exact_root(root @ b @ root)))


def single(*arrays: NDArray[np.float64]) -> list[tf.Tensor]:
    return [tf.constant(array, tf.float32) for array in arrays]


def test_gram_matrix_of_two_positions_by_hand():
    features = tf.constant([[[[1.0, 2.0], [3.0, 4.0]]]])
    # [[1*1 + 3*3, 1*2 + 3*4], [2*1 + 4*3, 2*2 + 4*4]] / 2 positions
    np.testing.assert_allclose(gram_matrix(features), [[5, 7], [7, 10]])


def test_gram_matrix_does_not_depend_on_the_number_of_positions():
    tile = np.random.default_rng(1).random((1, 3, 5, 4), np.float32)
    np.testing.assert_allclose(
        gram_matrix(tf.constant(tile)), gram_matrix(tf.constant(np.tile(tile, (1, 2, 3, 1)))), rtol=1e-5
    )


def test_gradient_through_the_gram_matrix_counts_both_of_its_factors():
    features, upstream = tf.constant([[[[1.0, 2.0], [3.0, 4.0]]]]), tf.constant([[1.0, 2.0], [0.0, 5.0]])
    with tf.GradientTape() as tape:
        tape.watch(features)
        value = tf.reduce_sum(upstream * gram_matrix(features))
    # x (U + U^T) / 2 positions, for U + U^T = [[2, 2], [2, 10]]
    np.testing.assert_allclose(tape.gradient(value, features), [[[[3, 11], [7, 23]]]])


def test_gram_matrix_of_bfloat16_features_is_summed_in_float32():
    features = tf.cast(tf.fill([1, 64, 64, 1], 1.0), tf.bfloat16)
    gram = gram_matrix(features)
    assert gram.dtype == tf.float32
    np.testing.assert_array_equal(gram, [[1.0]])  # bfloat16 sums of ones stop at 256


def test_gram_loss_by_hand():
    gram = tf.constant([[5.0, 7.0], [7.0, 10.0]])
    target = tf.constant([[4.0, 7.0], [7.0, 7.0]])
    # 10 / 2^2 * (1 + 9) / 4
    assert float(gram_loss(gram, target)) == pytest.approx(6.25)


@pytest.mark.parametrize("kind", list(StyleStatistics))
def test_loss_and_gradient_vanish_at_the_target(kind):
    statistics = KINDS[kind]
    features = 20 * tf.random.normal([1, 12, 12, 16], seed=3)
    target = statistics.target(statistics.measure(features))
    start, slope = loss_and_gradient(statistics, features * 2, target)
    end, flat = loss_and_gradient(statistics, features, target)
    assert float(end) == pytest.approx(0, abs=1e-6 * float(start))
    assert float(tf.norm(flat)) < 1e-3 * float(tf.norm(slope))


@pytest.mark.parametrize("kind", list(StyleStatistics))
@pytest.mark.parametrize("side", [1, 2, 12])
def test_gradient_agrees_with_finite_differences(kind, side):
    """With 24 channels a map of 1 x 1 or 2 x 2 has a covariance that is far from full rank."""
    statistics = KINDS[kind]
    features, style, direction = (20 * tf.random.normal([1, side, side, 24], seed=seed) for seed in (1, 2, 3))
    target = statistics.target(statistics.measure(style + 5))
    _, gradient = loss_and_gradient(statistics, features, target)
    # Along the gradient, and along a random direction made to have a part of it.
    unit = gradient / tf.norm(gradient)
    for along in (unit, unit + direction / tf.norm(direction)):
        step = 0.02 * tf.norm(features) / tf.norm(along) * along
        ahead, behind = (statistics.loss(statistics.measure(x), target) for x in (features + step, features - step))
        assert float(ahead - behind) / 2 == pytest.approx(float(tf.reduce_sum(gradient * step)), rel=1e-2)


@pytest.mark.parametrize("kind", list(StyleStatistics))
@pytest.mark.parametrize("level", [0.0, 50.0])
def test_plain_features_have_finite_losses_and_gradients(kind, level):
    statistics = KINDS[kind]
    plain, lively = tf.fill([1, 2, 2, 512], level), 100 * tf.nn.relu(tf.random.normal([1, 6, 6, 512], seed=4))
    for style, features in ((plain, plain), (plain, lively), (lively, plain)):
        loss, gradient = loss_and_gradient(statistics, features, statistics.target(statistics.measure(style)))
        assert np.isfinite(loss)
        assert np.isfinite(gradient).all()


@pytest.mark.parametrize("kind", list(StyleStatistics))
def test_same_features_give_the_same_bytes(kind):
    statistics = KINDS[kind]
    features, style = (tf.random.normal([1, 8, 8, 64], seed=seed) for seed in (6, 7))
    runs = [
        loss_and_gradient(statistics, features, statistics.target(statistics.measure(style)))[1].numpy().tobytes()
        for _ in range(2)
    ]
    assert runs[0] == runs[1]


@pytest.mark.parametrize("kind", list(StyleStatistics))
def test_specs_fit_the_targets(kind):
    target = KINDS[kind].target(KINDS[kind].measure(tf.ones([1, 2, 2, 6])))
    spec = KINDS[kind].target_spec(6)
    tf.nest.assert_same_structure(spec, target)
    assert all(s.is_compatible_with(t) for s, t in zip(tf.nest.flatten(spec), tf.nest.flatten(target), strict=True))


def loss_and_gradient(statistics, features, target):
    with tf.GradientTape() as tape:
        tape.watch(features)
        loss = statistics.loss(statistics.measure(features), target)
    return loss, tape.gradient(loss, features)


def test_moments_of_two_positions_by_hand():
    found = moments(tf.constant([[[[1.0, 2.0], [3.0, 4.0]]]]))
    np.testing.assert_allclose(found.mean, [2, 3])
    np.testing.assert_allclose(found.second, [[5, 7], [7, 10]])


def test_square_root_and_its_inverse_by_hand():
    # [[2, 1], [1, 2]]^2 = [[5, 4], [4, 5]], and its inverse is [[2, -1], [-1, 2]] / 3
    root, inverse = square_roots(tf.constant([[5.0, 4.0], [4.0, 5.0]]))
    np.testing.assert_allclose(root, [[2, 1], [1, 2]], rtol=5e-5)
    np.testing.assert_allclose(inverse, np.array([[2, -1], [-1, 2]]) / 3, rtol=5e-5)


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e15])
def test_square_root_does_not_depend_on_the_matrix_scale(size):
    exact = covariance(24, 24, seed=1)
    root, inverse = square_roots(*single(exact * size))
    np.testing.assert_allclose(root / np.sqrt(size), exact_root(exact), atol=1e-5)
    np.testing.assert_allclose(root @ inverse, np.eye(24), atol=1e-3)


def test_wasserstein_loss_of_one_channel_by_hand():
    # Values 1 and 5: mean 3, variance 4, and a ridge of 5 % of it, 0.2. Values 10 and 16: mean 13, variance 9.
    target = gaussian(moments(tf.constant([[[[1.0], [5.0]]]])))
    loss = wasserstein_loss(moments(tf.constant([[[[10.0], [16.0]]]])), target)
    assert float(target.ridge) == pytest.approx(0.2, abs=2e-3)
    assert float(loss) == pytest.approx(WASSERSTEIN_SCALE * (10**2 + (9.2**0.5 - 4.2**0.5) ** 2), rel=1e-4)


def test_transport_cost_of_diagonal_covariances_by_hand():
    # (3 - 1)^2 + (2 - 4)^2 + (5 - 5)^2
    cost = transport_cost(tf.linalg.diag([9.0, 4.0, 25.0]), tf.linalg.diag([1.0, 4.0, 5.0]))
    assert float(cost) == pytest.approx(8, rel=1e-5)


def test_slope_of_the_transport_cost_of_diagonal_covariances_by_hand():
    covariances = tf.linalg.diag([9.0, 4.0])
    with tf.GradientTape() as tape:
        tape.watch(covariances)
        cost = transport_cost(covariances, tf.linalg.diag([1.0, 4.0]))
    # d (sqrt b - r)^2 / db = 1 - r / sqrt b
    np.testing.assert_allclose(tape.gradient(cost, covariances), [[1 - 1 / 3, 0], [0, 1 - 4 / 2]], atol=5e-5)


@pytest.mark.parametrize(("channels", "ranks"), [(8, (8, 8)), (64, (64, 64)), (64, (3, 20)), (512, (4, 25))])
def test_transport_cost_agrees_with_eigenvalues_in_float64(channels, ranks):
    a, b = (covariance(channels, rank, seed) for seed, rank in enumerate(ranks))
    ridge = 0.05 * np.trace(a) / channels * np.eye(channels)
    cost = transport_cost(*single(b + ridge, exact_root(a + ridge)))
    assert float(cost) == pytest.approx(exact_cost(a + ridge, b + ridge), rel=1e-3)


def test_ridge_takes_little_of_the_loss():
    a, b = (covariance(64, 64, seed) for seed in (1, 2))
    mean = np.zeros(64)
    loss = wasserstein_loss(Moments(*single(mean, 900 * b)), gaussian(Moments(*single(mean, 900 * a))))
    assert float(loss) == pytest.approx(WASSERSTEIN_SCALE / 64 * 900 * exact_cost(a, b), rel=0.2)


def test_mixture_of_two_plain_styles_is_no_plain_style():
    """Half the positions at 2 and half at 6: mean 4, variance 4; the mean of two variances would be 0."""
    two, six = (moments(tf.fill([1, 2, 2, 1], level)) for level in (2.0, 6.0))
    mixture = gaussian(Moments(*((x + y) / 2 for x, y in zip(two, six, strict=True))))
    assert float(mixture.mean[0]) == 4
    assert float(mixture.root[0, 0]) == pytest.approx((4 + 0.05 * 4) ** 0.5, rel=1e-3)
