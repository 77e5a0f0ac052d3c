"""How long a painting will still take."""

import time
from collections.abc import Callable

from nstd.worker.messages import Stepped


class Pace:
    """Extrapolates one painting's progress from its first step on; what came before comes only once.

    Args:
        clock: seconds that never run backwards.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._first: tuple[float, float] | None = None

    def seconds_left(self, step: Stepped) -> float | None:
        """Take note of a step that has just come; None if there is no progress since the first."""
        now = self._clock()
        if self._first is None:
            self._first = now, step.progress
            return None
        began, progress = self._first
        if step.progress <= progress:
            return None
        return (now - began) * (1 - step.progress) / (step.progress - progress)
