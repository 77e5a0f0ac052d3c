"""One step of the optimisation as one compiled call: evaluation, best image so far, next image."""

from typing import Any, NamedTuple

import tensorflow as tf

from nstd.engine.balance import TermWeights
from nstd.engine.compiled import compiled
from nstd.engine.objective import Objective, Targets, Terms
from nstd.engine.optimizers import make_mover
from nstd.engine.pixels import IMAGE, within_range
from nstd.preset import Optimizer


class Canvas(NamedTuple):
    """A picture in the making: all that a step needs and leaves, as tensors on the device.

    Attributes:
        image: `[1, H, W, 3]`, to be evaluated next.
        best: the evaluated image with the lowest total loss, in the same form.
        least: that loss.
        memory: the optimiser's.
    """

    image: tf.Tensor
    best: tf.Tensor
    least: tf.Tensor
    memory: Any


class Descent:
    """The compiled step for one objective and one optimiser; it serves images of all sizes.

    Pixels are held within what a file can store: clipped only at the end, a picture has up to a third more loss.

    Attributes:
        signature: of a canvas and of the weights, with open sizes.
    """

    def __init__(self, objective: Objective, optimizer: Optimizer) -> None:
        self.objective = objective
        self._mover = make_mover(optimizer)
        canvas = Canvas(IMAGE, IMAGE, tf.TensorSpec([]), self._mover.signature)
        _, targets, weights = objective.signature
        self.signature = canvas, weights
        self._compiled = compiled(self._step, (canvas, targets, weights))

    def start(self, image: tf.Tensor, iterations: int) -> Canvas:
        """Return the canvas before the first of so many steps, which is `image`."""
        return Canvas(image, image, tf.constant(float("inf")), self._mover.start(image, iterations))

    def finish(self, canvas: Canvas) -> Canvas:
        """Return what is left of a canvas when its level is done: the best image, and next to no memory."""
        return canvas._replace(image=canvas.best, memory=self._mover.start(canvas.best[:, :1, :1], 1))

    def step(self, canvas: Canvas, targets: Targets, weights: TermWeights) -> tuple[Canvas, Terms]:
        """Evaluate the canvas' image and move it; return the next canvas and the evaluation's terms."""
        canvas, terms = self._compiled(canvas, targets, weights)
        return canvas, terms

    def _step(self, canvas: Canvas, targets: Targets, weights: TermWeights) -> tuple[Canvas, Terms]:
        terms, gradient = self.objective.evaluate(canvas.image, targets, weights)
        is_best = terms.total < canvas.least
        best = tf.where(is_best, canvas.image, canvas.best)
        moved, memory = self._mover.update(canvas.memory, canvas.image, gradient)
        return Canvas(within_range(moved), best, tf.where(is_best, terms.total, canvas.least), memory), terms
