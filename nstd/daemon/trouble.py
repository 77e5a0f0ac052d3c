"""The machine's trouble: what waits for it to pass, and how long before the next try."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

import structlog

from nstd.daemon.status import Delay
from nstd.errors import ConfigError, SpoolError
from nstd.spool.jobs import timestamp

FIRST_PAUSE_SECONDS: Final = 1.0
_LONGEST_PAUSE_SECONDS: Final = 60.0

_log = structlog.get_logger()


class Part(StrEnum):
    """What the daemon does, each of which can be in trouble while the rest goes on."""

    INBOX = "inbox"
    QUEUE = "queue"
    PAINTING = "painting"
    STATUS = "status"
    METRICS = "metrics"


@dataclass(frozen=True, slots=True)
class _Pause:
    seconds: float
    until: float
    delay: Delay


class Delays:
    """Back off from what the machine's trouble has stopped: each failed try doubles the pause before the next.

    A little chance is in each pause, so that what failed together does not come back together.

    Args:
        clock: seconds that never run backwards.
        now: the wall clock.
        strict: raise the trouble instead of waiting for its end.
        first_pause_seconds: before the second try.
        dice: a number from 0 to 1, for the chance.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        now: Callable[[], datetime],
        *,
        strict: bool = False,
        first_pause_seconds: float = FIRST_PAUSE_SECONDS,
        dice: Callable[[], float] = random.random,
    ) -> None:
        self._clock = clock
        self._now = now
        self._strict = strict
        self._first_pause = first_pause_seconds
        self._dice = dice
        self._pauses: dict[str, _Pause] = {}

    @property
    def told(self) -> tuple[Delay, ...]:
        """What waits, and why, the longest first."""
        return tuple(self._pauses[subject].delay for subject in self.pending)

    @property
    def lasting(self) -> tuple[Delay, ...]:
        """What is not well yet, though it may be tried again just now, the longest first."""
        return tuple(pause.delay for pause in self._pauses.values())

    @property
    def pending(self) -> tuple[str, ...]:
        """The subjects whose next try is not due yet."""
        return tuple(subject for subject in self._pauses if self.seconds_left(subject))

    def seconds_left(self, subject: str) -> float:
        """Say how long a subject's pause still lasts; 0 if it has none."""
        pause = self._pauses.get(subject)
        return max(0.0, pause.until - self._clock()) if pause else 0.0

    def seconds_to_next(self) -> float:
        """Say when the next pause ends; infinite if nothing waits."""
        return min(map(self.seconds_left, self.pending), default=float("inf"))

    def attempt(self, subject: str, work: Callable[[], object]) -> None:
        """Do some work unless its last try failed a moment ago."""
        if self.seconds_left(subject):
            return
        with self.guarding(subject):
            work()
            self.clear(subject)

    @contextmanager
    def guarding(self, subject: str) -> Iterator[None]:
        """Let the machine's trouble, or what the operator must mend, pause the block's work instead of ending it.

        Raises:
            SpoolError: the block raised it, and this is strict.
            ConfigError: as above.
        """
        try:
            yield
        except (SpoolError, ConfigError) as error:
            self.strike(subject, error)

    def strike(self, subject: str, error: SpoolError | ConfigError, about: str = "") -> None:
        """Begin or prolong the pause of a subject.

        Args:
            subject: a job's id, a drop's path or a `Part`.
            error: what went wrong.
            about: what a person knows the subject by, where that is another name.

        Raises:
            SpoolError: the same error, if this is strict.
            ConfigError: as above.
        """
        if self._strict:
            raise error
        last = self._pauses.get(subject)
        seconds = min(_LONGEST_PAUSE_SECONDS, last.seconds * 2 if last else self._first_pause)
        lasts, now = seconds * (0.75 + 0.5 * self._dice()), self._now()
        delay = Delay(
            subject=subject,
            about=about,
            reason=str(error),
            since=last.delay.since if last else timestamp(now),
            tries=last.delay.tries + 1 if last else 1,
            next_try_at=timestamp(now + timedelta(seconds=lasts)),
        )
        self._pauses[subject] = _Pause(seconds, self._clock() + lasts, delay)
        is_news = last is None or last.delay.reason != delay.reason
        tell = _log.error if is_news else _log.debug
        tell("trouble", subject=subject, reason=delay.reason, next_try_seconds=round(lasts, 1))

    def clear(self, subject: str) -> None:
        """All is well again with a subject."""
        if self._pauses.pop(subject, None):
            _log.info("trouble_over", subject=subject)

    def keep_only(self, subjects: set[str]) -> None:
        """Forget all other subjects: they are no more."""
        self._pauses = {subject: pause for subject, pause in self._pauses.items() if subject in subjects}
