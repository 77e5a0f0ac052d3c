from datetime import UTC, datetime
from pathlib import Path

import pytest
from spool_world import World, paint
from structlog.testing import capture_logs

from nstd.config.settings import Config
from nstd.daemon.mender import Mender
from nstd.daemon.metrics import Metrics
from nstd.daemon.outcomes import Outcomes
from nstd.daemon.trouble import Delays
from nstd.errors import SpoolError
from nstd.spool.jobs import LOG_FILE, record_bytes
from nstd.spool.mounts import Mounts

NOW = datetime(2026, 11, 23, 4, 20, tzinfo=UTC)


class Clock:
    seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


class Workshop:
    """A mender with its spool, its clock and what it tells."""

    def __init__(self, root: Path) -> None:
        self.world = World(root)
        folders, mounts = self.world.folders, Mounts(self.world.folders.roots)
        self.clock = Clock()
        self.delays = Delays(self.clock, lambda: NOW, dice=lambda: 0.5)
        self.outcomes = Outcomes(folders, mounts, self.delays, Metrics(), max_attempts=3, now=lambda: NOW)
        config = Config(presets=self.world.presets)
        self.mender = Mender(folders, mounts, self.delays, self.outcomes, config, now=lambda: NOW)

    def mend(self, *claimed: str) -> list[str]:
        with capture_logs() as logs:
            self.mender.mend(claimed)
        return [one["what"] for one in logs if one["event"] == "repaired"]


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


def finish(workshop: Workshop, name: str = "swirls/cat.jpg") -> str:
    """Leave a job as a kill before its publication would."""
    claimed = workshop.world.claimed(name)
    (claimed.folder.path / LOG_FILE).write_bytes(record_bytes(paint(claimed)))
    return claimed.job.id


def test_there_is_nothing_to_mend_in_a_spool_where_all_is_well(workshop):
    workshop.world.taken_in()
    assert workshop.mend() == []


def test_finished_job_is_published_and_remembered(workshop):
    finish(workshop)
    assert workshop.mend() == ["publication_finished"]
    assert len(workshop.world.results()) == 2
    [outcome] = workshop.outcomes.results
    assert outcome.picture == str(workshop.world.folders.outbox / "swirls/cat_swirls_20261123T041500Z.png")


def test_jobs_that_a_worker_has_or_that_wait_are_left_alone(workshop):
    one, other = finish(workshop), finish(workshop, "swirls/dog.jpg")
    workshop.delays.strike(other, SpoolError("full"))
    assert workshop.mend(one) == []
    workshop.clock.seconds += 1
    assert workshop.mend(one) == ["publication_finished"]
    assert workshop.delays.told == ()


def test_one_job_that_cannot_be_mended_yet_holds_up_no_other(workshop):
    stuck = finish(workshop)
    finish(workshop, "wave/dog.jpg")
    (workshop.world.folders.outbox / "swirls").rmdir()
    (workshop.world.folders.outbox / "swirls").touch()
    assert workshop.mend() == ["publication_finished"]
    [delay] = workshop.delays.told
    assert (delay.subject, delay.about) == (stuck, "cat.jpg as swirls")
    assert "File exists" in delay.reason


def test_folders_that_have_gone_missing_are_made_again(workshop):
    folders = workshop.world.folders
    for folder in (folders.outbox / "wave", folders.outbox_staging, folders.inbox / "wave"):
        folder.rmdir()
    workshop.mend()
    assert (folders.outbox / "wave").is_dir()
    assert folders.outbox_staging.is_dir()
    assert (folders.inbox / "wave").is_dir()
