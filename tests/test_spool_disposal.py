import os
from collections.abc import Callable
from pathlib import Path

import pytest
from spool_world import NOW, World, contents

from nstd.errors import SpoolError
from nstd.job import Job
from nstd.spool.disposal import dispose
from nstd.spool.jobs import JobFolder, Mark
from nstd.spool.recover import recover, resume


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def stuck(world: World, name: str = "swirls/cat.jpg", data: bytes = b"a photo") -> Job:
    """Take a photo in, as far as a read-only inbox lets it: queued, and still in the inbox."""
    job = world.taken_in(name, data)
    folder = world.folders.new / job.id
    (folder / Mark.UNDISPOSED).touch()
    archived = world.folders.originals / name
    archived.rename(world.folders.inbox / name)
    return job


def dispose_of(world: World, job: Job) -> None:
    dispose(world.folders, JobFolder(world.folders.new / job.id), keep_originals=world.keep_originals)


def test_job_of_a_photo_that_is_still_in_the_inbox_is_not_claimed_and_not_made_again(world: World):
    stuck(world)
    assert world.queue.claim(NOW) is None
    assert world.scan().drops == ()
    assert world.queue.counts().arriving == 1


def test_photo_that_got_stuck_leaves_the_inbox_at_the_next_rescan(world: World):
    job = stuck(world)
    repairs = resume(world.folders, keep_originals=True, now=NOW, spared=())
    assert [(one.repair, one.subject) for one in repairs.done] == [("ingest_finished", job.id)]
    assert world.originals() == {"swirls/cat.jpg": b"a photo"}
    assert contents(world.folders.inbox) == {}
    assert world.claim().job.id == job.id


def test_drop_is_known_after_a_reboot_has_renumbered_the_devices(world: World):
    job = stuck(world)
    folder = JobFolder(world.folders.new / job.id)
    folder.write(job.model_copy(update={"drop": job.drop.model_copy(update={"device": 99})}))
    assert world.scan().drops == ()
    dispose_of(world, job)
    assert contents(world.folders.inbox) == {}


def _rewritten(path: Path) -> None:
    path.write_bytes(b"another photo")


def _replaced(path: Path) -> None:
    path.with_name(".other").write_bytes(b"another photo")
    path.with_name(".other").rename(path)


@pytest.mark.parametrize("change", [_rewritten, _replaced])
@pytest.mark.parametrize("keep_originals", [True, False])
def test_file_that_took_the_drop_s_place_stays_as_a_new_drop(
    tmp_path: Path, change: Callable[[Path], None], *, keep_originals: bool
):
    world = World(tmp_path)
    job = stuck(world)
    world.keep_originals = keep_originals
    change(world.folders.inbox / "swirls/cat.jpg")
    dispose_of(world, job)
    assert contents(world.folders.inbox) == {"swirls/cat.jpg": b"another photo"}
    assert world.originals() == ({"swirls/cat.jpg": b"a photo"} if keep_originals else {})
    assert len(world.scan().drops) == 1
    assert world.claim().content.read_bytes() == b"a photo"


def test_file_that_was_taken_by_mistake_is_put_back(world: World):
    """The drop was replaced between the look at it and the rename; then the daemon was killed."""
    job = stuck(world)
    path = world.folders.inbox / "swirls/cat.jpg"
    _replaced(path)
    path.rename(path.with_name(f".nstd-{job.id}_cat.jpg"))
    path.write_bytes(b"a third one")
    dispose_of(world, job)
    assert contents(world.folders.inbox) == {"swirls/cat.jpg": b"a third one", "swirls/cat_2.jpg": b"another photo"}
    assert world.originals() == {"swirls/cat.jpg": b"a photo"}


def test_same_file_dropped_again_after_disposal_began_is_a_new_drop(world: World):
    """It may even get the inode of the first: what counts is that the first has been taken away."""
    world.keep_originals = False
    job = stuck(world)
    (world.folders.new / job.id / Mark.UNDISPOSED).rename(world.folders.new / job.id / Mark.TAKEN)
    dispose_of(world, job)
    assert contents(world.folders.inbox) == {"swirls/cat.jpg": b"a photo"}
    assert len(world.scan().drops) == 1


@pytest.mark.parametrize("whole_folder", [False, True])
def test_photo_that_somebody_removed_is_archived_from_the_queue(world: World, *, whole_folder: bool):
    job = stuck(world)
    (world.folders.inbox / "swirls/cat.jpg").unlink()
    if whole_folder:
        (world.folders.inbox / "swirls").rmdir()
    dispose_of(world, job)
    assert world.originals() == {"swirls/cat.jpg": b"a photo"}
    archived = world.folders.originals / "swirls/cat.jpg"
    assert archived.stat().st_mtime_ns == job.drop.mtime_ns
    assert world.claim().job.id == job.id


def test_inbox_that_is_not_mounted_is_waited_for(world: World):
    job = stuck(world)
    (world.folders.inbox / "swirls/cat.jpg").unlink()
    folder = JobFolder(world.folders.new / job.id)
    folder.write(job.model_copy(update={"drop": job.drop.model_copy(update={"device": 99})}))
    message = r"/inbox/swirls/cat.jpg: is gone, and the inbox is on another device than at ingest: is it mounted\?$"
    with pytest.raises(SpoolError, match=message):
        dispose_of(world, job)
    assert world.queue.claim(NOW) is None


def test_missing_originals_hold_the_job_until_they_are_back(world: World):
    job = stuck(world)
    (world.folders.originals / ".staging").rmdir()
    (world.folders.originals / "swirls").rmdir()
    world.folders.originals.rmdir()
    message = r"^cannot take swirls/cat.jpg out of the inbox: .*/originals/swirls: No such file or directory$"
    with pytest.raises(SpoolError, match=message):
        dispose_of(world, job)
    assert world.queue.claim(NOW) is None
    assert world.scan().drops == ()
    folder = JobFolder(world.folders.new / job.id)
    assert folder.has(Mark.TAKEN)  # from now on, nothing at the drop's path is taken for the drop
    assert not folder.has(Mark.UNDISPOSED)
    world.folders.create([])
    dispose_of(world, job)
    assert world.originals() == {"swirls/cat.jpg": b"a photo"}
    assert world.claim().job.id == job.id


def test_name_in_the_originals_is_never_overwritten(world: World):
    place = world.folders.originals / "swirls"
    place.mkdir()
    (place / "cat.jpg").symlink_to("nowhere")
    (place / "cat_2.jpg").mkdir()
    world.taken_in()
    assert world.originals() == {"swirls/cat_3.jpg": b"a photo"}


def test_longest_name_can_be_taken_and_archived_twice(world: World):
    name = "é" * 125 + ".jpgx"
    world.taken_in(f"swirls/{name}", b"one")
    world.taken_in(f"swirls/{name}", b"two")
    assert sorted(world.originals().values()) == [b"one", b"two"]
    assert contents(world.folders.inbox) == {}


def test_photos_taken_by_a_lost_queue_are_given_back(world: World):
    """Somebody removed the state folder while photos had hidden names."""
    hidden = (".nstd-20261123T041500.000000Z-1f2e3d_cat.jpg", "swirls/.nstd-20261123T041500.000000Z-1f2e3d_dog_2.jpg")
    for name in hidden:
        (world.folders.inbox / name).write_bytes(name.encode())
    (world.folders.inbox / "swirls" / ".nstd-notes").write_bytes(b"not ours")
    repairs = recover(world.folders, keep_originals=True, now=NOW)
    assert [(one.repair, one.subject) for one in repairs.done] == [
        ("photo_restored", "cat.jpg"),
        ("photo_restored", "swirls/dog_2.jpg"),
    ]
    assert sorted(contents(world.folders.inbox)) == ["cat.jpg", "swirls/.nstd-notes", "swirls/dog_2.jpg"]


def test_linked_folders_are_not_searched_for_lost_photos(world: World, tmp_path: Path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / ".nstd-20261123T041500.000000Z-1f2e3d_cat.jpg").touch()
    (world.folders.inbox / "link").symlink_to(elsewhere)
    assert recover(world.folders, keep_originals=True, now=NOW).done == []


def test_read_only_inbox_holds_the_job(world: World):
    if os.geteuid() == 0:
        pytest.skip("root writes everywhere")
    world.drop()
    (world.folders.inbox / "swirls").chmod(0o555)
    with pytest.raises(SpoolError, match=r"^cannot take swirls/cat.jpg out of the inbox: .*: Permission denied$"):
        world.take_in()
    assert world.queue.claim(NOW) is None
    assert world.scan().drops == ()
    (world.folders.inbox / "swirls").chmod(0o755)
    world.work()
    assert len(world.results()) == 2
