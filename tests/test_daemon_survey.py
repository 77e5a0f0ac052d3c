from pathlib import Path

import pytest
from spool_world import World

from nstd.daemon.survey import Survey
from nstd.job import Job
from nstd.spool.jobs import Wish


class Office:
    """A survey, and a clock that goes on by `cost` seconds at each look at it."""

    def __init__(self, world: World) -> None:
        self.now, self.cost = 1000.0, 0.0
        self.survey = Survey(world.queue, self._clock)

    def waiting(self, seconds: float = 0) -> int:
        self.now += seconds
        return self.survey.jobs().counts.waiting

    def _clock(self) -> float:
        self.now += self.cost
        return self.now


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def office(world: World) -> Office:
    return Office(world)


def test_jobs_are_counted_again_after_a_second(world, office):
    assert office.waiting() == 0
    world.taken_in()
    assert office.waiting(0.9) == 0
    assert office.waiting(0.1) == 1


def test_counting_takes_a_hundredth_of_the_time_at_most(world, office):
    office.cost = 0.5
    assert office.waiting() == 0
    office.cost = 0
    world.taken_in()
    assert office.waiting(49) == 0
    assert office.waiting(1) == 1


def test_queue_that_cannot_be_read_leaves_the_last_count(world, office):
    world.taken_in()
    assert office.waiting() == 1
    world.folders.new.rename(world.folders.new.with_name("away"))
    world.folders.new.touch()
    assert office.waiting(1) == 1


def test_what_may_have_changed_is_counted_when_that_is_due(office):
    assert office.waiting() == 0
    assert office.survey.seconds_to_next() == float("inf")
    assert office.waiting(0.25) == 0
    assert office.survey.seconds_to_next() == 0.75
    assert office.waiting(0.75) == 0
    assert office.survey.seconds_to_next() == float("inf")


def test_waiting_begins_with_the_last_change_of_a_jobs_standing(world, office):
    def since() -> float:
        office.now += 1
        found = office.survey.jobs().waiting_since
        return found.timestamp() if found else 0

    def changed(job: Job) -> float:
        return (world.folders.new / job.id).stat().st_ctime

    first, second = world.taken_in(data=b"1"), world.taken_in(data=b"2")
    assert since() == pytest.approx(min(changed(first), changed(second)), abs=1e-5)
    held = world.folders.new / first.id / Wish.HELD
    held.touch()
    assert since() == pytest.approx(changed(second), abs=1e-5)
    held.unlink()
    assert since() == pytest.approx(min(changed(first), changed(second)), abs=1e-5)
    world.claim()
    world.claim()
    assert since() == 0
