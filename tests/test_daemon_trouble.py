from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from nstd.daemon.status import Delay
from nstd.daemon.trouble import Delays, Part
from nstd.errors import SpoolError

FULL = SpoolError("cannot publish: No space left on device")
START = datetime(2026, 11, 23, 4, 15, tzinfo=UTC)


class Clock:
    seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds - 1000)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def delays(clock: Clock) -> Delays:
    """With no chance in their pauses."""
    return Delays(clock, clock.now, dice=lambda: 0.5)


def fail() -> None:
    raise FULL


def test_there_is_none_at_first(delays):
    assert (delays.told, delays.pending, delays.seconds_left("x"), delays.seconds_to_next()) == (
        (),
        (),
        0,
        float("inf"),
    )


def test_each_failed_try_doubles_the_pause_up_to_a_minute(delays, clock):
    pauses = []
    for _ in range(9):
        delays.strike("x", FULL)
        pauses.append(delays.seconds_left("x"))
        clock.seconds += pauses[-1]
        assert delays.seconds_left("x") == 0
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_pauses_differ_by_chance_so_that_not_all_come_back_together(clock):
    dice = iter((0.0, 1.0))
    delays = Delays(clock, clock.now, dice=lambda: next(dice))
    delays.strike("x", FULL)
    delays.strike("y", FULL)
    assert (delays.seconds_left("x"), delays.seconds_left("y")) == (0.75, 1.25)


def test_only_what_is_in_trouble_pauses(delays, clock):
    done = []
    delays.attempt("x", fail)
    delays.attempt("y", lambda: done.append("y"))
    delays.attempt("x", lambda: done.append("too early"))
    assert done == ["y"]
    assert delays.pending == ("x",)
    assert delays.seconds_to_next() == 1
    clock.seconds += 1
    assert delays.pending == ()
    delays.attempt("x", lambda: done.append("x"))
    assert done == ["y", "x"]


def test_only_a_try_that_goes_well_makes_the_next_pause_small_again(delays, clock):
    for _ in range(3):
        delays.attempt("x", fail)
        clock.seconds += 100
    delays.attempt("x", fail)
    assert delays.seconds_left("x") == 8
    clock.seconds += 100
    delays.attempt("x", lambda: None)
    delays.attempt("x", fail)
    assert delays.seconds_left("x") == 1


def test_what_waits_is_told_while_it_waits(delays, clock):
    delays.strike("1", FULL, "cat.jpg as swirls")
    clock.seconds += 5
    assert delays.told == (), "its next try is due"
    assert [one.tries for one in delays.lasting] == [1], "nobody has said that all is well"
    delays.strike("1", SpoolError("still full"), "cat.jpg as swirls")
    assert delays.told == (
        Delay(
            subject="1",
            about="cat.jpg as swirls",
            reason="still full",
            since="2026-11-23T04:15:00.000000Z",
            tries=2,
            next_try_at="2026-11-23T04:15:07.000000Z",
        ),
    )


def test_what_is_no_more_is_forgotten(delays):
    delays.strike("x", FULL)
    delays.strike("y", FULL)
    delays.keep_only({"y", "z"})
    assert delays.pending == ("y",)


def test_strict_ones_raise(clock):
    delays = Delays(clock, clock.now, strict=True)
    with pytest.raises(SpoolError, match="No space left"):
        delays.attempt(Part.INBOX, fail)
    with pytest.raises(SpoolError, match="No space left"):
        delays.strike(Part.INBOX, FULL)
    assert delays.pending == ()


def test_it_is_logged_when_it_strikes_when_it_changes_and_when_it_is_over(delays):
    with capture_logs() as logs:
        delays.strike(Part.INBOX, FULL)
        delays.strike(Part.INBOX, FULL)
        delays.strike(Part.INBOX, SpoolError("gone"))
        delays.clear(Part.INBOX)
        delays.clear(Part.INBOX)
    told = [
        (one["log_level"], one["event"], one["subject"], one.get("reason"), one.get("next_try_seconds")) for one in logs
    ]
    assert told == [
        ("error", "trouble", "inbox", str(FULL), 1.0),
        ("debug", "trouble", "inbox", str(FULL), 2.0),
        ("error", "trouble", "inbox", "gone", 4.0),
        ("info", "trouble_over", "inbox", None, None),
    ]
