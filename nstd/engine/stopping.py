"""When a level has been painted enough."""

from collections.abc import Callable, Sequence
from typing import Final

from nstd.job import Losses, StopReason
from nstd.preset import TransferSettings

WINDOW: Final = 20
"""Steps that must have gained little: L-BFGS stands still for some and then goes on."""


class Stopping:
    """Decide when each level of one painting ends.

    Args:
        settings: with the time budget and the tolerance.
        clock: seconds that never run backwards; the budget counts from now on.
        earlier: seconds that were spent before.
    """

    def __init__(self, settings: TransferSettings, clock: Callable[[], float], earlier: float = 0) -> None:
        self._budget = settings.time_budget_seconds
        self._tolerance = settings.tolerance
        self._clock = clock
        self._began = clock() - earlier

    @property
    def spent(self) -> float:
        """Share of the time budget that is over; 0 where there is none."""
        return (self._clock() - self._began) / self._budget if self._budget else 0.0

    def reason(self, history: Sequence[Losses], iterations: int, share: float) -> StopReason | None:
        """Say why a level is done, if it is.

        Args:
            history: its evaluations so far; one at least.
            iterations: its optimiser steps, at most.
            share: of the time budget, by when it is to end.
        """
        if len(history) > iterations:
            return StopReason.ITERATIONS
        if self._budget and self.spent >= share:
            return StopReason.TIME_BUDGET
        if self._tolerance and has_converged([losses.total for losses in history], self._tolerance):
            return StopReason.CONVERGED
        return None


def has_converged(totals: Sequence[float], tolerance: float) -> bool:
    """Say whether the last `WINDOW` losses lowered the least of those before by less than this share."""
    before, last = totals[:-WINDOW], totals[-WINDOW:]
    return bool(before) and min(last) >= (1 - tolerance) * min(before)
