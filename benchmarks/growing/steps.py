"""What the optimiser's steps took, and what a job's first steps took beyond that."""

import itertools
import statistics
from collections.abc import Sequence

FIRST_STEPS = 2


class Steps:
    """The steps of one job, from when each of them ended.

    The optimisation loop is the steps as they are once all is warm: at each level the first two count as the median of
    the later ones. So does a match that is made before one of them. What they took beyond it came before the loop or
    made its kernels.

    Args:
        began: when the job began, in seconds by any clock, such as that of a process' own processor time.

    Attributes:
        ended: when its last step ended so far.
        matches: the steps of each level that a match was made before.
    """

    def __init__(self, began: float) -> None:
        self.ended = began
        self.matches: Sequence[Sequence[int]] = ()
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
        return sum(itertools.starmap(_extra, itertools.zip_longest(self._levels, self.matches, fillvalue=())))


def _extra(level: Sequence[float], matches: Sequence[int]) -> float:
    warm, first = _warm(level), level[:FIRST_STEPS]
    later = [level[step] - warm for step in matches if step >= FIRST_STEPS]
    match = statistics.median(later) if later else 0.0
    return sum(first) - len(first) * warm - match * (len(matches) - len(later))


def _warm(level: Sequence[float]) -> float:
    return statistics.median(level[FIRST_STEPS:] or level[-1:])
