import numpy as np
import pytest

from nstd.engine.descent import Descent
from nstd.engine.objective import Objective, Targets
from nstd.engine.pixels import MEAN_BGR, preprocess, within_range
from nstd.preset import Optimizer, TransferSettings


@pytest.fixture(params=list(Optimizer))
def steps(engine, picture, request):
    """Paint 12 steps; return each step's evaluated image with its terms, and the last canvas."""
    settings = TransferSettings()
    descent = Descent(Objective(engine._extractor, settings), request.param)  # noqa: SLF001  to load the network once
    content, style = (preprocess(picture(name, 64)) for name in ("photos/astronaut.jpg", "styles/swirls.jpg"))
    statistics = descent.objective.style_statistics(style)
    targets = Targets(descent.objective.content_targets(content), descent.objective.style_targets([statistics], [1.0]))
    canvas, evaluated = descent.start(content, 12), []
    for _ in range(12):
        image = canvas.image.numpy()
        canvas, terms = descent.step(canvas, targets, descent.objective.weights(settings))
        evaluated.append((image, float(terms.total)))
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
