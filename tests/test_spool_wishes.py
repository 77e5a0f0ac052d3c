"""Hold, release and cancel, whatever the job is doing and whoever else is at work."""

import json
import os
from datetime import timedelta

import pytest
from spool_world import NOW, AtCall, World

from nstd.errors import InputError, SpoolError
from nstd.job import FailureKind
from nstd.spool.failed import failed_jobs, retry
from nstd.spool.jobs import DamagedJobError, Mark, Wish
from nstd.spool.lock import spool_lock
from nstd.spool.queue import Counts
from nstd.spool.recover import Repair, recover, resume
from nstd.spool.wishes import cancel, hold, release, tell_daemon


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


@pytest.fixture
def daemon(world):
    """Somebody else who has the spool's lock."""
    with spool_lock(world.folders.lock):
        yield


def repairs(world, spared=()):
    done = resume(world.folders, keep_originals=True, now=NOW, spared=spared).done
    return [(one.repair, one.subject) for one in done]


def counts(**jobs):
    return Counts(**dict.fromkeys(("waiting", "held", "arriving", "running", "failed"), 0) | jobs)


def test_a_held_job_waits_and_the_others_pass_it(world):
    held, other = world.taken_in(), world.taken_in("swirls/dog.jpg")
    assert hold(world.folders, held.id) == held
    assert world.queue.counts() == counts(waiting=1, held=1)
    assert world.claim().job.id == other.id
    assert world.queue.claim(NOW) is None
    assert repairs(world, spared=[other.id]) == []


def test_a_released_job_has_its_old_place(world):
    oldest = min(world.taken_in().id, world.taken_in("swirls/dog.jpg").id)
    hold(world.folders, oldest)
    assert release(world.folders, oldest).id == oldest
    assert world.claim().job.id == oldest


def test_holding_twice_is_holding(world):
    job = world.taken_in()
    hold(world.folders, job.id)
    hold(world.folders, job.id)
    release(world.folders, job.id)
    assert world.queue.counts() == counts(waiting=1)


def test_a_running_job_is_held_once_it_is_given_back(world):
    claimed = world.claimed()
    hold(world.folders, claimed.job.id)
    assert claimed.folder.has(Wish.HELD)
    world.queue.give_back(claimed)
    assert world.queue.claim(NOW) is None
    release(world.folders, claimed.job.id)
    assert world.claim().job.attempts == 1


def test_a_held_job_stays_held_through_a_crash(world):
    claimed = world.claimed()
    hold(world.folders, claimed.job.id)
    recover(world.folders, keep_originals=True, now=NOW)
    assert world.queue.counts() == counts(held=1)


def test_without_a_daemon_a_cancelled_job_goes_to_failed_at_once(world):
    job = world.taken_in()
    assert cancel(world.folders, job.id, NOW + timedelta(seconds=1)) == job
    [failed] = failed_jobs(world.folders)
    assert (failed.failure.kind, failed.failure.message) == (FailureKind.CANCELLED, "cancelled")
    assert failed.failure.failed_at == "2026-11-23T04:15:01.123456Z"
    assert (world.folders.failed / job.id / "cat.jpg").read_bytes() == b"a photo"
    assert world.queue.counts() == counts(failed=1)


def test_so_does_one_that_a_killed_daemon_has_left(world):
    claimed = world.claimed()
    preview = claimed.folder.preview(world.folders)
    preview.write_bytes(b"so far")
    preview.with_name(f".{preview.name}.tmp").write_bytes(b"half")
    claimed.checkpoint.write_bytes(b"a state")
    cancel(world.folders, claimed.job.id, NOW)
    assert world.queue.counts() == counts(failed=1)
    left = sorted(path.name for path in (world.folders.failed / claimed.job.id).iterdir())
    assert left == ["cat.jpg", "reason.json"]
    assert world.remains() == []


@pytest.mark.usefixtures("daemon")
def test_beside_a_daemon_it_is_left_to_it(world):
    job = world.taken_in()
    cancel(world.folders, job.id, NOW)
    assert world.queue.claim(NOW) is None
    assert world.queue.counts() == counts(arriving=1)
    assert repairs(world) == [(Repair.JOB_CANCELLED, job.id)]
    assert world.queue.counts() == counts(failed=1)


@pytest.mark.usefixtures("daemon")
def test_a_deferred_job_can_be_cancelled(world):
    job = world.taken_in()
    cancel(world.folders, job.id, NOW)
    assert repairs(world, spared=[job.id]) == [(Repair.JOB_CANCELLED, job.id)]


@pytest.mark.usefixtures("daemon")
def test_a_held_job_can_be_cancelled(world):
    job = world.taken_in()
    hold(world.folders, job.id)
    cancel(world.folders, job.id, NOW)
    assert world.queue.counts() == counts(arriving=1)
    assert repairs(world) == [(Repair.JOB_CANCELLED, job.id)]


@pytest.mark.usefixtures("daemon")
def test_a_cancelled_job_whose_daemon_was_killed_ends_at_the_next_start(world):
    claimed = world.claimed()
    cancel(world.folders, claimed.job.id, NOW)
    done = recover(world.folders, keep_originals=True, now=NOW).done
    assert [one.repair for one in done] == [Repair.JOB_CANCELLED]


def test_a_cancelled_job_can_be_retried(world):
    job = world.taken_in()
    cancel(world.folders, job.id, NOW)
    again = retry(world.folders, job.id)
    assert (again.attempts, again.forgiven, again.came_to, again.resumes) == (0, 0, 0, 0)
    world.live()
    assert len(world.results()) == 2


def test_a_cancelled_job_whose_photo_lies_in_the_inbox_waits_for_that(world):
    job = world.taken_in()
    (world.folders.new / job.id / Mark.TAKEN).touch()
    cancel(world.folders, job.id, NOW)
    assert world.queue.counts() == counts(arriving=1)
    assert repairs(world) == [(Repair.INGEST_FINISHED, job.id), (Repair.JOB_CANCELLED, job.id)]


@pytest.mark.parametrize("wish", [hold, release, lambda folders, job_id: cancel(folders, job_id, NOW)])
@pytest.mark.parametrize("job_id", ["20261123T041500.123456Z-000000", "../../etc", "", "cat.jpg"])
def test_a_job_that_is_not_in_the_queue_is_an_error(world, wish, job_id):
    world.taken_in()
    with pytest.raises(InputError, match=f"^{job_id}: there is no job of this id in the queue$"):
        wish(world.folders, job_id)


def test_a_job_that_is_not_held_cannot_be_released(world):
    job = world.taken_in()
    with pytest.raises(InputError, match=f"^{job.id}: this job is not held$"):
        release(world.folders, job.id)


def test_a_damaged_record_is_told(world):
    job = world.taken_in()
    (world.folders.new / job.id / "job.json").write_text("{")
    with pytest.raises(DamagedJobError, match=r"job\.json: cannot be read as the record of a job"):
        cancel(world.folders, job.id, NOW)


@pytest.mark.parametrize(("act", "doing"), [(hold, "hold"), (release, "release")])
def test_trouble_of_the_machine_is_told(world, act, doing):
    job = world.taken_in()
    hold(world.folders, job.id)

    def fail():
        raise OSError(30, "Read-only file system", str(world.folders.new))

    # The record and the folder are opened for reading before that, or the mark for writing.
    with AtCall(2, fail), pytest.raises(SpoolError, match=f"cannot {doing} job {job.id}: .*: Read-only file system"):
        act(world.folders, job.id)


@pytest.mark.parametrize("leaves_before", ["it is read", "it is marked"])
def test_a_wish_finds_a_job_that_goes_from_one_place_to_the_other(world, monkeypatch, leaves_before):
    job = world.taken_in()
    looked = []
    is_folder = os.path.isdir

    def claim_between(path):
        if not looked and leaves_before == "it is read":
            (world.folders.new / job.id).rename(world.folders.cur / job.id)
        found = is_folder(path)
        if not looked and leaves_before == "it is marked":
            (world.folders.new / job.id).rename(world.folders.cur / job.id)
        looked.append(path)
        return found

    monkeypatch.setattr("nstd.spool.wishes.os.path.isdir", claim_between)
    hold(world.folders, job.id)
    assert (world.folders.cur / job.id / Wish.HELD).exists()
    release(world.folders, job.id)
    assert not (world.folders.cur / job.id / Wish.HELD).exists()


def test_the_hint_is_a_file_that_changes(world):
    tell_daemon(world.folders)
    before = world.folders.hint.stat().st_mtime_ns
    tell_daemon(world.folders)
    assert world.folders.hint.stat().st_mtime_ns >= before


def test_remains_of_a_killed_write_go_when_the_job_is_claimed(world):
    job = world.taken_in()
    (world.folders.new / job.id / ".0123456789abcdef.tmp").write_bytes(b"half a checkpoint")
    claimed = world.claim()
    assert sorted(path.name for path in claimed.folder.path.iterdir()) == ["content.jpg", "job.json"]


def test_a_checkpoint_goes_where_its_job_goes(world):
    claimed = world.claimed()
    claimed.checkpoint.write_bytes(b"a state")
    world.queue.give_back(claimed)
    assert world.claim().checkpoint.read_bytes() == b"a state"


def test_what_is_noted_of_a_claimed_job_lasts(world):
    claimed = world.claimed()
    noted = world.queue.note(claimed, resumes=3)
    assert (noted.job.resumes, noted.folder, noted.styles) == (3, claimed.folder, claimed.styles)
    assert json.loads((claimed.folder.path / "job.json").read_text())["resumes"] == 3
