"""What tests of the engine share: a problem to evaluate, made of a photo and a style image."""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from nstd.engine.balance import Weights
from nstd.engine.features import Guides
from nstd.engine.margin import guide_with_margin
from nstd.engine.objective import Aims, Objective, Styles
from nstd.transfer_settings import TransferSettings


class Problem(NamedTuple):
    """What a picture is to become, weighed as any settings with the same layers say."""

    guides: Guides
    terms: dict
    weights: Callable[[TransferSettings], Weights]

    def aims(self, settings: TransferSettings) -> Aims:
        return Aims(self.guides, self.terms, self.weights(settings))


def guides_of(objective: Objective, image: tf.Tensor) -> Guides:
    _, height, width, _ = image.shape
    return objective.guides(guide_with_margin(width, height, 0))


def mixed(objective: Objective, style: tf.Tensor) -> Styles:
    """Measure one style image, in all its views."""
    views = [tf.image.rot90(style, quarters) for quarters in range(objective.views)]
    return objective.mixed(
        [[objective.style(view, guides_of(objective, view), n) for n, view in enumerate(views)]], [1.0]
    )


def problem_of(objective: Objective, photo: tf.Tensor, style: tf.Tensor) -> Problem:
    """Take both as the network's input, whole."""
    guides = guides_of(objective, photo)
    seen = objective.photo(photo, guides, with_yardsticks=True)
    terms = objective.aims(seen, mixed(objective, style))
    yardsticks = objective.yardsticks(seen, terms)
    if objective.matcher:
        terms = objective.matcher(photo, guides, terms, (0, 0))
    return Problem(guides, terms, lambda settings: objective.weights(settings, yardsticks))
