import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from nstd.engine.terms.sums import mean_of
from nstd.engine.terms.wasserstein import SCALE, Moments, Wasserstein, square_roots, transport_cost

TERM = Wasserstein(("block1_conv1",))


def moments(features: tf.Tensor) -> Moments:
    return mean_of(TERM.measure(features, tf.ones([*features.shape[:3], 1])))


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


def test_moments_of_two_positions_by_hand():
    found = moments(tf.constant([[[[1.0, 2.0], [3.0, 4.0]]]]))
    np.testing.assert_allclose(found.first, [2, 3])
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
    target = TERM.target(moments(tf.constant([[[[1.0], [5.0]]]])))
    loss = TERM.distance(moments(tf.constant([[[[10.0], [16.0]]]])), target)
    assert float(target.ridge) == pytest.approx(0.2, abs=2e-3)
    assert float(loss) == pytest.approx(SCALE * (10**2 + (9.2**0.5 - 4.2**0.5) ** 2), rel=1e-4)


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
    loss = TERM.distance(Moments(*single(mean, 900 * b)), TERM.target(Moments(*single(mean, 900 * a))))
    assert float(loss) == pytest.approx(SCALE / 64 * 900 * exact_cost(a, b), rel=0.2)


def test_mixture_of_two_plain_styles_is_no_plain_style():
    """Half the positions at 2 and half at 6: mean 4, variance 4; the mean of two variances would be 0."""
    two, six = (moments(tf.fill([1, 2, 2, 1], level)) for level in (2.0, 6.0))
    mixture = TERM.target(Moments(*((x + y) / 2 for x, y in zip(two, six, strict=True))))
    assert float(mixture.mean[0]) == 4
    assert float(mixture.root[0, 0]) == pytest.approx((4 + 0.05 * 4) ** 0.5, rel=1e-3)
