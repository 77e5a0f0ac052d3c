"""The loss and its gradient."""

from typing import Protocol

import tensorflow as tf

from nstd.engine.compiled import compiled
from nstd.engine.features import Features
from nstd.engine.objective import Aims, Objective
from nstd.engine.pixels import IMAGE


class Evaluator(Protocol):
    """Computes the loss of an image and its gradient; how much of the image at a time is its own affair.

    Attributes:
        objective: whose terms make up the loss.
    """

    objective: Objective

    def __call__(self, image: tf.Tensor, aims: Aims) -> tuple[tf.Tensor, tf.Tensor]:
        """Evaluate an image.

        Args:
            image: `[1, H, W, 3]`, the network's input.
            aims: for an image of this size.

        Returns:
            The losses, `[1 + rows]` float32: the total, then each row of each term with its weight applied; and the
            total's gradient, in the image's shape.
        """


class WholeEvaluator:
    """Evaluates all of an image in one piece.

    Attributes:
        signature: of the arguments, with open sizes.

    Reference:
        Gatys et al. 2016, eq. 7. Differs: any number of terms.
    """

    def __init__(self, objective: Objective) -> None:
        self.objective = objective
        self.signature = IMAGE, objective.signature
        self._compiled = compiled(self.evaluate, self.signature)

    def __call__(self, image: tf.Tensor, aims: Aims) -> tuple[tf.Tensor, tf.Tensor]:
        """Evaluate an image; see `Evaluator`."""
        losses, gradient = self._compiled(image, aims)
        return losses, gradient

    def evaluate(self, image: tf.Tensor, aims: Aims) -> tuple[tf.Tensor, tf.Tensor]:
        """Do so operation by operation; this is what is compiled."""
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(image)
            losses = self._losses(image, aims)
            total = losses[0]
        return losses, tape.gradient(total, image)

    def _losses(self, image: tf.Tensor, aims: Aims) -> tf.Tensor:
        features = Features(image, self.objective.model(image), aims.guides)
        rows = []
        for term in self.objective.terms:
            aim = aims.terms[term.name]
            rows.append(aims.weights[term.name] * term.losses(term.sums(features, aim), aim))
        losses = tf.concat(rows, axis=0)
        return tf.concat([[tf.reduce_sum(losses)], losses], axis=0)
