from hashlib import sha256
from pathlib import Path

import pytest
from spool_world import NOT_AN_IMAGE, NOW, STAMP, World, contents, paint

from nstd.errors import SpoolError
from nstd.job import FailureKind
from nstd.spool.failed import fail, failed_jobs
from nstd.spool.jobs import LOG_FILE, REASON_FILE, Mark, record_bytes
from nstd.spool.recover import Repairs, recover, resume

STYLE = sha256(b"brush strokes").hexdigest()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def repaired(world: World) -> list[tuple[str, str]]:
    repairs = recover(world.folders, keep_originals=True, now=NOW)
    assert repairs.troubles == {}
    return [(one.repair.value, one.subject) for one in repairs.done]


def test_spool_in_order_needs_no_repair(world: World):
    world.live()
    world.taken_in()
    before = contents(world.root)
    assert repaired(world) == []
    assert contents(world.root) == before


def test_job_that_a_dead_worker_had_waits_again_with_its_attempt_counted(world: World):
    claimed = world.claimed()
    assert repaired(world) == [("job_requeued", claimed.job.id)]
    assert world.claim().job.attempts == 2


def test_job_whose_log_is_committed_is_published_without_painting_again(world: World):
    claimed = world.claimed()
    (claimed.folder.path / LOG_FILE).write_bytes(record_bytes(paint(claimed)))
    assert repaired(world) == [("publication_finished", claimed.job.id), ("style_removed", STYLE)]
    assert set(world.results()) == {f"swirls/cat_swirls_{STAMP}.png", f"swirls/cat_swirls_{STAMP}.json"}


@pytest.mark.parametrize("damage", ["picture missing", "log damaged"])
def test_damaged_result_is_discarded_and_painted_again(world: World, damage: str):
    claimed = world.claimed()
    log = claimed.folder.path / LOG_FILE
    log.write_bytes(record_bytes(paint(claimed)))
    claimed.picture.unlink() if damage == "picture missing" else log.write_bytes(b"{")
    repairs = recover(world.folders, keep_originals=True, now=NOW)
    message = f"{claimed.picture}: the finished picture is missing"
    if damage == "log damaged":
        message = f"{log}: cannot be read as a result log"
    assert [(one.repair, one.subject, one.detail) for one in repairs.done] == [
        ("result_discarded", claimed.job.id, message),
        ("job_requeued", claimed.job.id, ""),
    ]
    [folder] = world.jobs("new")
    assert sorted(contents(folder.path)) == ["content.jpg", "job.json"]


def test_half_done_failure_is_finished(world: World):
    claimed = world.claimed(data=NOT_AN_IMAGE)
    failure = fail(world.folders, claimed, FailureKind.INPUT, "is not an image", now=NOW)
    other = world.claimed()
    (other.folder.path / REASON_FILE).write_bytes(record_bytes(failure.model_copy(update={"job": other.job})))
    assert repaired(world) == [("failure_finished", other.job.id)]
    assert len(failed_jobs(world.folders)) == 2
    assert world.remains() == []


def test_reason_that_cannot_be_read_still_sends_the_photo_to_failed(world: World):
    claimed = world.claimed()
    (claimed.folder.path / REASON_FILE).write_bytes(b"{")
    assert repaired(world) == [("failure_finished", claimed.job.id), ("style_removed", STYLE)]
    [failed] = failed_jobs(world.folders)
    assert failed.failure is not None
    assert failed.failure.kind is FailureKind.DAMAGED
    assert failed.failure.message == f"{claimed.folder.path / REASON_FILE}: cannot be read"
    assert (world.folders.failed / failed.id / "content.jpg").read_bytes() == b"a photo"


@pytest.mark.parametrize("place", ["new", "cur"])
def test_damaged_job_does_not_stop_the_others_repair(world: World, place: str):
    damaged = world.claimed().folder if place == "cur" else world.jobs("new")
    if place == "new":
        world.taken_in()
        [damaged] = world.jobs("new")
        (damaged.path / Mark.UNDISPOSED).touch()
    (damaged.path / "job.json").write_bytes(b"{")
    other = world.taken_in()
    (world.folders.new / other.id / Mark.UNDISPOSED).touch()
    assert sorted(repaired(world)) == [("ingest_finished", other.id), ("job_damaged", damaged.id)]
    assert [one.id for one in failed_jobs(world.folders)] == [damaged.id]
    assert world.claim().job.id == other.id


def test_job_without_its_photo_still_leaves_a_reason(world: World):
    claimed = world.claimed()
    (claimed.folder.path / "job.json").unlink()
    claimed.content.unlink()
    assert repaired(world) == [("job_damaged", claimed.job.id), ("style_removed", STYLE)]
    [failed] = failed_jobs(world.folders)
    assert failed.failure is not None
    assert failed.failure.photo is None


def test_remains_of_half_made_things_are_removed(world: World):
    remains = [
        world.folders.tmp / "20261123T041500.123456Z-1f2e3d",
        world.folders.tmp / "20261123T041500.123456Z-1f2e3d.00.trash",
        world.folders.outbox_staging / "20261123T041500.123456Z-1f2e3d.png",
        world.folders.originals_staging / "20261123T041500.123456Z-1f2e3d",
        world.folders.failed_staging / "20261123T041500.123456Z-1f2e3d",
    ]
    for path in remains:
        path.mkdir() if path.suffix != ".png" else path.touch()
    (remains[0] / "content.jpg").touch()
    assert repaired(world) == [("remains_removed", str(path)) for path in remains]
    assert world.remains() == []


def test_frozen_styles_are_kept_as_long_as_a_job_may_need_them(world: World):
    world.taken_in()
    half = world.folders.styles / ".0123.tmp"
    half.touch()
    assert repaired(world) == [("style_removed", ".0123.tmp")]
    fail(world.folders, world.claim(), FailureKind.INPUT, "no", now=NOW)
    assert repaired(world) == []
    [failed] = world.jobs("failed")
    failed.path.rename(world.root / "kept elsewhere")
    assert repaired(world) == [("style_removed", STYLE)]


def test_trouble_of_one_job_does_not_stop_the_others_repair(world: World):
    claimed = world.claimed()
    (claimed.folder.path / LOG_FILE).write_bytes(record_bytes(paint(claimed)))
    other = world.taken_in()
    (world.folders.new / other.id / Mark.UNDISPOSED).touch()
    (world.folders.outbox / "swirls").rmdir()
    (world.folders.outbox / "swirls").write_bytes(b"a file in the way")
    repairs = resume(world.folders, keep_originals=True, now=NOW, spared=())
    assert [(one.repair, one.subject) for one in repairs.done] == [("ingest_finished", other.id)]
    [(job_id, trouble)] = repairs.troubles.items()
    assert job_id == claimed.job.id
    assert str(trouble) == f"cannot publish job {job_id}: {world.folders.outbox}/swirls: File exists"
    (world.folders.outbox / "swirls").unlink()
    world.work()
    assert len(world.results()) == 4


def test_running_job_is_left_alone(world: World):
    claimed = world.claimed()
    assert resume(world.folders, keep_originals=True, now=NOW, spared={claimed.job.id}) == Repairs()
    assert world.jobs("cur") == [claimed.folder]


def test_missing_state_is_trouble(world: World):
    world.folders.new.rmdir()
    with pytest.raises(SpoolError, match=r"^cannot recover the spool: .*/queue/new: No such file or directory$"):
        recover(world.folders, keep_originals=True, now=NOW)
    with pytest.raises(SpoolError, match=r"^cannot read the queue: .*/queue/new: No such file or directory$"):
        resume(world.folders, keep_originals=True, now=NOW, spared=())
