"""What the optimiser's steps took, and what a job's first steps took beyond that."""

import itertools
import statistics
from collections.abc import Sequence

FIRST_STEPS = 2


class Steps:
    """The steps of one job, from when each of them ended.

    The optimisation loop is the steps as they are once all is warm: at each level the first two count as the median of
    the later ones. What they took beyond it came before the loop or made its kernels.

    Args:
        began: when the job began, in seconds by any clock, such as that of a process' own processor time.

    Attributes:
        ended: when its last step ended so far.
    """

    def __init__(self, began: float) -> None:
        self.ended = began
        self._levels: list[list[float]] = []

    def add(self, level: int, ended: float) -> None:
        """Note the end of the next step."""
        while len(self._levels) <= level:
            self._levels.append([])
        self._levels[level].append(ended - self.ended)
        self.ended = ended

    @property
    def warm_seconds(self) -> float:
        """Of a step at full size."""
        return _warm(self._levels[-1])

    @property
    def loop_seconds(self) -> float:
        """Of all steps, had all of them been warm."""
        return sum(itertools.chain.from_iterable(self._levels)) - self.extra_seconds

    @property
    def extra_seconds(self) -> float:
        """What the first steps took beyond warm ones, with all that was done before them."""
        return sum(sum(level[:FIRST_STEPS]) - len(level[:FIRST_STEPS]) * _warm(level) for level in self._levels)


def _warm(level: Sequence[float]) -> float:
    return statistics.median(level[FIRST_STEPS:] or level[-1:])
