import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
from spool_world import NOT_AN_IMAGE, World, contents
from test_spool_exactly_once import survives

from nstd.config.settings import SpoolSettings
from nstd.spool.failed import retry
from nstd.spool.housekeeping import Kind, Swept, sweep
from nstd.spool.jobs import JobFolder, Mark
from nstd.spool.lock import retry_lock

DAY = timedelta(days=1)
CAT = "swirls/cat_swirls_20261123T041500Z"
DOG = "swirls/dog_swirls_20261123T041500Z"


class House:
    """A spool in which two photos were painted and one failed."""

    def __init__(self, root: Path) -> None:
        self.world = World(root)
        self.folders = self.world.folders
        for name in ("swirls/cat.jpg", "swirls/dog.jpg"):
            self.world.drop(name, name.encode())
        self.world.drop("wave/no.jpg", NOT_AN_IMAGE)
        self.world.live()
        [failed] = self.folders.failed.glob("2*")
        self.failed_id = failed.name

    def sweep(self, *, days: float = 1, results: float = 0, originals: float = 0, failed: float = 0) -> list[str]:
        """Sweep as if some days had passed; return what happened, in the order of its names."""
        settings = SpoolSettings(keep_results_days=results, keep_originals_days=originals, keep_failed_days=failed)
        swept = filter(None, sweep(self.folders, settings, datetime.now(UTC) + days * DAY))
        return sorted(self._line(one) for one in swept)

    def sweep_everything(self) -> list[str]:
        return self.sweep(results=1, originals=1, failed=1)

    def everything(self) -> dict[str, bytes]:
        return contents(self.world.root)

    def _line(self, swept: Swept) -> str:
        path = Path(swept.path).relative_to(self.world.root)
        return f"{swept.kind}: {path}: {swept.trouble}" if swept.trouble else f"{swept.kind}: {path}"


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "house")


def test_everything_is_kept_for_ever_by_default(house: House):
    before = house.everything()
    assert house.sweep(days=36500) == []
    assert house.everything() == before


def test_old_results_go_and_nothing_else(house: House):
    before = house.everything()
    assert house.sweep(results=1) == [f"result: outbox/{CAT}.json", f"result: outbox/{DOG}.json"]
    gone = {f"outbox/{name}.{suffix}" for name in (CAT, DOG) for suffix in ("json", "png")}
    assert house.everything() == {path: data for path, data in before.items() if path not in gone}


def test_old_originals_go_and_nothing_else(house: House):
    (house.folders.originals / "top.jpg").touch()
    before = house.everything()
    photos = ["originals/swirls/cat.jpg", "originals/swirls/dog.jpg", "originals/top.jpg", "originals/wave/no.jpg"]
    assert house.sweep(originals=1) == [f"original: {photo}" for photo in photos]
    assert house.everything() == {path: data for path, data in before.items() if path not in photos}


def test_old_failed_jobs_go_and_nothing_else(house: House):
    before = house.everything()
    assert house.sweep(failed=1) == [f"failed: failed/{house.failed_id}"]
    assert house.everything() == {path: data for path, data in before.items() if not path.startswith("failed/2")}
    assert not (house.folders.failed / house.failed_id).exists()
    assert house.world.remains() == []


@pytest.mark.parametrize("kept", ["results", "originals", "failed"])
def test_what_is_not_old_enough_stays(house: House, kept: str):
    """What was made some seconds ago is a day old some seconds before a day has passed."""
    minute = 1 / 24 / 60
    assert house.sweep(days=1 - minute, **{kept: 1}) == []
    assert house.sweep(days=1, **{kept: 1 + minute}) == []
    assert house.sweep(days=1, **{kept: 1}) != []


def test_age_is_reached_to_the_microsecond(house: House):
    [photo] = house.folders.originals.glob("wave/*")
    changed_at = datetime.fromtimestamp(photo.stat().st_ctime, UTC)
    settings = SpoolSettings(keep_originals_days=1)
    microsecond = timedelta(microseconds=1)
    early = [one for one in sweep(house.folders, settings, changed_at + DAY - microsecond) if one]
    assert str(photo) not in {one.path for one in early}
    late = [one for one in sweep(house.folders, settings, changed_at + DAY + microsecond) if one]
    assert late == [Swept(Kind.ORIGINAL, str(photo))]


def test_photo_that_was_taken_years_ago_is_as_young_as_its_arrival(house: House):
    photo = house.world.drop("swirls/old.jpg", b"of 1999")
    os.utime(photo, (915148800, 915148800))
    house.world.live()
    archived = house.folders.originals / "swirls" / "old.jpg"
    assert archived.stat().st_mtime == 915148800
    assert house.sweep(days=0, originals=1) == []
    assert archived.exists()


def test_same_photo_dropped_again_is_as_young_as_its_last_arrival(house: House):
    archived = house.folders.originals / "swirls" / "cat.jpg"
    os.utime(archived, (915148800, 915148800))
    before = archived.stat()
    house.world.drop("swirls/cat.jpg", b"swirls/cat.jpg")
    house.world.live()
    after = archived.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert after.st_ctime_ns > before.st_ctime_ns


def test_pair_is_as_old_as_the_younger_of_the_two(house: House):
    picture = house.folders.outbox / f"{CAT}.png"
    log = picture.with_suffix(".json")
    changed_at = datetime.fromtimestamp(log.stat().st_ctime, UTC)
    while picture.stat().st_ctime <= log.stat().st_ctime + 0.01:
        picture.chmod(0o640)
    settings = SpoolSettings(keep_results_days=1)
    swept = [one.path for one in sweep(house.folders, settings, changed_at + DAY + timedelta(seconds=0.005)) if one]
    assert str(log) not in swept
    assert picture.exists()
    assert log.exists()


def test_log_whose_picture_somebody_has_removed_goes(house: House):
    (house.folders.outbox / f"{CAT}.png").unlink()
    assert f"result: outbox/{CAT}.json" in house.sweep(results=1)
    assert house.world.results() == {}


def test_sweep_that_is_killed_anywhere_leaves_each_picture_its_log(tmp_path: Path):
    for kill_at in count(1):
        house = House(tmp_path / str(kill_at))
        survived = survives(house.sweep_everything, kill_at)
        results = house.world.results()
        assert all(name.replace(".png", ".json") in results for name in results)
        house.sweep_everything()
        assert house.world.results() == house.world.originals() == contents(house.folders.failed) == {}
        house.world.live()
        assert house.world.remains() == []
        if survived:
            break
    assert kill_at > 10


def _foreign_logs(house: House) -> dict[str, str]:
    """Give logs that are none of ours, by what is the matter with them."""
    log = json.loads((house.folders.outbox / f"{CAT}.json").read_bytes())

    def named(name: str) -> str:
        return json.dumps(log | {"output": log["output"] | {"name": name}})

    return {
        "no_log.json": "{}",
        "no_json.json": "a diary",
        "no_job.json": json.dumps(log | {"job": "../x", "output": {"name": "no_job.png"}}),
        "copy.json": named("cat_swirls_20261123T041500Z.png"),
        "path.json": named("../wave/path.png"),
        "absolute.json": named(str(house.folders.outbox / "swirls" / "absolute.png")),
        "itself.json": named("itself.json"),
        "nothing.json": named(""),
        "dots.json": named(".."),
        "null.json": named("null.p\\x00g"),
        ".hidden.json": named(".hidden.png"),
    }


def test_foreign_files_in_the_outbox_stay(house: House):
    house.sweep(results=1)
    logs = _foreign_logs(House(house.world.root / "another"))
    foreign = {
        **{f"swirls/{name}": text for name, text in logs.items()},
        **{f"swirls/{Path(name).stem}.png": "" for name in logs},
        "index.html": "the gallery",
        "wave/path.png": "a picture",
        "swirls/below/own.json": logs["copy.json"],
        "swirls/list.json/notes.txt": "",
        ".mine/copy.json": logs["copy.json"],
        "cat.json": logs["copy.json"].replace("cat_swirls_20261123T041500Z.png", "cat.png"),
        "cat.png": "",
    }
    for path, text in foreign.items():
        (house.folders.outbox / path).parent.mkdir(parents=True, exist_ok=True)
        (house.folders.outbox / path).write_text(text)
    before = house.everything()
    assert house.sweep(results=1) == []
    assert house.everything() == before


def test_foreign_files_in_the_originals_and_failed_stay(house: House):
    for path in ("originals/.nomedia", "originals/.staging/x", "originals/mine/2025/x.jpg", "failed/notes/x.txt"):
        (house.world.root / path).parent.mkdir(parents=True, exist_ok=True)
        (house.world.root / path).touch()
    (house.folders.failed / "20261123T041500.000000Z-abcdef").touch()
    house.sweep(originals=1, failed=1)
    left = [path for path in house.everything() if path.startswith(("originals", "failed"))]
    expected = ["failed/20261123T041500.000000Z-abcdef", "failed/notes/x.txt"]
    assert left == [*expected, "originals/.nomedia", "originals/mine/2025/x.jpg"]
    assert (house.folders.originals_staging / "x").exists()


def test_links_are_not_followed(house: House, tmp_path: Path):
    away = tmp_path / "away"
    shutil.copytree(house.folders.outbox / "swirls", away / "swirls")
    (away / "photo.jpg").touch()
    elsewhere = contents(away)
    outbox, originals, failed = house.folders.outbox, house.folders.originals, house.folders.failed
    shutil.rmtree(outbox / "wave")
    (outbox / "wave").symlink_to(away / "swirls")
    for suffix in ("json", "png"):
        (outbox / f"{DOG}.{suffix}").unlink()
        (outbox / f"{DOG}.{suffix}").symlink_to(away / f"{DOG}.{suffix}")
    (originals / "away").symlink_to(away)
    (originals / "photo.jpg").symlink_to(away / "photo.jpg")
    (failed / "20261123T041500.000000Z-abcdef").symlink_to(away)
    house.sweep_everything()
    assert contents(away) == elsewhere
    links = [outbox / "wave", outbox / f"{DOG}.png", originals / "away", originals / "photo.jpg"]
    assert all(path.is_symlink() for path in [*links, failed / "20261123T041500.000000Z-abcdef"])


def test_picture_that_is_a_link_keeps_its_log(house: House, tmp_path: Path):
    picture = house.folders.outbox / f"{CAT}.png"
    picture.rename(tmp_path / "moved.png")
    picture.symlink_to(tmp_path / "moved.png")
    assert house.sweep(results=1) == [f"result: outbox/{DOG}.json"]
    assert (tmp_path / "moved.png").exists()


def test_exotic_names_are_swept_like_any_other(house: House):
    house.sweep(results=1, originals=1)
    house.world.drop(os.fsdecode(b"swirls/caf\xe9\n\\.jpg"))
    house.world.live()
    kinds = [line.partition(":")[0] for line in house.sweep(results=1, originals=1)]
    assert kinds == ["original", "result"]
    assert house.world.results() == house.world.originals() == {}


def test_job_that_is_being_put_back_is_left_alone(house: House):
    """Between the two steps of a retry it lies in `failed` and, marked, in the queue."""
    place = house.folders.failed / house.failed_id
    shutil.copytree(place, house.world.root / "copy")
    retry(house.folders, house.failed_id)
    shutil.copytree(house.world.root / "copy", place)
    waiting = JobFolder(house.folders.new / house.failed_id)
    (waiting.path / Mark.RETRIED).touch()
    assert house.sweep(failed=1) == []
    assert place.exists()
    assert waiting.has(Mark.RETRIED)
    house.world.lenient = True
    house.world.live()
    assert not place.exists()
    assert len(house.world.results()) == 6


def test_turn_of_a_retry_is_not_waited_for(house: House):
    with retry_lock(house.folders.retry_lock):
        assert house.sweep(failed=1) == []
    assert len(house.sweep(failed=1)) == 1


@contextlib.contextmanager
def unremovable(path: Path) -> Iterator[None]:
    """Root may remove anything but an immutable file."""
    if os.geteuid() != 0:
        path.parent.chmod(0o555)
        yield
        path.parent.chmod(0o755)
        return
    if shutil.which("chattr") is None or subprocess.run(["chattr", "+i", path], check=False).returncode != 0:
        pytest.skip("this file system has no immutable files")
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", path], check=True)


def test_what_cannot_be_removed_stops_nothing_else(house: House):
    house.world.drop("wave/cat.jpg")
    house.world.live()
    picture = next(house.folders.outbox.glob("wave/*.png"))
    photo = house.folders.originals / "wave" / "no.jpg"
    job = house.folders.failed / house.failed_id
    with unremovable(picture), unremovable(photo), unremovable(job):
        lines = house.sweep_everything()
        assert all(path.exists() for path in (picture, picture.with_suffix(".json"), photo, job))
    troubles = {line.split(": ")[1] for line in lines if "cannot remove" in line}
    expected = {str(path.relative_to(house.world.root)) for path in (picture.with_suffix(".json"), photo, job)}
    assert expected <= troubles
    assert {f"result: outbox/{CAT}.json", "original: originals/swirls/cat.jpg"} <= set(lines)
    house.sweep_everything()
    assert house.world.results() == house.world.originals() == contents(house.folders.failed) == {}


def test_trouble_says_where_and_why(house: House):
    photo = house.folders.originals / "wave" / "no.jpg"
    with unremovable(photo):
        [line] = [line for line in house.sweep(originals=1) if "no.jpg" in line]
    start = f"original: originals/wave/no.jpg: cannot remove {photo}: no.jpg: "
    assert line in {start + "Operation not permitted", start + "Permission denied"}


def test_root_that_is_gone_is_told_and_stops_nothing_else(house: House):
    house.folders.outbox.rename(house.world.root / "away")
    lines = house.sweep(results=1, failed=1)
    where = house.folders.outbox
    assert lines == [
        f"failed: failed/{house.failed_id}",
        f"result: outbox: cannot look through {where}: {where}: No such file or directory",
    ]


def test_sweep_can_pause_at_every_file(house: House):
    settings = SpoolSettings(keep_results_days=2, keep_originals_days=2, keep_failed_days=2)
    assert list(sweep(house.folders, settings, datetime.now(UTC) + DAY)) == [None] * (4 + 2 + 3 + 1)
