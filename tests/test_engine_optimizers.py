from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from nstd.engine.optimizers import Adam, Lbfgs, Mover, make_mover
from nstd.preset import Optimizer

Function = Callable[[tf.Tensor], tf.Tensor]


def minimise(mover: Mover, function: Function, start: list[float], steps: int) -> np.ndarray:
    point = tf.constant(start)
    for _ in range(steps):
        with tf.GradientTape() as tape:
            tape.watch(point)
            value = function(point)
        point = mover.update(point, tape.gradient(value, point))
    return point.numpy()


def bowl(point: tf.Tensor) -> tf.Tensor:
    """Minimum at (1, 2, ..., n), with a condition number of 100."""
    size = point.shape[0]
    offset = point - tf.range(1.0, size + 1)
    return 0.5 * tf.reduce_sum(tf.linspace(1.0, 100.0, size) * offset**2)


def rosenbrock(point: tf.Tensor) -> tf.Tensor:
    """Rosenbrock 1960; minimum at (1, 1)."""
    return 100 * (point[1] - point[0] ** 2) ** 2 + (1 - point[0]) ** 2


def himmelblau(point: tf.Tensor) -> tf.Tensor:
    """Himmelblau 1972; one of its minima is (3, 2)."""
    return (point[0] ** 2 + point[1] - 11) ** 2 + (point[0] + point[1] ** 2 - 7) ** 2


@pytest.mark.parametrize(
    ("function", "start", "steps", "minimum"),
    [
        (bowl, [0.0] * 10, 60, list(range(1, 11))),
        (rosenbrock, [-1.2, 1.0], 200, [1, 1]),
        (himmelblau, [1.0, 1.0], 30, [3, 2]),
    ],
)
def test_lbfgs_finds_the_minimum_of_the_standard_functions(function, start, steps, minimum):
    found = minimise(Lbfgs(len(start)), function, start, steps)
    np.testing.assert_allclose(found, minimum, rtol=1e-3)


def test_adam_finds_the_minimum_of_himmelblau():
    found = minimise(Adam(2, iterations=200, learning_rate=0.3), himmelblau, [1.0, 1.0], 200)
    np.testing.assert_allclose(found, [3, 2], rtol=1e-3)


def test_adam_first_step_is_the_learning_rate_downhill():
    # After bias correction the first update is the sign of the gradient (Kingma and Ba 2015, section 2.1).
    moved = Adam(2, iterations=100, learning_rate=10.0).update(tf.zeros([2]), tf.constant([0.5, -300.0]))
    np.testing.assert_allclose(moved, [-10, 10], rtol=1e-5)


def test_adam_learning_rate_falls_to_nothing():
    mover = Adam(1, iterations=50)
    points = [tf.zeros([1])]
    for _ in range(50):
        points.append(mover.update(points[-1], tf.ones([1])))
    steps = np.abs(np.diff(np.concatenate(points)))
    assert (np.diff(steps) < 0).all()
    assert steps[-1] < 0.02


def test_lbfgs_first_step_is_bounded_by_the_gradients_one_norm():
    steep, flat = tf.constant([30.0, -10.0]), tf.constant([0.03, -0.01])
    np.testing.assert_allclose(Lbfgs(2).update(tf.zeros([2]), steep), [-0.75, 0.25])
    np.testing.assert_allclose(Lbfgs(2).update(tf.zeros([2]), flat), [-0.03, 0.01])


def test_lbfgs_skips_pairs_of_negative_curvature():
    point, uphill = tf.constant([1.0]), tf.constant([-0.5])
    mover = Lbfgs(1)
    moved = mover.update(point, uphill)
    # The gradient grew against the step: as without any pair, the next step is the plain gradient's.
    np.testing.assert_allclose(mover.update(moved, uphill - 1), moved - (uphill - 1))


def test_lbfgs_direction_is_the_dense_bfgs_update():
    """Nocedal and Wright 2006, eq. 6.17, applied to the same pairs from the same scaled identity."""
    rng = np.random.default_rng(4)
    hessian = np.diag([1.0, 2.0, 5.0, 9.0])
    points = [rng.normal(size=4).astype(np.float32)]
    mover = Lbfgs(4, history=3)
    for _ in range(4):
        points.append(mover.update(tf.constant(points[-1]), tf.constant(hessian @ points[-1], tf.float32)).numpy())
    steps = np.diff(points[:4], axis=0).astype(float)
    changes = steps @ hessian
    inverse = np.eye(4) * (steps[-1] @ changes[-1]) / (changes[-1] @ changes[-1])
    for s, y in zip(steps, changes, strict=True):
        left = np.eye(4) - np.outer(s, y) / (s @ y)
        inverse = left @ inverse @ left.T + np.outer(s, s) / (s @ y)
    np.testing.assert_allclose(points[4], points[3] - inverse @ hessian @ points[3], rtol=2e-3, atol=1e-5)


@pytest.mark.parametrize("optimizer", list(Optimizer))
def test_two_runs_give_the_same_bytes(optimizer):
    runs = [minimise(make_mover(optimizer, 2, 40), rosenbrock, [-1.2, 1.0], 40) for _ in range(2)]
    assert runs[0].tobytes() == runs[1].tobytes()
