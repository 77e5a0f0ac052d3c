import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from spool_world import World

from nstd.config.settings import Config, SpoolSettings
from nstd.daemon.status import (
    CurrentJob,
    DaemonStatus,
    Delay,
    FailedSummary,
    InboxSummary,
    Notice,
    Outcome,
    QueuedJob,
    SpoolStatus,
    State,
    WorkerState,
    WorkerStatus,
    read_status,
    write_status,
)
from nstd.errors import SpoolError
from nstd.job import FailureKind
from nstd.spool.failed import fail
from nstd.spool.folders import Folders
from nstd.spool.lock import spool_lock
from nstd.spool.queue import Counts
from nstd.worker.messages import Stepped

NOW = datetime(2026, 11, 23, 4, 20, tzinfo=UTC)
SCHEMA = Path(__file__).parent.parent / "docs" / "status.schema.json"
PRINT = (
    "import json; from nstd.daemon.status import SpoolStatus as S; print(json.dumps(S.model_json_schema(), indent=2))"
)
CONFIG = Config.model_validate({"presets": {name: {"styles": ["style.jpg"]} for name in ("swirls", "wave")}})
DELAY = Delay(
    subject="1",
    about="a.jpg as wave",
    reason="No space left on device",
    since="2026-11-23T04:15:00Z",
    tries=2,
    next_try_at="2026-11-23T04:15:03Z",
)
IDLE = DaemonStatus(state=State.IDLE, started_at="2026-11-23T04:15:00Z")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def status_file(world: World) -> Path:
    return world.folders.state / "status.json"


def test_spool_where_no_daemon_ever_ran_is_empty_and_stays_untouched(tmp_path):
    root = tmp_path / "not yet"
    fields = ("inbox", "outbox", "originals", "failed", "state")
    folders = Folders.of(SpoolSettings(**{name: root / name for name in fields}))
    status = read_status(folders, CONFIG)
    assert (status.schema_version, status.pid, status.daemon, status.failed) == (1, None, None, ())
    assert status.jobs == Counts(waiting=0, held=0, arriving=0, running=0, failed=0)
    assert not root.exists()


def test_what_is_written_is_read_again(world):
    told = IDLE.model_copy(
        update={
            "state": State.PAINTING,
            "config_error": "config.yaml:1:1: nonsense",
            "troubles": (DELAY.model_copy(update={"subject": "inbox", "about": ""}),),
            "deferred": (DELAY,),
            "jobs": (
                CurrentJob(
                    id="1",
                    photo="Kätzchen 猫.jpg",
                    preset="swirls",
                    worker="gpu:0",
                    progress=0.5,
                    step=1,
                    steps=2,
                    loss=1e9,
                ),
                CurrentJob(id="2", photo="b.jpg", preset="swirls", worker="gpu:1"),
            ),
            "workers": (
                WorkerStatus(name="gpu:0", place="gpu:0", state=WorkerState.PAINTING),
                WorkerStatus(name="ray 1", place="", state=WorkerState.WAITING, reason="a GPU"),
            ),
            "ignored": (Notice(path="holiday", reason="is a folder"),),
            "results": (Outcome(job="0", photo="a.jpg", preset="wave", ended_at="2026-11-23T04:16:00Z", reason="!"),),
        }
    )
    write_status(world.folders, IDLE)
    write_status(world.folders, told)
    assert read_status(world.folders, CONFIG).daemon == told
    assert not list(world.folders.state.glob(".*"))


def test_running_daemon_is_known_by_its_lock_and_not_by_its_file(world):
    write_status(world.folders, IDLE)
    assert read_status(world.folders, CONFIG).pid is None
    with spool_lock(world.folders.lock):
        assert read_status(world.folders, CONFIG).pid == os.getpid()
    status = read_status(world.folders, CONFIG)
    assert (status.pid, status.daemon) == (None, IDLE), "the last daemon's words are kept"


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b'{"state": "idle", "sta',
        b"[]",
        b"\xff\xfe",
        b'{"state": "dancing", "started_at": ""}',
        b'{"state": "idle", "started_at": "", "mood": "good"}',
    ],
)
def test_status_file_that_makes_no_sense_counts_as_none(world, status_file, damaged):
    world.taken_in()
    status_file.write_bytes(damaged)
    status = read_status(world.folders, CONFIG)
    assert status.daemon is None
    assert status.jobs.waiting == 1, "the rest is told all the same"


def test_status_file_that_cannot_be_read_is_the_machines_trouble(world, status_file):
    status_file.mkdir()
    with pytest.raises(SpoolError, match=rf"^cannot read the status: {status_file}: Is a directory$"):
        read_status(world.folders, CONFIG)


def test_jobs_are_counted_by_state(world):
    for number in range(4):
        world.taken_in(f"swirls/{number}.jpg")
    world.claim()
    fail(world.folders, world.claim(), FailureKind.INPUT, "is no picture", now=NOW)
    (world.jobs("new")[0].path / "taken").touch()
    assert read_status(world.folders, CONFIG).jobs == Counts(waiting=1, held=0, arriving=1, running=1, failed=1)


def test_failed_jobs_are_listed_with_their_reason_oldest_first(world):
    first, second = (world.claimed(f"swirls/{name}") for name in ("a.jpg", "b.jpg"))
    fail(world.folders, second, FailureKind.ATTEMPTS, "the worker fell over", now=NOW)
    fail(world.folders, first, FailureKind.INPUT, "is no picture", now=NOW)
    found = {one.id: one for one in read_status(world.folders, CONFIG).failed}
    assert found == {
        first.job.id: FailedSummary(id=first.job.id, photo="a.jpg", kind=FailureKind.INPUT, reason="is no picture"),
        second.job.id: FailedSummary(
            id=second.job.id, photo="b.jpg", kind=FailureKind.ATTEMPTS, reason="the worker fell over"
        ),
    }
    assert list(found) == sorted(found)


@pytest.mark.parametrize("harm", [Path.unlink, lambda path: path.write_text("{")])
def test_failed_job_without_a_readable_reason_is_listed_too(world, harm):
    claimed = world.claimed()
    fail(world.folders, claimed, FailureKind.INPUT, "is no picture", now=NOW)
    harm(world.folders.failed / claimed.job.id / "reason.json")
    [failed] = read_status(world.folders, CONFIG).failed
    assert (failed.photo, failed.kind, failed.reason) == (None, None, "its reason.json cannot be read")


def test_job_goes_on_by_a_step():
    losses = {"step": 6, "total": 12.5, "content": 1.0, "style": {}, "tv": 0.0}
    step = Stepped.model_validate({"progress": 0.25, "number": 7, "total": 28, "level": 0, "losses": losses})
    job = CurrentJob(id="1", photo="a.jpg", preset="swirls").after(step, 3.5)
    assert (job.id, job.photo, job.preset) == ("1", "a.jpg", "swirls")
    assert (job.progress, job.step, job.steps, job.loss, job.seconds_left) == (0.25, 7, 28, 12.5, 3.5)


def test_printed_status_reads_as_plain_json(world):
    write_status(world.folders, IDLE)
    printed = json.loads(read_status(world.folders, CONFIG).model_dump_json())
    assert list(printed) == ["schema_version", "pid", "daemon", "inbox", "jobs", "next", "failed"]
    assert printed["daemon"]["state"] == "idle"


def test_photos_that_are_no_jobs_yet_are_told(world):
    for number in range(12):
        world.drop(f"wave/{number:02}.jpg")
    told = read_status(world.folders, CONFIG).inbox
    assert told == InboxSummary(drops=12, first=tuple(f"wave/{number:02}.jpg" for number in range(10)))


def test_inbox_that_cannot_be_read_is_told_and_hides_nothing_else(world):
    world.taken_in()
    world.folders.inbox.rename(world.root / "away")
    status = read_status(world.folders, CONFIG)
    assert status.inbox.trouble == (f"cannot look through the inbox: {world.folders.inbox}: No such file or directory")
    assert status.jobs.waiting == 1


def test_oldest_jobs_in_the_queue_are_told(world):
    jobs = [world.taken_in(f"swirls/{number:02}.jpg") for number in range(12)]
    shown = [QueuedJob(id=job.id, photo=job.content.name, preset="swirls", attempts=0, held=False) for job in jobs]
    assert read_status(world.folders, CONFIG).next == tuple(sorted(shown, key=lambda one: one.id)[:10])


def test_published_schema_is_the_status_own():
    own = SpoolStatus.model_json_schema()
    assert json.loads(SCHEMA.read_text()) == own, f"run: python -c '{PRINT}' > docs/{SCHEMA.name}"
