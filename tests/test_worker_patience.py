import pytest

from nstd.worker.patience import Patience


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_silence_is_borne_as_long_as_the_operator_says(clock):
    patience = Patience(5, clock)
    patience.begin(16384)
    clock.now += 4
    assert patience.seconds_left() == 1
    clock.now += 2
    assert patience.seconds_left() == 0


def test_every_sign_of_life_starts_the_time_again(clock):
    patience = Patience(5, clock)
    clock.now += 4
    patience.heard()
    clock.now += 4
    assert patience.seconds_left() == 1


def test_large_pictures_are_given_more_time(clock):
    patience = Patience(0, clock)
    assert patience.seconds == 600
    patience.begin(512)
    assert 600 < patience.seconds < 660
    patience.begin(16384)
    assert patience.seconds > 7 * 3600


def test_slow_machine_is_judged_by_its_own_pace(clock):
    patience = Patience(0, clock)
    patience.begin(64)
    clock.now += 100
    patience.heard()
    clock.now += 1
    patience.heard()
    assert patience.seconds == 3000
    patience.begin(64)
    assert patience.seconds < 601, "the next picture may be a small one"
