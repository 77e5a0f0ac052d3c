from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from nstd.job import DropIdentity
from nstd.spool.drops import Drop
from nstd.spool.settle import Settler


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def drop(path: str = "swirls/cat.jpg", **change: int) -> Drop:
    identity = {"device": 1, "inode": 2, "bytes": 3, "mtime_ns": 4} | change
    return Drop(DropIdentity(path=path, **identity), ("swirls",))


def test_drop_settles_once_it_has_been_the_same_long_enough():
    clock = Clock()
    settler = Settler(settle_seconds=2, clock=clock)
    assert settler.settled([drop()]) == []
    clock.now += 1.999
    assert settler.settled([drop()]) == []
    clock.now += 0.001
    assert settler.settled([drop()]) == [drop()]


def test_any_change_starts_the_time_again():
    for change in ("device", "inode", "bytes", "mtime_ns"):
        clock = Clock()
        settler = Settler(settle_seconds=2, clock=clock)
        settler.settled([drop()])
        clock.now += 2
        assert settler.settled([drop(**{change: 9})]) == []
        clock.now += 1
        assert settler.settled([drop()]) == []


def test_vanished_drop_is_forgotten():
    clock = Clock()
    settler = Settler(settle_seconds=2, clock=clock)
    settler.settled([drop()])
    clock.now += 1
    assert settler.settled([]) == []
    assert settler.seconds_to_next() is None
    clock.now += 1
    assert settler.settled([drop()]) == []


def test_no_settling_time_means_at_first_sight():
    settler = Settler(settle_seconds=0, clock=Clock())
    assert settler.settled([drop()]) == [drop()]
    assert settler.seconds_to_next() is None


def test_next_drop_is_waited_for_exactly_as_long_as_needed():
    clock = Clock()
    settler = Settler(settle_seconds=2, clock=clock)
    settler.settled([drop("a")])
    clock.now += 1.5
    settler.settled([drop("a"), drop("b")])
    assert settler.seconds_to_next() == 0.5
    clock.now += 0.75
    assert settler.seconds_to_next() == 0  # it became complete since the last look
    assert settler.settled([drop("a"), drop("b")]) == [drop("a")]
    assert settler.seconds_to_next() == 1.25  # the settled one is nobody's alarm clock


def test_drop_that_was_caught_changing_settles_again():
    clock = Clock()
    settler = Settler(settle_seconds=2, clock=clock)
    settler.settled([drop()])
    clock.now += 5
    assert settler.settled([drop()]) == [drop()]
    settler.restart(drop())
    assert settler.seconds_to_next() == 2
    clock.now += 1
    assert settler.settled([drop()]) == []
    clock.now += 1
    assert settler.settled([drop()]) == [drop()]


Look = tuple[float, int | None]
looks = st.lists(st.tuples(st.floats(0, 3), st.none() | st.integers(0, 2)), max_size=30)


@given(looks)
def test_only_files_that_were_the_same_for_the_whole_time_settle(history: list[Look]):
    """Each look comes some seconds after the one before, and finds nothing or one of three versions of the file."""
    clock, seen = Clock(), list[tuple[float, int | None]]()
    settler = Settler(settle_seconds=2, clock=clock)
    for seconds, version in history:
        clock.now += seconds
        seen.append((clock.now, version))
        found = [] if version is None else [drop(mtime_ns=version)]
        settled = bool(settler.settled(found))
        since = next((time for time, other in _latest_run(seen)), clock.now)
        assert settled == (version is not None and since + 2 <= clock.now)


def _latest_run(seen: list[tuple[float, int | None]]) -> list[tuple[float, int | None]]:
    """Return the looks since the last change, in their order."""
    run = []
    for time, version in reversed(seen):
        if version != seen[-1][1]:
            break
        run.append((time, version))
    return run[::-1]
