"""The field's standard functions, as functions of an image's pixels: what they do not use has no gradient."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from nstd.engine.curvature import OPPONENT
from nstd.engine.optimizers import Adam, Lbfgs, Optimizer, make_optimizer
from nstd.transfer_settings import Optimizer as Choice

Function = Callable[[tf.Tensor], tf.Tensor]


def image_of(*values: float) -> tf.Tensor:
    """Lay values into the channels of pixels in a row."""
    padded = [*values, *[0.0] * (-len(values) % 3)]
    return tf.reshape(tf.constant(padded, tf.float32), [1, 1, -1, 3])


def path(optimizer: Optimizer, function: Function, start: tf.Tensor, steps: int) -> list[np.ndarray]:
    image, memory = start, optimizer.start(start, steps)
    grid = optimizer.grid(*start.shape[1:3])
    images = [image.numpy().ravel()]
    update = tf.function(optimizer.update, autograph=False)
    for _ in range(steps):
        with tf.GradientTape() as tape:
            tape.watch(image)
            value = function(tf.reshape(image, [-1]))
        image, memory = update(memory, image, tape.gradient(value, image), grid)
        images.append(image.numpy().ravel())
    return images


def minimise(optimizer: Optimizer, function: Function, start: list[float], steps: int) -> np.ndarray:
    return path(optimizer, function, image_of(*start), steps)[-1][: len(start)]


def bowl(point: tf.Tensor) -> tf.Tensor:
    """Minimum at (1, 2, ..., n), with a condition number of 100."""
    size = len(point)
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
        (bowl, [0.0] * 12, 60, list(range(1, 13))),
        (rosenbrock, [-1.2, 1.0], 200, [1, 1]),
        (himmelblau, [1.0, 1.0], 30, [3, 2]),
    ],
)
def test_lbfgs_finds_the_minimum_of_the_standard_functions(function, start, steps, minimum):
    found = minimise(Lbfgs(), function, start, steps)
    np.testing.assert_allclose(found, minimum, rtol=1e-3)


def test_adam_finds_the_minimum_of_himmelblau():
    found = minimise(Adam(learning_rate=0.3), himmelblau, [1.0, 1.0], 200)
    np.testing.assert_allclose(found, [3, 2], rtol=1e-3)


def test_adam_first_step_is_the_learning_rate_downhill():
    # After bias correction the first update is the sign of the gradient (Kingma and Ba 2015, section 2.1).
    adam, image = Adam(learning_rate=10.0), image_of(0, 0, 0)
    moved, _ = adam.update(adam.start(image, 100), image, image_of(0.5, -300.0, 0), ())
    np.testing.assert_allclose(moved.numpy().ravel(), [-10, 10, 0], rtol=1e-5)


def test_adam_learning_rate_falls_to_nothing():
    images = path(Adam(), tf.reduce_sum, image_of(0), 50)
    steps = np.abs(np.diff(images, axis=0))[:, 0]
    assert (np.diff(steps) < 0).all()
    assert steps[-1] < 0.02


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_lbfgs_first_step_is_three_levels_whatever_the_losss_scale(scale):
    first = path(Lbfgs(), lambda x: scale * (x[0] + x[1] - x[2]), image_of(10, 20, 30), 1)[1]
    np.testing.assert_allclose(first, [7, 17, 33], rtol=1e-5)


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_lbfgs_takes_the_same_path_whatever_the_losss_scale(scale):
    plain, scaled = (path(Lbfgs(), lambda x, k=k: k * himmelblau(x), image_of(1, 1), 12) for k in (1.0, scale))
    np.testing.assert_allclose(scaled, plain, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("function", [bowl, rosenbrock, himmelblau])
def test_lbfgs_steps_grow_to_twice_their_length_at_most(function):
    images = path(Lbfgs(), function, image_of(*[-30.0] * 12), 40)
    lengths = np.sqrt(np.mean(np.square(np.diff(images, axis=0)), axis=1))
    assert lengths[0] == pytest.approx(3)
    assert (lengths[1:] <= 1.001 * np.maximum(3, 2 * lengths[:-1])).all()


def test_lbfgs_steps_do_grow_to_twice_their_length_where_the_way_is_far():
    images = path(Lbfgs(), bowl, image_of(*[-300.0] * 12), 40)
    lengths = np.sqrt(np.mean(np.square(np.diff(images, axis=0)), axis=1))
    assert (lengths[1:] / lengths[:-1])[:3].max() == pytest.approx(2, rel=1e-3)


def test_lbfgs_passes_over_pairs_of_negative_curvature():
    """On a hill the gradient grows against each step, so that all are made as the first."""
    images = path(Lbfgs(), lambda x: -tf.reduce_sum(x**2), image_of(1, 1, 1), 3)
    np.testing.assert_allclose(np.array(images)[:, 0], [1, 4, 7, 10], rtol=1e-5)


def test_lbfgs_direction_is_the_dense_bfgs_update():
    """Nocedal and Wright 2006, eq. 6.17, from what one pixel begins with: a matrix diagonal in opponent colours."""
    hessian = np.diag([1.0, 2.0, 5.0])
    points = path(Lbfgs(history=3), lambda x: 0.5 * tf.reduce_sum(np.diag(hessian) * x**2), image_of(3, -2, 1), 4)
    steps = np.diff(points[:4], axis=0).astype(float)
    changes = steps @ hessian
    along, square = (steps @ OPPONENT) * (changes @ OPPONENT), (changes @ OPPONENT) ** 2
    overall = along.sum() / square.sum()
    entries = np.clip(along.sum(axis=0) / square.sum(axis=0), 0.1 * overall, 30 * overall)
    inverse = OPPONENT @ np.diag(entries) @ OPPONENT.T
    for s, y in zip(steps, changes, strict=True):
        left = np.eye(3) - np.outer(s, y) / (s @ y)
        inverse = left @ inverse @ left.T + np.outer(s, s) / (s @ y)
    np.testing.assert_allclose(points[4], points[3] - inverse @ hessian @ points[3], rtol=2e-3, atol=1e-4)


@pytest.mark.parametrize("choice", list(Choice))
def test_two_runs_give_the_same_bytes(choice):
    runs = [minimise(make_optimizer(choice), rosenbrock, [-1.2, 1.0], 40) for _ in range(2)]
    assert runs[0].tobytes() == runs[1].tobytes()


def test_lbfgs_that_spares_memory_remembers_fewer_steps():
    usual, sparing = (make_optimizer(Choice.LBFGS, spare_memory=spare) for spare in (False, True))
    start = image_of(1, 2, 3)
    assert [len(optimizer.start(start, 1).pairs) for optimizer in (usual, sparing)] == [8, 5]


@pytest.mark.parametrize("choice", list(Choice))
def test_one_that_spares_memory_goes_on_from_what_the_other_remembers_and_back(choice):
    usual, sparing = (make_optimizer(choice, spare_memory=spare) for spare in (False, True))
    image = image_of(-1.2, 1.0)
    memory, grid = usual.start(image, 10), usual.grid(*image.shape[1:3])
    for _ in range(10):
        image, memory = usual.update(memory, image, image * [[[[3.0, 0.5, 1.0]]]], grid)
    fewer = sparing.fitted(memory)
    again = usual.fitted(fewer)
    kept = len(tf.nest.flatten(fewer))
    for optimizer, fitted in ((sparing, fewer), (usual, again)):
        tf.nest.assert_same_structure(fitted, optimizer.signatures[0])
        for one, other in zip(tf.nest.flatten(fitted)[:kept], tf.nest.flatten(memory)[:kept], strict=True):
            np.testing.assert_array_equal(one, other)
    assert not any(np.any(tensor) for tensor in tf.nest.flatten(again)[kept:])


@pytest.mark.parametrize(("choice", "length"), [(Choice.LBFGS, 3), (Choice.ADAM, 10)])
def test_first_step_is_as_short_as_is_asked_for(choice, length):
    optimizer, image = make_optimizer(choice), image_of(100, 100, 100)
    memory = optimizer.start(image, 1000, 0.1)
    gradient, lengths = tf.ones_like(image), []
    for _ in range(6):
        moved, memory = optimizer.update(memory, image, gradient, optimizer.grid(*image.shape[1:3]))
        lengths.append(float((image - moved).numpy()[0, 0, 0, 0]))
        # Along a slope that bends but a little.
        image, gradient = moved, gradient * 0.999
    assert lengths[0] == pytest.approx(0.1 * length, rel=1e-4)
    assert max(later / before for before, later in itertools.pairwise(lengths)) == pytest.approx(2, rel=0.01)
    assert lengths[-1] > 0.5 * length
