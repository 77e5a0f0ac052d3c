"""Settling: a drop is complete once it has stopped changing."""

import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from nstd.job import DropIdentity
from nstd.spool.drops import Drop


class _Seen(NamedTuple):
    identity: DropIdentity
    since: float


class Settler:
    """Watches drops until device, inode, size and modification time have been the same for long enough.

    Args:
        settle_seconds: quiet time before a drop counts as complete; 0 means at first sight.
        clock: seconds that never run backwards.
    """

    def __init__(self, *, settle_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.settle_seconds = settle_seconds
        self._clock = clock
        self._looked_at = clock()
        self._seen: dict[str, _Seen] = {}

    def settled(self, drops: Iterable[Drop]) -> list[Drop]:
        """Take note of what lies in the inbox now; what no longer does is forgotten.

        Returns:
            The drops that are complete, in the order given.
        """
        drops, self._looked_at = list(drops), self._clock()
        self._seen = {drop.identity.path: self._look(drop.identity) for drop in drops}
        return [drop for drop in drops if self._is_settled(self._seen[drop.identity.path])]

    def restart(self, drop: Drop) -> None:
        """Settle a drop anew, because it was caught changing."""
        self._seen[drop.identity.path] = _Seen(drop.identity, self._clock())

    def seconds_to_next(self) -> float | None:
        """Say when to look again for the next complete drop; None if nothing is settling."""
        ready = (self._ready_at(seen) for seen in self._seen.values() if not self._is_settled(seen))
        earliest = min(ready, default=None)
        return None if earliest is None else max(0.0, earliest - self._clock())

    def _look(self, identity: DropIdentity) -> _Seen:
        seen = self._seen.get(identity.path)
        return seen if seen and seen.identity == identity else _Seen(identity, self._looked_at)

    def _is_settled(self, seen: _Seen) -> bool:
        return self._ready_at(seen) <= self._looked_at

    def _ready_at(self, seen: _Seen) -> float:
        return seen.since + self.settle_seconds
