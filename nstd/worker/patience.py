"""How long a worker may be silent before it counts as hung."""

import time
from collections.abc import Callable
from typing import Final

_AT_LEAST_SECONDS: Final = 600.0
# An evaluation takes about 1.5 million floating-point operations a pixel: a tenth of what a slow processor does.
_SECONDS_A_PIXEL: Final = 1e-4
_TIMES_THE_LONGEST_SILENCE: Final = 30.0


class Patience:
    """Judge a worker's silence, generously: by the picture's size, and by the longest silence it has broken itself.

    Args:
        timeout_seconds: the operator's own judgement, which goes before all others; 0 for none.
        clock: seconds that never run backwards.
    """

    def __init__(self, timeout_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._timeout = timeout_seconds
        self._clock = clock
        self._heard_at = clock()
        self._pixels = 0
        self._longest = 0.0

    @property
    def seconds(self) -> float:
        """How long a silence may last."""
        generous = _AT_LEAST_SECONDS + _SECONDS_A_PIXEL * self._pixels
        return self._timeout or max(generous, _TIMES_THE_LONGEST_SILENCE * self._longest)

    @property
    def longest_seconds(self) -> float:
        """The longest silence since the picture began."""
        return self._longest

    def begin(self, size_px: int) -> None:
        """Expect a picture with this long side from now on."""
        self._pixels, self._longest, self._heard_at = size_px**2, 0.0, self._clock()

    def heard(self) -> None:
        """Take note of a sign of life."""
        now = self._clock()
        self._longest = max(self._longest, now - self._heard_at)
        self._heard_at = now

    def seconds_left(self) -> float:
        """Say how much longer to wait; 0 if the worker counts as hung."""
        return max(0.0, self._heard_at + self.seconds - self._clock())
