"""All that a painting is at a step, as one value: what to go on from as if it had never stopped."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from nstd.engine.balance import Weights
from nstd.engine.descent import Canvas, Descent
from nstd.errors import CheckpointError
from nstd.history import LevelLog, Losses
from nstd.record import Count, Record, Seconds


class Progress(Record):
    """What can be told in words.

    Attributes:
        levels: what happened on the finished ones.
        history: of the level after them; empty before its first step.
        rounds: the steps at which the rounds of that level began.
        notes: what a person should know of the picture.
        restarted_at: the level, from 0, and its evaluations after which the optimiser was restarted, if it was.
        level_seconds: spent on that level; of no meaning before its first step.
        style_seconds: spent on style images and their statistics, on all levels.
        seconds: spent on everything.
    """

    levels: tuple[LevelLog, ...] = ()
    history: tuple[Losses, ...] = ()
    rounds: tuple[Count, ...] = ()
    notes: tuple[str, ...] = ()
    restarted_at: tuple[Count, Count] | None = None
    level_seconds: Seconds = 0.0
    style_seconds: Seconds = 0.0
    seconds: Seconds = 0.0

    @property
    def evaluations(self) -> int:
        """How many were done, on all levels."""
        return sum(len(level.history) for level in self.levels) + len(self.history)


class State(NamedTuple):
    """A painting after some step.

    What an optimiser or an init draws at random comes from the preset's seed and is over before the first step, so no
    state of a generator belongs to it.

    Attributes:
        progress: how far it is.
        canvas: of the level that is being painted or, before its first step, of the one before.
        weights: of the loss terms.
        subject: `[1, H, W, 3]`, the image with which the round began; a single pixel where there are no rounds.
    """

    progress: Progress
    canvas: Canvas
    weights: Weights
    subject: tf.Tensor

    def arrays(self) -> list[NDArray[np.float32]]:
        """Return all its numbers, in an order that `state_of` knows; on a CPU nothing is copied."""
        return [np.asarray(tensor) for tensor in tf.nest.flatten(self[1:])]


def state_of(progress: Progress, arrays: Sequence[NDArray[np.float32]], descent: Descent) -> State:
    """Make a state of what another one was written as.

    Args:
        progress: as it was.
        arrays: as `State.arrays` gave them.
        descent: by which the painting goes on; its optimiser may remember more or less than the other's.

    Raises:
        CheckpointError: the arrays are not those of such a state.
    """
    tensors = [tf.constant(array) for array in arrays]
    for signature in descent.signatures:
        specs = tf.nest.flatten(signature)
        if len(specs) == len(tensors) and all(map(tf.TensorSpec.is_compatible_with, specs, tensors)):
            canvas, weights, subject = tf.nest.pack_sequence_as(signature, tensors)
            return State(progress, descent.fitted(canvas), weights, subject)
    expected = len(tf.nest.flatten(descent.signatures[0]))
    msg = f"its {len(tensors)} arrays are not the state of such a painting (expected {expected} of certain shapes)"
    raise CheckpointError(msg)
