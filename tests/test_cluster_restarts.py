"""Pauses before what falls again and again is started again."""

import pytest

from nstd.cluster.restarts import Restarts


class Clock:
    seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def pauses(restarts: Restarts, falls: int) -> list[float]:
    found = []
    for _ in range(falls):
        restarts.fell("fell")
        found.append(restarts.seconds_left())
    return found


def test_each_fall_in_a_row_doubles_the_pause_up_to_a_minute(clock):
    restarts = Restarts(clock=clock)
    assert restarts.seconds_left() == 0
    assert pauses(restarts, 8) == [1, 2, 4, 8, 16, 32, 60, 60]
    assert pauses(restarts, 10_000)[-1] == 60
    assert (restarts.falls, restarts.how) == (10_008, "fell")
    clock.seconds += 59
    assert restarts.seconds_left() == 1
    clock.seconds += 2
    assert restarts.seconds_left() == 0


def test_what_has_come_on_falls_for_the_first_time(clock):
    restarts = Restarts(clock=clock)
    pauses(restarts, 3)
    restarts.began()
    restarts.came_on()
    assert restarts.falls == 0
    assert pauses(restarts, 2) == [1, 2]


@pytest.mark.parametrize(("lasted_seconds", "pause"), [(59, 8), (60, 1)])
def test_what_has_lasted_for_a_minute_falls_for_the_first_time(clock, lasted_seconds, pause):
    restarts = Restarts(clock=clock)
    pauses(restarts, 3)
    restarts.began()
    clock.seconds += lasted_seconds
    assert pauses(restarts, 1) == [pause]


def test_pause_counts_as_no_work(clock):
    restarts = Restarts(clock=clock)
    pauses(restarts, 6)
    clock.seconds += 100
    assert pauses(restarts, 1) == [60]


def test_first_falls_may_be_somebody_elses_to_pause_for(clock):
    assert pauses(Restarts(unpaused=1, clock=clock), 3) == [0, 1, 2]
