import contextlib
import os
from itertools import count
from pathlib import Path

import pytest
from spool_world import NOW, AtCall, World, contents, no_space

from nstd.errors import SpoolError
from nstd.job import FailureKind
from nstd.spool.failed import failed_jobs
from nstd.spool.jobs import DamagedJobError
from nstd.spool.queue import Counts


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_oldest_job_is_claimed_first_with_its_attempt_committed(world: World):
    first, second = world.taken_in(data=b"first"), world.taken_in(data=b"second")
    oldest = min(first.id, second.id)
    claimed = world.claim()
    assert claimed.job.id == oldest
    [folder] = world.jobs("cur")
    assert claimed.job.attempts == folder.read().attempts == 1
    assert claimed.content == folder.path / "content.jpg"
    assert claimed.picture == folder.path / "picture.png"
    assert claimed.styles == (world.folders.styles / claimed.job.styles[0].sha256,)
    assert [folder.id for folder in world.queue.waiting()] == [max(first.id, second.id)]


def test_empty_queue_gives_no_job(world: World):
    assert world.queue.claim(NOW) is None


def test_given_back_job_waits_as_if_it_had_not_been_claimed(world: World):
    job = world.taken_in()
    world.queue.give_back(world.claim())
    assert [folder.read() for folder in world.jobs("new")] == [job]
    assert world.claim().job.attempts == 1


def test_requeued_job_keeps_its_count(world: World):
    world.taken_in()
    world.queue.requeue(world.claim())
    assert world.claim().job.attempts == 2


def test_jobs_are_counted_by_state(world: World):
    for _ in range(3):
        world.taken_in()
    world.claim()
    (world.jobs("new")[0].path / "undisposed").touch()
    (world.folders.failed / world.jobs("cur")[0].id).mkdir()
    (world.folders.new / ".DS_Store").touch()
    assert world.queue.counts() == Counts(waiting=1, held=0, arriving=1, running=1, failed=1)


def test_job_that_is_claimed_while_they_are_counted_is_counted_once(world: World, monkeypatch: pytest.MonkeyPatch):
    world.taken_in()
    listed = os.listdir

    def list_and_claim(place: Path) -> list[str]:
        names = listed(place)
        monkeypatch.undo()
        world.claim()
        return names

    monkeypatch.setattr(os, "listdir", list_and_claim)
    assert world.queue.survey() == (Counts(waiting=0, held=0, arriving=0, running=1, failed=0), None)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "cannot be read as the record of a job: [Errno 2] No such file or directory"),
        (b"", "cannot be read as the record of a job: 1 validation error for Job"),
        (b"\xff\x00", "cannot be read as the record of a job: 1 validation error for Job"),
        (b"{}", "cannot be read as the record of a job: 8 validation errors for Job"),
    ],
)
def test_job_whose_record_is_damaged_goes_to_failed_and_the_next_is_claimed(world: World, text: bytes | None, why: str):
    world.taken_in()
    [damaged] = world.jobs("new")
    record = damaged.path / "job.json"
    record.unlink()
    if text is not None:
        record.write_bytes(text)
    with pytest.raises(DamagedJobError) as caught:
        world.queue.claim(NOW)
    assert str(caught.value).startswith(f"{record}: {why}")
    [failed] = failed_jobs(world.folders)
    assert failed.failure is not None
    assert (failed.failure.kind, failed.failure.job) == (FailureKind.DAMAGED, None)
    assert failed.failure.message == str(caught.value)
    assert failed.failure.photo == "content.jpg"
    assert (world.folders.failed / damaged.id / "content.jpg").read_bytes() == b"a photo"
    assert world.queue.claim(NOW) is None


def test_record_of_another_job_is_damage(world: World):
    world.taken_in()
    [folder] = world.jobs("new")
    other = folder.path.with_name("20261123T041500.123456Z-000000")
    folder.path.rename(other)
    with pytest.raises(DamagedJobError) as caught:
        world.queue.claim(NOW)
    assert str(caught.value) == f"{other}/job.json: is the record of job {folder.id}, expected {other.name}"


def test_claim_that_cannot_be_counted_leaves_the_job_waiting(world: World):
    world.taken_in()
    [folder] = world.jobs("new")
    (world.folders.cur / folder.id / "in the way").mkdir(parents=True)
    with pytest.raises(SpoolError, match=rf"^cannot claim job {folder.id}: .* -> .*: Directory not empty$"):
        world.queue.claim(NOW)
    assert world.jobs("new") == [folder]


def test_claim_that_any_call_fails_for_counts_no_attempt(tmp_path: Path):
    for fail_at in count(1):
        world = World(tmp_path / str(fail_at))
        job = world.taken_in()
        with AtCall(fail_at, no_space) as calls, contextlib.suppress(SpoolError):
            world.queue.claim(NOW)
        if calls.left > 0:
            break
        assert [folder.read() for folder in world.jobs("new")] == [job]
        assert world.jobs("cur") == []
    assert fail_at > 4


@pytest.mark.parametrize("put_back", ["give_back", "requeue"])
def test_job_that_cannot_be_put_back_is_trouble(world: World, put_back: str):
    claimed = world.claimed()
    (world.folders.new / claimed.job.id / "in the way").mkdir(parents=True)
    doing = put_back.replace("_", " ")
    with pytest.raises(SpoolError, match=rf"^cannot {doing} job {claimed.job.id}: .*: Directory not empty$"):
        getattr(world.queue, put_back)(claimed)
    assert contents(claimed.folder.path)["content.jpg"] == b"a photo"


def test_spool_that_was_never_used_has_no_jobs(world: World):
    world.folders.new.rmdir()
    world.folders.cur.rmdir()
    assert world.queue.counts() == Counts(waiting=0, held=0, arriving=0, running=0, failed=0)


def test_queue_that_cannot_be_read_is_trouble(world: World):
    world.folders.new.rmdir()
    with pytest.raises(SpoolError, match=r"^cannot read the queue: .*/queue/new: No such file or directory$"):
        world.queue.claim(NOW)
    world.folders.new.touch()
    with pytest.raises(SpoolError, match=r"^cannot count the jobs: .*/queue/new: Not a directory$"):
        world.queue.counts()
