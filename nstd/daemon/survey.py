"""How many jobs are in which state, and since when the oldest waits, counted again only now and then."""

import contextlib
import time
from collections.abc import Callable
from datetime import datetime
from typing import Final, NamedTuple

from nstd.errors import SpoolError
from nstd.spool.queue import Counts, Queue

_SECONDS_BETWEEN: Final = 1.0
# To count takes a share of the time that nobody notices, however many jobs there are.
_LEAST_REST: Final = 100.0


class Jobs(NamedTuple):
    """What a count found.

    Attributes:
        counts: by state.
        waiting_since: when the job that waits for longest began to; None if none does.
    """

    counts: Counts
    waiting_since: datetime | None


class Survey:
    """Count the jobs about once a second, and the more rarely the longer that takes.

    Args:
        queue: whose jobs.
        clock: seconds that never run backwards.
    """

    def __init__(self, queue: Queue, clock: Callable[[], float] = time.monotonic) -> None:
        self._queue = queue
        self._clock = clock
        self._due = clock()
        self._is_behind = False
        self._jobs = Jobs(Counts(waiting=0, held=0, arriving=0, running=0, failed=0), None)

    def jobs(self) -> Jobs:
        """Return the latest count; never raises: where the queue cannot be read, the last one stands."""
        began = self._clock()
        self._is_behind = began < self._due
        if not self._is_behind:
            with contextlib.suppress(SpoolError):
                self._jobs = Jobs(*self._queue.survey())
            ended = self._clock()
            self._due = ended + max(_SECONDS_BETWEEN, _LEAST_REST * (ended - began))
        return self._jobs

    def seconds_to_next(self) -> float:
        """Say when to count what may have changed since the last count; infinite if nobody has asked since."""
        return max(0.0, self._due - self._clock()) if self._is_behind else float("inf")
