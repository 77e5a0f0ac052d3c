import errno
import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256
from itertools import count
from pathlib import Path

import pytest
from other_program import OtherProgram
from spool_world import NOW, World, contents

from nstd.errors import ConfigError, DropError, SpoolError
from nstd.job import FailureKind
from nstd.preset import Preset
from nstd.spool.failed import failed_jobs
from nstd.spool.ingest import Ingest, Ingested
from nstd.spool.jobs import new_job_id, timestamp
from nstd.spool.settle import Settler
from nstd.spool.writers import Writers


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def during_copy(act: Callable[[], object]) -> None:
    """Do something once, right after the first read of the drop's bytes; the style image takes two before."""
    reads = count(1)

    def profile(_: object, event: str, function: object) -> None:
        if event == "c_return" and function is os.read and next(reads) == 3:
            sys.setprofile(None)
            act()

    sys.setprofile(profile)


def test_drop_becomes_a_job_with_its_facts_and_leaves_the_inbox(world: World):
    world.drop("swirls/cat.JPG", b"a photo")
    [drop] = world.scan().drops
    ingested = world.ingest.ingest(drop, world.presets, NOW)
    [job] = ingested.jobs
    [folder] = world.jobs("new")
    assert ingested == Ingested((job,))
    assert folder.read() == job
    assert contents(folder.path) == {
        "content.jpg": b"a photo",
        "job.json": job.model_dump_json(indent=2).encode() + b"\n",
    }
    assert job.drop == drop.identity
    assert job.content.model_dump() == {"name": "cat.JPG", "bytes": 7, "sha256": sha256(b"a photo").hexdigest()}
    assert (job.preset_name, job.preset, job.attempts) == ("swirls", world.presets["swirls"], 0)
    assert (job.created_at, job.siblings) == ("2026-11-23T04:15:00.123456Z", (job.id,))
    assert contents(world.folders.styles) == {job.styles[0].sha256: b"brush strokes"}
    assert contents(world.folders.inbox) == {}
    assert world.originals() == {"swirls/cat.JPG": b"a photo"}


def test_several_presets_make_as_many_jobs_of_one_photo(world: World):
    world.default_presets = ("swirls", "wave")
    world.drop("cat.jpg")
    [ingested] = world.take_in()
    ids = tuple(job.id for job in ingested.jobs)
    assert [job.preset_name for job in ingested.jobs] == ["swirls", "wave"]
    assert [job.siblings for job in ingested.jobs] == [ids, ids]
    assert {folder.id for folder in world.jobs("new")} == set(ids)
    assert world.originals() == {"cat.jpg": b"a photo"}


@pytest.mark.parametrize(
    "name", [b"caf\xe9.jpg", b"x" * 255, b"new\nline.jpg", b"-rf", b"back\\slash", b"a b", b"\\x41.jpg"]
)
def test_any_name_goes_all_the_way(world: World, name: bytes):
    world.drop("swirls/" + os.fsdecode(name))
    world.live()
    assert [os.fsencode(path) for path in world.originals()] == [b"swirls/" + name]
    assert len(world.results()) == 2
    assert world.remains() == []


def test_same_bytes_dropped_twice_make_two_jobs_and_one_original(world: World):
    first, second = world.taken_in(), world.taken_in()
    assert first.id != second.id
    assert len(world.jobs("new")) == 2
    assert world.originals() == {"swirls/cat.jpg": b"a photo"}


def test_another_photo_of_the_same_name_is_archived_beside_the_first(world: World):
    world.taken_in(data=b"first")
    world.taken_in(data=b"other")
    world.taken_in(data=b"the third")
    assert world.originals() == {
        "swirls/cat.jpg": b"first",
        "swirls/cat_2.jpg": b"other",
        "swirls/cat_3.jpg": b"the third",
    }


def test_photo_is_removed_where_originals_are_not_kept(tmp_path: Path):
    world = World(tmp_path, keep_originals=False)
    world.taken_in()
    assert contents(world.folders.inbox) == world.originals() == {}
    assert len(world.jobs("new")) == 1


def _rewrite_in_place(path: Path) -> None:
    found = path.stat()
    path.write_bytes(b"a ph0to")
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns + 1))


def _replace(path: Path) -> None:
    path.with_name(".other").write_bytes(b"another")
    path.with_name(".other").rename(path)


def _link_instead(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/passwd")


def _pipe_instead(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _folder_moved(path: Path) -> None:
    path.parent.rename(path.parent.with_name("gone"))


def _folder_is_link(path: Path) -> None:
    _folder_moved(path)
    path.parent.symlink_to(path.parent.with_name("gone"))


def _grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


CHANGES = (
    _rewrite_in_place,
    _replace,
    _link_instead,
    _pipe_instead,
    _folder_moved,
    _folder_is_link,
    _grow,
    Path.unlink,
)


@pytest.mark.parametrize("change", CHANGES)
def test_drop_that_changed_since_it_settled_must_settle_again(world: World, change: Callable[[Path], None]):
    path = world.drop()
    [drop] = world.scan().drops
    change(path)
    assert world.ingest.ingest(drop, world.presets, NOW) == Ingested(())
    assert world.remains() == []


@pytest.mark.parametrize("change", [_rewrite_in_place, _grow])
def test_drop_that_changes_while_it_is_copied_must_settle_again(world: World, change: Callable[[Path], None]):
    path = world.drop()
    [drop] = world.scan().drops
    during_copy(lambda: change(path))
    assert world.ingest.ingest(drop, world.presets, NOW) == Ingested(())
    assert world.remains() == []
    assert path.exists()


def test_drop_that_is_replaced_while_it_is_copied_is_superseded_by_its_successor(world: World):
    """As one that was replaced just before: whoever did it wants the new one."""
    path = world.drop()
    [drop] = world.scan().drops
    during_copy(lambda: _replace(path))
    assert world.ingest.ingest(drop, world.presets, NOW).jobs == ()
    assert world.remains() == []
    assert path.read_bytes() == b"another"
    [ingested] = world.take_in()
    assert world.jobs("new")[0].content(ingested.jobs[0]).read_bytes() == b"another"
    assert world.originals() == {"swirls/cat.jpg": b"another"}


def test_missing_style_image_leaves_the_drop_where_it_is(world: World):
    path = world.drop()
    world.presets["swirls"] = Preset.model_validate({"styles": [world.root / "no.jpg"]})
    with pytest.raises(ConfigError, match=r"^presets.swirls.styles: .*/no.jpg: cannot be read: No such file"):
        world.take_in()
    assert path.exists()
    assert world.remains() == []


def test_frozen_preset_outlives_its_style_image(world: World):
    job = world.taken_in()
    (world.root / "style.jpg").unlink()
    claimed = world.claim()
    assert [path.read_bytes() for path in claimed.styles] == [b"brush strokes"]
    assert claimed.job.styles == job.styles


def test_too_big_file_goes_to_failed_and_is_archived_like_any_other(tmp_path: Path):
    world = World(tmp_path, default_presets=("swirls", "wave"), max_bytes=1 << 20)
    world.drop("film.mov", bytes((1 << 20) + 52429))
    [ingested] = world.take_in()
    assert ingested.refusal == "the file has 1.1 MiB, limits.max_file_mib allows 1.0"
    failed = failed_jobs(world.folders)
    assert sorted(one.id for one in failed) == sorted(job.id for job in ingested.jobs)
    for one in failed:
        assert one.failure is not None
        assert (one.failure.kind, one.failure.message) == (FailureKind.INPUT, ingested.refusal)
        photo = world.folders.failed / one.id / "film.mov"
        assert photo.samefile(world.folders.originals / "film.mov")  # it was not copied
    assert world.remains() == []


def test_file_of_just_the_allowed_size_is_taken(tmp_path: Path):
    world = World(tmp_path, max_bytes=7)
    world.drop(data=b"7 bytes")
    assert world.take_in()[0].refusal == ""


def test_unreadable_drop_is_trouble_and_stays(world: World):
    if os.geteuid() == 0:
        pytest.skip("root reads everything")
    path = world.drop()
    path.chmod(0)
    with pytest.raises(DropError, match=r"^swirls/cat.jpg: cannot be read: Permission denied$"):
        world.take_in()
    assert path.exists()


def test_trouble_while_staging_leaves_the_drop_and_no_remains(world: World):
    path = world.drop()
    [drop] = world.scan().drops

    def fail() -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO), "/state")

    during_copy(fail)
    with pytest.raises(SpoolError, match=r"^cannot ingest swirls/cat.jpg: /state: Input/output error$"):
        world.ingest.ingest(drop, world.presets, NOW)
    assert path.exists()
    assert world.remains() == []


def test_drop_that_cannot_be_read_to_its_end_is_no_trouble_of_the_others(world: World):
    world.drop()
    [drop] = world.scan().drops

    def fail() -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    during_copy(fail)
    with pytest.raises(DropError, match=r"^swirls/cat.jpg: cannot be read: Input/output error$"):
        world.ingest.ingest(drop, world.presets, NOW)
    assert world.remains() == []


def test_job_ids_sort_by_time_in_utc():
    early = datetime(2026, 11, 23, 5, 15, 0, 1, tzinfo=timezone(timedelta(hours=1)))
    ids = [new_job_id(early), new_job_id(NOW), new_job_id(datetime(2027, 1, 1, tzinfo=UTC))]
    assert ids[0].startswith("20261123T041500.000001Z-")
    assert ids == sorted(ids)
    assert timestamp(early) == "2026-11-23T04:15:00.000001Z"


class Gate:
    """A spool whose drops settle for two seconds of a hand-driven clock."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.now = 1000.0
        self._settler = Settler(settle_seconds=2, clock=lambda: self.now)

    def look(self) -> list[Ingested]:
        """Look a second later, and take in what has settled."""
        self.now += 1
        settled = self._settler.settled(self.world.scan().drops)
        ingested = [self.world.ingest.ingest(drop, self.world.presets, NOW) for drop in settled]
        for drop, one in zip(settled, ingested, strict=True):
            if not one.jobs:
                self._settler.restart(drop)
        return ingested


STILL_OPEN = Ingested((), still_open=True)


def test_writer_who_pauses_for_longer_than_settling_is_waited_for(world: World):
    gate, path = Gate(world), world.drop(data=b"half of")
    with OtherProgram(path) as writer:
        writer.opens("ab")
        assert [one for _ in range(10) for one in gate.look()] == [STILL_OPEN] * 4
        writer.writes(b" a photo")
        writer.closes()
    assert gate.look() == gate.look() == []
    [ingested] = gate.look()
    assert len(ingested.jobs) == 1
    assert world.originals() == {"swirls/cat.jpg": b"half of a photo"}


def test_writer_of_a_byte_at_a_time_is_waited_for(world: World):
    """Each byte comes just after the ones before have settled."""
    gate, path = Gate(world), world.drop(data=b"")
    with OtherProgram(path) as writer:
        writer.opens("ab")
        for byte in b"a photo":
            assert gate.look() + gate.look() + gate.look() == [STILL_OPEN]
            writer.writes(bytes([byte]))
            assert gate.look() == []
    assert [one for _ in range(3) for one in gate.look() if one.jobs]
    assert world.originals() == {"swirls/cat.jpg": b"a photo"}


def test_writer_who_comes_while_the_drop_is_copied_is_waited_for(world: World):
    path = world.drop()
    [drop] = world.scan().drops
    with OtherProgram(path) as writer:
        during_copy(lambda: writer.opens("ab"))
        assert world.ingest.ingest(drop, world.presets, NOW) == STILL_OPEN
    assert world.remains() == []
    assert path.read_bytes() == b"a photo"


def test_writer_is_told_from_a_change_even_if_he_has_written(world: World):
    path = world.drop()
    [drop] = world.scan().drops
    with OtherProgram(path) as writer:
        writer.opens("ab")
        writer.writes(b"!")
        assert world.ingest.ingest(drop, world.presets, NOW) == STILL_OPEN
    assert world.ingest.ingest(drop, world.presets, NOW) == Ingested(())


def test_reader_of_a_drop_delays_nothing(world: World):
    with OtherProgram(world.drop()) as reader:
        reader.opens("rb")
        assert len(world.take_in()[0].jobs) == 1


def test_too_big_drop_that_is_still_open_is_not_refused_yet(tmp_path: Path):
    world = World(tmp_path, max_bytes=6)
    with OtherProgram(world.drop()) as writer:
        writer.opens("ab")
        assert world.take_in() == [STILL_OPEN]
    assert world.take_in()[0].refusal


def test_drop_that_a_file_server_has_lent_to_a_client_is_waited_for(world: World):
    """Samba's kernel oplocks are such leases: the client may hold changes back."""
    with OtherProgram(world.drop()) as server:
        server.opens("r+b")
        server.does("signal.signal(signal.SIGIO, signal.SIG_IGN)")
        server.does("fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)")
        assert world.take_in() == [STILL_OPEN]
    assert len(world.take_in()[0].jobs) == 1


def test_ingest_asks_the_writers_it_was_given(world: World):
    """Here such as know nothing of leases, and look at the other processes, each time anew: hours lie between."""
    hours = count(time.time(), 3600)
    writers = Writers(by_lease=lambda _: None, clock=lambda: next(hours))
    world.ingest = Ingest(world.folders, keep_originals=True, max_bytes=1 << 20, writers=writers)
    with OtherProgram(world.drop()) as writer:
        writer.opens("ab")
        assert world.take_in() == [STILL_OPEN]
    assert len(world.take_in()[0].jobs) == 1
