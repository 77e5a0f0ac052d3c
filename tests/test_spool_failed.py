from pathlib import Path
from threading import Thread

import pytest
from spool_world import NOT_AN_IMAGE, NOW, World, contents, paint

from nstd.errors import InputError, SpoolError
from nstd.job import Failure, FailureKind
from nstd.spool.failed import FailedJob, fail, failed_jobs, retry
from nstd.spool.jobs import Mark
from nstd.spool.lock import retry_lock
from nstd.spool.publish import publish


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def failed_job(world: World, relative: str = "swirls/cat.jpg", data: bytes = NOT_AN_IMAGE) -> str:
    claimed = world.claimed(relative, data)
    fail(world.folders, claimed, FailureKind.INPUT, "is not an image", now=NOW)
    return claimed.job.id


def test_failed_job_leaves_its_photo_and_the_reason(world: World):
    claimed = world.claimed(data=NOT_AN_IMAGE)
    lines = ("decoding", "Killed")
    failure = fail(
        world.folders, claimed, FailureKind.ENGINE, "loss is NaN", now=NOW, traceback="Traceback ...", worker_log=lines
    )
    folder = world.folders.failed / claimed.job.id
    assert contents(folder) == {
        "cat.jpg": NOT_AN_IMAGE,
        "reason.json": failure.model_dump_json(indent=2).encode() + b"\n",
    }
    assert failed_jobs(world.folders) == [FailedJob(claimed.job.id, failure)]
    assert failure == Failure(
        kind=FailureKind.ENGINE,
        message="loss is NaN",
        failed_at="2026-11-23T04:15:00.123456Z",
        job=claimed.job,
        photo="cat.jpg",
        traceback="Traceback ...",
        worker_log=lines,
    )
    assert world.remains() == []


def test_message_with_an_undecodable_name_does_not_stop_the_failure(world: World):
    claimed = world.claimed("swirls/caf\udce9.jpg")
    failure = fail(world.folders, claimed, FailureKind.INPUT, "caf\udce9.jpg: no", now=NOW, worker_log=("\udce9",))
    assert (failure.message, failure.worker_log) == (r"caf\udce9.jpg: no", (r"\udce9",))
    assert (world.folders.failed / claimed.job.id / "caf\udce9.jpg").read_bytes() == b"a photo"


def test_photo_named_like_the_reason_gets_another_name(world: World):
    job_id = failed_job(world, "swirls/reason.json")
    assert (world.folders.failed / job_id / "reason_2.json").read_bytes() == NOT_AN_IMAGE
    world.lenient = True
    retry(world.folders, job_id)
    assert world.claim().content.read_bytes() == NOT_AN_IMAGE


def test_missing_failed_folder_is_trouble_and_the_job_stays(world: World):
    claimed = world.claimed()
    (world.folders.failed / ".staging").rmdir()
    message = rf"^cannot give up job {claimed.job.id}: .*/failed/.staging/{claimed.job.id}: No such file or directory$"
    with pytest.raises(SpoolError, match=message):
        fail(world.folders, claimed, FailureKind.INPUT, "no", now=NOW)
    (world.folders.failed / ".staging").mkdir()
    assert world.queue.claim(NOW) is None
    world.work()
    assert [one.id for one in failed_jobs(world.folders)] == [claimed.job.id]
    assert world.remains() == []


def test_retried_job_waits_as_it_first_did(world: World):
    job_id = failed_job(world)
    world.presets.clear()
    job = retry(world.folders, job_id)
    assert failed_jobs(world.folders) == []
    assert [folder.read() for folder in world.jobs("new")] == [job]
    assert (job.attempts, job.siblings) == (0, (job_id,))
    claimed = world.claim()
    assert claimed.content.read_bytes() == NOT_AN_IMAGE
    assert [path.read_bytes() for path in claimed.styles] == [b"brush strokes"]
    publish(world.folders, claimed, paint(claimed))
    assert len(world.results()) == 2
    assert world.remains() == []


def test_retry_that_was_killed_before_the_failed_job_was_removed_is_finished_not_repeated(world: World):
    job_id = failed_job(world)
    before = contents(world.folders.failed)
    retry(world.folders, job_id)
    [folder] = world.jobs("new")
    (folder.path / Mark.RETRIED).touch()
    for name, data in before.items():
        (world.folders.failed / name).parent.mkdir(exist_ok=True)
        (world.folders.failed / name).write_bytes(data)
    assert world.queue.claim(NOW) is None
    assert retry(world.folders, job_id).id == job_id
    assert failed_jobs(world.folders) == []
    assert [one.id for one in world.jobs("new")] == [job_id]
    assert world.claim().job.id == job_id


@pytest.mark.parametrize("job_id", ["20261123T041500.123456Z-ffffff", "..", "../state", "", "a\nb"])
def test_unknown_job_cannot_be_retried(world: World, job_id: str):
    with pytest.raises(InputError) as caught:
        retry(world.folders, job_id)
    assert str(caught.value) == f"{job_id}: there is no failed job of this id"


def test_job_can_be_retried_once_only(world: World):
    job_id = failed_job(world)
    retry(world.folders, job_id)
    with pytest.raises(InputError, match=r"there is no failed job of this id$"):
        retry(world.folders, job_id)
    assert len(world.jobs("new")) == 1


def test_retries_wait_for_each_other(world: World):
    job_id = failed_job(world)
    with retry_lock(world.folders.retry_lock):
        other = Thread(target=retry, args=(world.folders, job_id))
        other.start()
        other.join(0.05)
        assert other.is_alive()
        assert world.jobs("new") == []
    other.join()
    assert len(world.jobs("new")) == 1


def test_job_with_a_damaged_reason_is_listed_but_cannot_be_retried(world: World):
    job_id = failed_job(world)
    folder = world.folders.failed / job_id
    (folder / "reason.json").write_bytes(b"{")
    assert failed_jobs(world.folders) == [FailedJob(job_id, None)]
    with pytest.raises(InputError) as caught:
        retry(world.folders, job_id)
    assert str(caught.value) == f"{folder}: the record of this job is damaged; drop its photo into the inbox again"


def test_changed_photo_is_not_retried(world: World):
    job_id = failed_job(world)
    photo = world.folders.failed / job_id / "cat.jpg"
    photo.write_bytes(b"")
    with pytest.raises(InputError) as caught:
        retry(world.folders, job_id)
    assert str(caught.value) == (
        f"{photo}: is not the photo that failed (SHA-256 "
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855); drop it into the inbox"
    )
    assert world.remains() == []


def test_job_that_is_still_on_its_way_to_failed_is_not_retried(world: World):
    job_id = failed_job(world)
    (world.folders.cur / job_id).mkdir()
    with pytest.raises(SpoolError) as caught:
        retry(world.folders, job_id)
    place = world.folders.failed / job_id
    assert str(caught.value) == f"job {job_id} is still on its way to {place}; try again in a moment"


def test_missing_photo_is_trouble(world: World):
    job_id = failed_job(world)
    (world.folders.failed / job_id / "cat.jpg").unlink()
    with pytest.raises(SpoolError, match=rf"^cannot retry job {job_id}: .*/cat.jpg: No such file or directory$"):
        retry(world.folders, job_id)


def test_missing_folder_cannot_be_listed(world: World):
    (world.folders.failed / ".staging").rmdir()
    world.folders.failed.rmdir()
    with pytest.raises(SpoolError, match=r"^cannot list the failed jobs: .*/failed: No such file or directory$"):
        failed_jobs(world.folders)
