import os
from pathlib import Path

import pytest
from spool_world import STAMP, World, contents, paint

from nstd.errors import EngineError, SpoolError
from nstd.job import ResultLog
from nstd.spool.jobs import LOG_FILE, record_bytes
from nstd.spool.publish import finish_publication, publish

STEM = f"swirls/cat_swirls_{STAMP}"
PAINTED = b"painted: swirlsa photo"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def published(world: World) -> set[str]:
    return set(world.results())


def test_picture_and_log_are_published_and_the_job_leaves_the_queue(world: World):
    claimed = world.claimed()
    log = paint(claimed)
    path = publish(world.folders, claimed, log)
    assert path == world.folders.outbox / f"{STEM}.png"
    assert path.read_bytes() == PAINTED
    written = ResultLog.model_validate_json(path.with_suffix(".json").read_bytes())
    assert written.output.name == path.name
    assert written == log.model_copy(update={"output": written.output})
    assert world.remains() == []


def test_time_in_the_name_is_utc(world: World):
    claimed = world.claimed()
    path = publish(world.folders, claimed, paint(claimed, "2026-11-23T05:15:00+01:00"))
    assert path.name == f"cat_swirls_{STAMP}.png"


def test_published_names_are_counted_on(world: World):
    for _ in range(3):
        claimed = world.claimed()
        publish(world.folders, claimed, paint(claimed))
    stems = (STEM, f"{STEM}_2", f"{STEM}_3")
    assert published(world) == {f"{stem}.{extension}" for stem in stems for extension in ("png", "json")}


def unread(path: Path) -> tuple[int, ...]:
    """Say what a look at a file, which sets its time of access, leaves as it is."""
    facts = path.lstat()
    return facts.st_mode, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns


@pytest.mark.parametrize("taken", [f"{STEM}.png", f"{STEM}.json"])
@pytest.mark.parametrize("what", ["file", "dangling link", "folder", "log of another job"])
def test_name_is_taken_if_picture_or_log_exists(world: World, taken: str, what: str):
    claimed = world.claimed()
    path = world.folders.outbox / taken
    if what == "folder":
        path.mkdir()
    elif what == "dangling link":
        path.symlink_to("nowhere")
    else:
        path.write_text("a file" if what == "file" else '{"job": "another"}')
    before = unread(path)
    assert publish(world.folders, claimed, paint(claimed)) == world.folders.outbox / f"{STEM}_2.png"
    assert unread(path) == before
    assert {f"{STEM}_2.png", f"{STEM}_2.json"} <= published(world)


@pytest.mark.parametrize(
    "name",
    [b"x" * 251 + b".jpg", "é".encode() * 127, b"caf\xe9" * 50, "日本".encode() * 42 + b".j", b"a.b.c.jpg", b"-r"],
)
def test_longest_names_are_shortened_between_characters(world: World, name: bytes):
    world.drop("swirls/" + os.fsdecode(name))
    world.drop("swirls/2" + os.fsdecode(name)[1:])
    world.live()
    names = [Path(path).name for path in published(world)]
    assert len(names) == 4
    for one in names:
        assert len(os.fsencode(one)) <= 255
        stem = Path(one).stem.removesuffix(f"_swirls_{STAMP}")
        assert Path(os.fsdecode(name)).stem[1:].startswith(stem[1:])
        assert os.fsencode(stem).decode(errors="replace").count("\ufffd") == stem.count("\udce9")


def test_preset_s_missing_folder_is_made(world: World):
    claimed = world.claimed()
    (world.folders.outbox / "swirls").rmdir()
    publish(world.folders, claimed, paint(claimed))
    assert len(published(world)) == 2


def test_missing_outbox_defers_the_job_which_is_published_later_without_painting_again(world: World):
    claimed = world.claimed()
    log = paint(claimed)
    outbox = world.folders.outbox
    outbox.rename(outbox.with_name("unmounted"))
    message = rf"^cannot publish job {claimed.job.id}: .*/outbox/swirls: No such file or directory$"
    with pytest.raises(SpoolError, match=message):
        publish(world.folders, claimed, log)
    outbox.with_name("unmounted").rename(outbox)
    finish_publication(world.folders, claimed.folder)
    assert published(world) == {f"{STEM}.png", f"{STEM}.json"}


@pytest.mark.parametrize("got_done", [("json",), ("json", "png")])
def test_repeated_publication_finds_what_an_earlier_one_got_done(world: World, got_done: tuple[str, ...]):
    claimed = world.claimed()
    log = paint(claimed)
    (claimed.folder.path / LOG_FILE).write_bytes(record_bytes(log))
    (world.folders.outbox / f"{STEM}.png").write_bytes(b"of another program")
    done = {"json": record_bytes(log), "png": PAINTED}
    for extension in got_done:
        (world.folders.outbox / f"{STEM}_2.{extension}").write_bytes(done[extension])
    finish_publication(world.folders, claimed.folder)
    assert published(world) == {f"{STEM}.png", f"{STEM}_2.png", f"{STEM}_2.json"}
    assert world.remains() == []


def test_log_is_withdrawn_where_another_picture_took_the_name_in_between(world: World):
    claimed = world.claimed()
    log = paint(claimed)
    (claimed.folder.path / LOG_FILE).write_bytes(record_bytes(log))
    (world.folders.outbox / f"{STEM}.json").write_bytes(record_bytes(log))
    (world.folders.outbox / f"{STEM}.png").write_bytes(b"of another program")
    finish_publication(world.folders, claimed.folder)
    assert world.results()[f"{STEM}.png"] == b"of another program"
    assert world.results()[f"{STEM}_2.png"] == PAINTED
    assert f"{STEM}.json" not in published(world)


def test_missing_picture_is_refused(world: World):
    claimed = world.claimed()
    log = paint(claimed)
    claimed.picture.unlink()
    with pytest.raises(EngineError) as caught:
        publish(world.folders, claimed, log)
    assert str(caught.value) == f"{claimed.picture}: the finished picture is missing"
    assert not claimed.folder.has(LOG_FILE)


def test_picture_that_its_log_does_not_describe_is_refused(world: World):
    claimed = world.claimed()
    log = paint(claimed)
    claimed.picture.write_bytes(b"")
    with pytest.raises(EngineError) as caught:
        publish(world.folders, claimed, log)
    assert str(caught.value) == (
        f"{claimed.picture}: is not the picture that its log describes: got 0 bytes, SHA-256 "
        f"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855; "
        f"expected {log.output.bytes} bytes, SHA-256 {log.output.sha256}"
    )
    assert not claimed.folder.has(LOG_FILE)
    assert published(world) == set()


def test_picture_damaged_after_its_log_was_published_takes_the_log_back(world: World):
    claimed = world.claimed()
    log = paint(claimed)
    for path in (claimed.folder.path / LOG_FILE, world.folders.outbox / f"{STEM}.json"):
        path.write_bytes(record_bytes(log))
    claimed.picture.write_bytes(b"damaged")
    with pytest.raises(EngineError, match="is not the picture that its log describes"):
        finish_publication(world.folders, claimed.folder)
    assert published(world) == set()


def test_damaged_log_is_refused(world: World):
    claimed = world.claimed()
    paint(claimed)
    path = claimed.folder.path / LOG_FILE
    path.write_bytes(b"{")
    with pytest.raises(EngineError) as caught:
        finish_publication(world.folders, claimed.folder)
    assert str(caught.value) == f"{path}: cannot be read as a result log"


def test_time_that_cannot_be_read_is_never_committed(world: World):
    claimed = world.claimed()
    with pytest.raises(ValueError, match="yesterday"):
        publish(world.folders, claimed, paint(claimed, "yesterday"))
    assert not claimed.folder.has(LOG_FILE)


def test_nothing_is_left_in_staging(world: World):
    claimed = world.claimed()
    publish(world.folders, claimed, paint(claimed))
    assert contents(world.folders.outbox_staging) == {}
    assert list(world.folders.outbox_staging.iterdir()) == []
