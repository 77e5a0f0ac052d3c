import math

import pytest

from nstd.engine.stopping import WINDOW, Stopping
from nstd.history import StopReason
from nstd.transfer_settings import TransferSettings

FALLING = [0.9**step for step in range(2 * WINDOW)]


def reason_after(stopping: Stopping, totals: list[float], iterations: int) -> StopReason | None:
    """Say why a level ends with the last of these losses; it has not before."""
    stopping.begin()
    *before, last = totals
    assert not any(stopping.reason(total, iterations, 1) for total in before)
    return stopping.reason(last, iterations, 1)


class Clock:
    """Seconds that the test moves on."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_iterations_end_a_level():
    assert reason_after(Stopping(TransferSettings(), Clock()), [3, 2, 1], 3) is None
    assert reason_after(Stopping(TransferSettings(), Clock()), [4, 3, 2, 1], 3) is StopReason.ITERATIONS


@pytest.mark.parametrize("share", [0.2, 1])
def test_time_ends_a_level_when_its_share_is_over(share):
    clock = Clock()
    stopping = Stopping(TransferSettings(time_budget_seconds=10), clock)
    clock.now += 10 * share - 0.1
    assert stopping.reason(1, 100, share) is None
    clock.now += 0.2
    assert stopping.reason(1, 100, share) is StopReason.TIME_BUDGET
    assert stopping.spent == pytest.approx(share + 0.01)


def test_without_a_budget_time_ends_nothing():
    clock = Clock()
    stopping = Stopping(TransferSettings(), clock)
    clock.now += 1e9
    assert stopping.spent == 0
    assert stopping.reason(1, 100, 0.1) is None


@pytest.mark.parametrize(
    ("totals", "converged"),
    [
        ([1] * WINDOW, False),
        ([1] * (WINDOW + 1), True),
        (FALLING, False),
        ([*FALLING, *[FALLING[-1]] * WINDOW], True),
        ([*FALLING, *[FALLING[-1]] * (WINDOW - 1)], False),
        ([100, *[99] * WINDOW], False),
        ([100, *[99.95] * WINDOW], True),
        ([100, *[200] * (WINDOW - 1), 98], False),
        ([0] * (WINDOW + 1), True),
    ],
)
def test_a_level_has_converged_when_a_window_gained_nothing(totals, converged):
    stopping = Stopping(TransferSettings(manner="texture", tolerance=0.001), Clock())
    assert (reason_after(stopping, totals, 1000) is StopReason.CONVERGED) is converged
    assert reason_after(Stopping(TransferSettings(manner="texture", tolerance=0), Clock()), totals, 1000) is None


def test_a_level_goes_on_as_if_it_had_never_stopped():
    stopping = Stopping(TransferSettings(manner="texture", tolerance=0.001), Clock())
    stopping.begin([1] * WINDOW)
    assert stopping.reason(1, 1000, 1) is StopReason.CONVERGED
    stopping.begin([3, 2])
    assert stopping.reason(1, 2, 1) is StopReason.ITERATIONS


@pytest.mark.parametrize("totals", [[1] * (WINDOW + 5), [5, 4, 3]])
def test_a_fresh_optimiser_has_a_window_of_its_own(totals):
    settings = TransferSettings(manner="texture", tolerance=0.001)
    stopping = Stopping(settings, Clock())
    stopping.begin(totals)
    stopping.begin_anew()
    least = min(totals)
    after = [stopping.reason(least, 1000, 1) for _ in range(WINDOW)]
    assert after == [None] * (WINDOW - 1) + [StopReason.CONVERGED]
    again = Stopping(settings, Clock())
    for done in range(1, WINDOW):
        again.begin(totals + [least] * done, restarted_after=len(totals))
        assert [again.reason(least, 1000, 1) for _ in range(WINDOW - done)] == after[done:]


@pytest.mark.parametrize(
    ("totals", "last", "diverged"),
    [
        ([], 1e30, False),
        ([], math.nan, True),
        ([5.0], math.inf, True),
        ([0.01], 5.0, False),
        ([0.0, 0.0], 1e-9, False),
        ([5.0, 3.0], 499, False),
        ([5.0, 3.0], 501, True),
        ([*[2.0] * 5, *[4.0] * WINDOW], 201, True),
    ],
)
def test_a_loss_beyond_all_measure_has_diverged(totals, last, diverged):
    stopping = Stopping(TransferSettings(), Clock())
    stopping.begin(totals)
    assert stopping.has_diverged(last) is diverged
