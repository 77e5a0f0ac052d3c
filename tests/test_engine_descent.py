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
    photo = descent.objective.photo(content)
    targets = Targets(
        photo.content, descent.objective.style_targets([descent.objective.style_statistics(style)], [1.0])
    )
    weights = descent.objective.weights(settings, photo, targets.style)
    canvas, evaluated = descent.start(content, 12), []
    for _ in range(12):
        image = canvas.image.numpy()
        canvas, terms = descent.step(canvas, targets, weights)
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
