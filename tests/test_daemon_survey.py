from datetime import timedelta
from pathlib import Path

import pytest
from spool_world import NOW, World

from nstd.daemon.survey import Survey
from nstd.spool.jobs import Wish, new_job_id, queued_at


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


def test_oldest_job_that_waits_is_the_one_that_may_be_claimed(world, office):
    jobs = sorted((world.taken_in(data=b"1"), world.taken_in(data=b"2")), key=lambda job: job.id)
    assert office.survey.jobs().oldest_at == queued_at(jobs[0].id)
    (world.folders.new / jobs[0].id / Wish.HELD).touch()
    office.now += 1
    assert office.survey.jobs().oldest_at == queued_at(jobs[1].id)
    world.claim()
    office.now += 1
    assert office.survey.jobs().oldest_at is None


def test_time_of_ingest_can_be_read_off_an_id():
    moment = NOW + timedelta(microseconds=1)
    assert queued_at(new_job_id(moment)) == moment
