"""When a level has been painted enough."""

import math
from collections import deque
from collections.abc import Callable, Collection, Iterable
from typing import Final

from nstd.history import StopReason
from nstd.transfer_settings import TransferSettings

WINDOW: Final = 20
"""Steps that must have gained little: L-BFGS stands still for some and then goes on."""

_DIVERGED: Final = 100.0
"""A loss beyond so many times the level's first two. L-BFGS found back from twice the least in 150 paintings."""

_FIRST: Final = 2
"""A level may begin with next to no loss, where the style has next to no weight: its start alone is no measure."""


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
        self._window = min(WINDOW, settings.round_steps - 1) if settings.has_rounds else WINDOW
        self._clock = clock
        self._began = clock() - earlier
        self.begin()

    @property
    def spent(self) -> float:
        """Share of the time budget that is over; 0 where there is none."""
        return (self._clock() - self._began) / self._budget if self._budget else 0.0

    def begin(
        self, totals: Iterable[float] = (), restarted_after: int | None = None, rounds: Collection[int] = ()
    ) -> None:
        """Begin a level, or go on with one.

        Args:
            totals: losses that it has had.
            restarted_after: how many of them, fewer than all, if the optimiser was restarted.
            rounds: after how many of them another round began.
        """
        self._evaluations = 0
        self._recent: deque[float] = deque(maxlen=self._window)
        self._least_before = math.inf
        self._scale = 0.0
        for total in totals:
            if self._evaluations in rounds:
                self.begin_round()
            if self._evaluations == restarted_after:
                self.begin_anew()
            self._take_in(total)

    def begin_round(self) -> None:
        """Go on with losses that do not compare with those so far."""
        self._least_before = math.inf
        self._recent.clear()

    def begin_anew(self) -> None:
        """Go on from the best picture: a fresh optimiser has its whole window to lower the least loss so far."""
        self._least_before = min([self._least_before, *self._recent])
        self._recent.clear()

    def reason(self, total: float, iterations: int, share: float, *, may_converge: bool = True) -> StopReason | None:
        """Say why a level is done, if it is.

        Args:
            total: loss of its next evaluation.
            iterations: its optimiser steps, at most.
            share: of the time budget, by when it is to end.
            may_converge: what is left of it is more of the same.
        """
        self._take_in(total)
        if self._evaluations > iterations:
            return StopReason.ITERATIONS
        if self._budget and self.spent >= share:
            return StopReason.TIME_BUDGET
        return StopReason.CONVERGED if may_converge and self._tolerance and self._has_converged() else None

    def has_diverged(self, total: float) -> bool:
        """Say whether the loss of the next evaluation is none that an optimiser comes back from."""
        is_far = self._evaluations >= _FIRST and total > _DIVERGED * self._scale > 0
        return not math.isfinite(total) or is_far

    def _take_in(self, total: float) -> None:
        if len(self._recent) == self._window:
            self._least_before = min(self._least_before, self._recent[0])
        if self._evaluations < _FIRST:
            self._scale = max(self._scale, total)
        self._recent.append(total)
        self._evaluations += 1

    def _has_converged(self) -> bool:
        """Say whether the last losses lowered the least of those before by less than the tolerance."""
        is_full = len(self._recent) == self._window and self._least_before < math.inf
        return is_full and min(self._recent) >= (1 - self._tolerance) * self._least_before
