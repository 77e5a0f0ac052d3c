"""One step of the optimisation: an evaluation, and an update of the picture by its gradient."""

from typing import Any, Final, NamedTuple

import tensorflow as tf

from nstd.engine.compiled import compiled
from nstd.engine.evaluator import Evaluator
from nstd.engine.objective import Aims
from nstd.engine.optimizers import Optimizer
from nstd.engine.pixels import IMAGE, within_range

_SCALAR = tf.TensorSpec([])
_CAREFUL: Final = 0.1


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
    """Steps by one evaluator and one optimiser; it serves images of all sizes.

    Evaluation and update are two compiled calls, so that each may be replaced by itself. Pixels are held within what a
    file can store: clipped only at the end, a picture has up to a third more loss.

    Attributes:
        evaluate: the evaluator.
        objective: of the evaluator.
        signatures: of a canvas, the weights and an image, with open sizes; the first is its own, `fitted` takes all.
        update_signature: of the arguments of `updated`, likewise.
    """

    def __init__(self, evaluator: Evaluator, optimizer: Optimizer) -> None:
        self.objective = evaluator.objective
        self.evaluate = evaluator
        self._optimizer = optimizer
        canvas = Canvas(IMAGE, IMAGE, _SCALAR, optimizer.signatures[0])
        weights = self.objective.signature.weights
        self.signatures = [(canvas._replace(memory=memory), weights, IMAGE) for memory in optimizer.signatures]
        self.update_signature = canvas, _SCALAR, IMAGE, optimizer.grid_signature
        self._update = compiled(self.updated, self.update_signature)
        self._grid: tuple[tuple[int, int], Any] = (0, 0), None

    def start(self, image: tf.Tensor, iterations: int) -> Canvas:
        """Return the canvas before the first of so many steps, which is `image`."""
        return Canvas(image, image, tf.constant(float("inf")), self._optimizer.start(image, iterations))

    def finish(self, canvas: Canvas) -> Canvas:
        """Return what is left of a canvas when its level is done: the best image, and next to no memory."""
        return canvas._replace(image=canvas.best, memory=self._optimizer.start(canvas.best[:, :1, :1], 1))

    def restart(self, canvas: Canvas, iterations: int) -> Canvas:
        """Return a canvas that goes on from the best image for so many steps, with nothing remembered but its loss.

        The steps begin short: those that led astray may have been the first.
        """
        return canvas._replace(image=canvas.best, memory=self._optimizer.start(canvas.best, iterations, _CAREFUL))

    def renewed(self, canvas: Canvas) -> Canvas:
        """Return a canvas that goes on with another loss, beside which those so far are of no meaning."""
        memory = self._optimizer.renewed(canvas.memory, canvas.image)
        return canvas._replace(least=tf.constant(float("inf")), memory=memory)

    def fitted(self, canvas: Canvas) -> Canvas:
        """Return a canvas that another descent has left, with as much memory as this one has."""
        return canvas._replace(memory=self._optimizer.fitted(canvas.memory))

    def step(self, canvas: Canvas, aims: Aims) -> tuple[Canvas, tf.Tensor]:
        """Evaluate the canvas' image and move it; return the next canvas and the losses, see `Evaluator`."""
        losses, gradient = self.evaluate(canvas.image, aims)
        _, height, width, _ = canvas.image.shape
        return self._update(canvas, losses[0], gradient, self._grid_of(height, width)), losses

    def updated(self, canvas: Canvas, total: tf.Tensor, gradient: tf.Tensor, grid: Any) -> Canvas:  # noqa: ANN401
        """Move a canvas by its image's loss and gradient, operation by operation; this is what is compiled."""
        is_best = total < canvas.least
        best = tf.where(is_best, canvas.image, canvas.best)
        moved, memory = self._optimizer.update(canvas.memory, canvas.image, gradient, grid)
        return Canvas(within_range(moved), best, tf.where(is_best, total, canvas.least), memory)

    def _grid_of(self, height: int, width: int) -> Any:  # noqa: ANN401  each optimiser has its own
        if self._grid[0] != (height, width):
            self._grid = (height, width), self._optimizer.grid(height, width)
        return self._grid[1]
