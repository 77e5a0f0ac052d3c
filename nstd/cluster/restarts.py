"""How long to wait before what falls again and again is started again."""

import time
from collections.abc import Callable
from typing import Final

_FIRST_PAUSE_SECONDS: Final = 1.0
_LONGEST_PAUSE_SECONDS: Final = 60.0
_STEADY_SECONDS: Final = 60.0
_DOUBLINGS: Final = 10  # by which any pause is the longest


class Restarts:
    """Count falls in a row; each of them doubles the pause before the next start, from 1 s to 60 s.

    The row ends when something has come of a start, or when that has lasted for a minute.

    Args:
        unpaused: falls before the first pause, for which somebody else pauses.
        clock: seconds that never run backwards.

    Attributes:
        falls: in a row.
        how: the last of them came about.
    """

    def __init__(self, *, unpaused: int = 0, clock: Callable[[], float] = time.monotonic) -> None:
        self._unpaused = unpaused
        self._clock = clock
        self._began_at = float("inf")
        self._until = clock()
        self.falls = 0
        self.how = ""

    def began(self) -> None:
        """It is there, and can work."""
        self._began_at = self._clock()

    def came_on(self) -> None:
        """Something has come of it: what falls now falls for the first time."""
        self.falls = 0

    def fell(self, how: str) -> None:
        """Begin the pause."""
        if self._clock() - self._began_at >= _STEADY_SECONDS:
            self.falls = 0
        self.falls, self.how, self._began_at = self.falls + 1, how, float("inf")
        paused = self.falls - self._unpaused
        pause = _FIRST_PAUSE_SECONDS * 2.0 ** min(paused - 1, _DOUBLINGS) if paused > 0 else 0.0
        self._until = self._clock() + min(_LONGEST_PAUSE_SECONDS, pause)

    def seconds_left(self) -> float:
        """Say how much longer to wait."""
        return max(0.0, self._until - self._clock())
