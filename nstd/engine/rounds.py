"""Rounds of a level: before each it is found anew what parts of the picture and the styles belong together."""

import math
from collections.abc import Iterable
from typing import Final

import numpy as np
import tensorflow as tf

from nstd.engine.matcher import Matcher
from nstd.engine.objective import Aims
from nstd.transfer_settings import TransferSettings

NO_IMAGE: Final = np.zeros([1, 1, 1, 3], np.float32)

_UNMATCHED: Final = 0.4
"""Share of the first level's steps before anything is matched: a photo has nothing yet that is near to a painting's
parts, and what is found for it is lost again while colours and textures settle."""

_LEVELS_APART: Final = 1 << 16
"""In seeds: more than a level has rounds."""


def round_starts(level: int, iterations: int, length: int) -> tuple[int, ...]:
    """Return the steps with which a level's rounds begin; the last one takes in what would be less than half of one.

    Args:
        level: counted from 0, whose first round is unmatched.
        iterations: steps of the level, at most.
        length: steps of a round.
    """
    first = math.ceil(_UNMATCHED * iterations) if level == 0 else 0
    later = (step for step in range(first + length, iterations, length) if iterations - step >= length / 2)
    return *([0] if level == 0 else []), first, *later


class Rounds:
    """Tell when a round is over, and what the next one aims at; where nothing is matched, a level is one round.

    Args:
        matcher: None where nothing is matched.
        settings: with the seed, and with how long a round is.
        starts: of the rounds of the level that is being painted.
        subject: of the last of them.

    Attributes:
        starts: the steps at which the level's rounds began.
        subject: `[1, H, W, 3]`, the image with which the last one began; a single pixel if nothing is matched.
    """

    def __init__(
        self,
        matcher: Matcher | None,
        settings: TransferSettings,
        starts: Iterable[int] = (),
        subject: tf.Tensor = NO_IMAGE,
    ) -> None:
        self._matcher = matcher
        self._seed = settings.seed
        self._length = settings.round_steps
        self.starts = list(starts)
        self.subject = subject

    def is_unmatched(self, level: int) -> bool:
        """Say whether nothing is matched in the last round, though later something will be."""
        return self._matcher is not None and level == 0 and len(self.starts) == 1

    def is_next_due(self, level: int, step: int, iterations: int) -> bool:
        """Say whether a round is to begin with a step, and has not begun yet."""
        planned = (0,) if self._matcher is None else round_starts(level, iterations, self._length)
        return step in planned and step not in self.starts

    def begin(self, step: int, image: tf.Tensor) -> None:
        """Begin a round with a step, and with the image that it evaluates."""
        self.starts.append(step)
        if self._matcher:
            self.subject = image

    def aims(self, level: int, aims: Aims) -> Aims:
        """Bring what a level aims at to its last round; the same, whenever it is asked."""
        if self._matcher is None:
            return aims
        if self.is_unmatched(level):
            return aims._replace(terms=self._matcher.unmatched(aims.terms))
        seed = self._seed, level * _LEVELS_APART + len(self.starts)
        return aims._replace(terms=self._matcher(self.subject, aims.guides, aims.terms, seed))

    def end(self) -> None:
        """End the level."""
        self.starts, self.subject = [], NO_IMAGE
