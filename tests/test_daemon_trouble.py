import pytest
from structlog.testing import capture_logs

from nstd.daemon.trouble import Trouble
from nstd.errors import SpoolError

FULL = SpoolError("cannot publish: No space left on device")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def trouble(clock: Clock) -> Trouble:
    return Trouble(clock)


def test_there_is_none_at_first(trouble):
    assert (trouble.reason, trouble.seconds_left()) == (None, 0)


def test_each_failed_try_doubles_the_pause_up_to_a_minute(trouble, clock):
    pauses = []
    for _ in range(9):
        trouble.strike(FULL)
        pauses.append(trouble.seconds_left())
        clock.now += pauses[-1]
        assert trouble.seconds_left() == 0
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_pause_runs_out(trouble, clock):
    trouble.strike(FULL)
    clock.now += 0.75
    assert trouble.seconds_left() == 0.25
    clock.now += 100
    assert trouble.seconds_left() == 0
    assert trouble.reason == str(FULL), "only a try that goes well ends the trouble"


def test_after_it_is_over_the_next_begins_small(trouble):
    for _ in range(5):
        trouble.strike(FULL)
    trouble.clear()
    assert trouble.reason is None
    trouble.strike(FULL)
    assert trouble.seconds_left() == 1


def test_it_is_logged_when_it_strikes_and_when_it_is_over(trouble):
    with capture_logs() as logs:
        trouble.strike(FULL)
        trouble.strike(SpoolError("still full"))
        trouble.clear()
    assert logs == [
        {"event": "trouble", "log_level": "error", "reason": str(FULL), "next_try_seconds": 1.0},
        {"event": "trouble", "log_level": "error", "reason": "still full", "next_try_seconds": 2.0},
        {"event": "trouble_over", "log_level": "info"},
    ]
