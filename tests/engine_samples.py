"""What tests of the engine share: features by hand, and a problem to evaluate, of a photo and a style image."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from nstd.engine.balance import Weights
from nstd.engine.features import Features, Guides
from nstd.engine.margin import guide_with_margin
from nstd.engine.objective import Aims, Objective, Styles
from nstd.transfer_settings import TransferSettings


def seen(layer: str, features: ArrayLike, guide: ArrayLike | None = None) -> Features:
    """Take features `[h, w, C]` of one layer; where the guide is 0 they do not count."""
    tensor = tf.constant(np.asarray(features, np.float32))[tf.newaxis]
    guide = np.ones(tensor.shape[1:3]) if guide is None else np.asarray(guide)
    return Features(tf.zeros([]), {layer: tensor}, {layer: tf.constant(guide, tf.float32)[tf.newaxis, ..., tf.newaxis]})


def random_features(side: int, seed: int, channels: int = 8) -> NDArray[np.float64]:
    return np.random.default_rng(seed).gamma(1, 10, (side, side, channels))


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
