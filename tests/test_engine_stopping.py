import pytest

from nstd.engine.stopping import WINDOW, Stopping, has_converged
from nstd.job import Losses, StopReason
from nstd.preset import TransferSettings

FALLING = [0.9**step for step in range(2 * WINDOW)]


def history(*totals: float) -> list[Losses]:
    return [Losses(step=i, total=total, content=0, style={}, tv=0) for i, total in enumerate(totals)]


class Clock:
    """Seconds that the test moves on."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_iterations_end_a_level():
    stopping = Stopping(TransferSettings(), Clock())
    assert stopping.reason(history(3, 2, 1), 3, 1) is None
    assert stopping.reason(history(4, 3, 2, 1), 3, 1) is StopReason.ITERATIONS


@pytest.mark.parametrize("share", [0.2, 1])
def test_time_ends_a_level_when_its_share_is_over(share):
    clock = Clock()
    stopping = Stopping(TransferSettings(time_budget_seconds=10), clock)
    clock.now += 10 * share - 0.1
    assert stopping.reason(history(1), 100, share) is None
    clock.now += 0.2
    assert stopping.reason(history(1), 100, share) is StopReason.TIME_BUDGET
    assert stopping.spent == pytest.approx(share + 0.01)


def test_without_a_budget_time_ends_nothing():
    clock = Clock()
    stopping = Stopping(TransferSettings(), clock)
    clock.now += 1e9
    assert stopping.spent == 0
    assert stopping.reason(history(1), 100, 0.1) is None


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
    assert has_converged(totals, 0.001) is converged
    stopping = Stopping(TransferSettings(tolerance=0.001), Clock())
    assert (stopping.reason(history(*totals), 1000, 1) is StopReason.CONVERGED) is converged
    assert Stopping(TransferSettings(tolerance=0), Clock()).reason(history(*totals), 1000, 1) is None
