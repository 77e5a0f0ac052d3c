"""The machine's trouble: how long to wait before the next try."""

from collections.abc import Callable
from typing import Final

import structlog

from nstd.errors import SpoolError

_FIRST_PAUSE_SECONDS: Final = 1.0
_LONGEST_PAUSE_SECONDS: Final = 60.0

_log = structlog.get_logger()


class Trouble:
    """Back off from a machine in trouble: each failed try doubles the pause before the next.

    Attributes:
        reason: None while all is well.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._pause = 0.0
        self._until = 0.0
        self.reason: str | None = None

    def strike(self, error: SpoolError) -> None:
        """Begin or prolong the pause."""
        self._pause = min(_LONGEST_PAUSE_SECONDS, self._pause * 2 or _FIRST_PAUSE_SECONDS)
        self._until = self._clock() + self._pause
        self.reason = str(error)
        _log.error("trouble", reason=self.reason, next_try_seconds=self._pause)

    def seconds_left(self) -> float:
        """Say how long the pause still lasts."""
        return max(0.0, self._until - self._clock())

    def clear(self) -> None:
        """All is well again."""
        self._pause, self.reason = 0.0, None
        _log.info("trouble_over")
