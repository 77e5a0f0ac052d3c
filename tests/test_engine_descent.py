import numpy as np
import pytest
from engine_samples import problem_of

from nstd.engine.descent import Descent
from nstd.engine.evaluator import WholeEvaluator
from nstd.engine.objective import Objective
from nstd.engine.optimizers import make_optimizer
from nstd.engine.pixels import MEAN_BGR, preprocess, within_range
from nstd.transfer_settings import Optimizer, TransferSettings


@pytest.fixture(params=list(Optimizer))
def descent(engine, request):
    objective = Objective(engine._extractor, TransferSettings())  # noqa: SLF001  to load the network once
    return Descent(WholeEvaluator(objective), make_optimizer(request.param))


@pytest.fixture
def pair(picture):
    return tuple(preprocess(picture(name, 64)) for name in ("photos/astronaut.jpg", "styles/swirls.jpg"))


@pytest.fixture
def steps(descent, pair):
    """Paint 12 steps; return each step's evaluated image with its loss, and the last canvas."""
    aims = problem_of(descent.objective, *pair).aims(TransferSettings())
    canvas, evaluated = descent.start(pair[0], 12), []
    for _ in range(12):
        image = canvas.image.numpy()
        canvas, losses = descent.step(canvas, aims)
        evaluated.append((image, float(losses[0])))
    return evaluated, canvas


def test_canvas_keeps_the_image_of_the_least_loss(steps):
    evaluated, canvas = steps
    image, least = min(evaluated, key=lambda one: one[1])
    assert float(canvas.least) == least
    np.testing.assert_array_equal(canvas.best, image)


def test_pixels_stay_within_what_a_file_can_store(steps):
    evaluated, canvas = steps
    for image in (canvas.image.numpy(), *(image for image, _ in evaluated[1:])):
        np.testing.assert_array_equal(within_range(image), image)
    assert (canvas.image.numpy() == -MEAN_BGR).any(), "some are held"


@pytest.mark.parametrize("total", [np.nan, np.inf])
def test_a_picture_without_a_loss_is_never_the_best(descent, steps, total):
    _, canvas = steps
    gradient = np.full(canvas.image.shape, np.nan, np.float32)
    grid = descent._optimizer.grid(*canvas.image.shape[1:3])  # noqa: SLF001  as a step has it
    after = descent.updated(canvas, np.float32(total), gradient, grid)
    np.testing.assert_array_equal(after.best, canvas.best)
    assert float(after.least) == float(canvas.least)


def test_a_restart_goes_on_from_the_best_picture(descent, pair, steps):
    evaluated, canvas = steps
    broken = canvas._replace(image=canvas.image * np.nan)
    again = descent.restart(broken, 3)
    np.testing.assert_array_equal(again.image, canvas.best)
    assert float(again.least) == float(canvas.least)
    aims = problem_of(descent.objective, *pair).aims(TransferSettings())
    again, first = descent.step(again, aims)
    assert float(first[0]) == pytest.approx(min(loss for _, loss in evaluated), rel=1e-5)
    assert np.isfinite(descent.step(again, aims)[1]).all()
