"""Odd objects and odd names in the inbox: each is painted under a harmless name, comes back, or is left alone."""

import json
import os
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from daemon_world import ASSETS, NSTD_WITHOUT_POWERS, RunningDaemon, World, eventually, listed
from image_samples import saved
from ledger import Accounts, accounts_of, wait_for_the_end_of
from PIL import Image

from nstd.spool.names import to_text

pytestmark = pytest.mark.usefixtures("cache")
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to others")

PAINTED, PASSED_OVER = "painted", "passed over"
LINK = "is a symbolic link: links are not followed"
FOLDER = "is a folder: photos go directly into the preset's own folder"
SOMEONE, SOMEONE_ELSE = 12_345, 54_321
STICKY_FOR_ALL = 0o1777

with Image.open(ASSETS / "photos/coffee.jpg") as opened:
    PHOTO = saved(opened.convert("RGB").resize((96, 64)), "JPEG")


def photo(path: Path) -> None:
    path.write_bytes(PHOTO)


def text(path: Path) -> None:
    path.write_text("I am no picture.")


def link_to(target: str | Path) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


def listener(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(path))  # a socket's path may be no longer than 107 bytes


def null_device(path: Path) -> None:
    os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3))


def album(path: Path) -> None:
    path.mkdir()
    photo(path / "inside.jpg")


class Row(NamedTuple):
    """A drop, and what shall become of it: `PAINTED`, `PASSED_OVER`, or the reason why not."""

    name: str
    make: Callable[[Path], None]
    outcome: str


PAINTED_NAMES = (
    os.fsdecode(b"caf\xe9.jpg"),
    "n" * 251 + ".jpg",
    "é" * 125 + ".jpg",
    "two\nlines.jpg",
    "-rf.jpg",
    "--help",
    "C:\\photos\\..\\cat.jpg",
    "%2e%2e%2fetc.jpg",
    "\x1b[31mred\x1b[0m\x07.jpg",
    "\u202egpj.exe",
    # What the spool's own files are called.
    "job.json",
    "log.json",
    "content.jpg",
    "picture.png",
    "undisposed",
    "taken",
    " ",
    "   .jpg",
    "hard_link_1.jpg",
    "hard_link_2.jpg",
    "same_bytes_1.jpg",
    "same_bytes_2.jpg",
)
HIDDEN_NAMES = ("..jpg", "...jpg", "..%2f..%2fetc.jpg", "..\\..\\etc.jpg", ".staging", ".nstd-1-a_cat.jpg", "cat.part")
IGNORED = (
    Row("link.jpg", link_to(ASSETS / "photos/coffee.jpg"), LINK),
    Row("[red]link[blink].jpg", link_to("nowhere"), LINK),
    Row("link_to_itself.jpg", link_to("link_to_itself.jpg"), LINK),
    Row("dangling.jpg", link_to("nowhere"), LINK),
    Row("link_to_folder.jpg", link_to("/etc"), LINK),
    Row("fifo.jpg", os.mkfifo, "is a named pipe: only regular files are taken"),
    Row("socket.jpg", listener, "is a socket: only regular files are taken"),
    Row("folder.jpg", album, FOLDER),
    Row("folder\n.jpg", Path.mkdir, FOLDER),
)
DEVICES = (Row("device.jpg", null_device, "is a device: only regular files are taken"),) if os.geteuid() == 0 else ()
REFUSED = (
    Row("empty.jpg", Path.touch, "is empty (0 bytes)"),
    Row("reason.json", text, "is not an image that nstd can read"),
    Row("refused\x1b[2J.jpg", text, "is not an image that nstd can read"),
)
LEFT_ALONE = (*IGNORED, *DEVICES, *(Row(name, photo, PASSED_OVER) for name in HIDDEN_NAMES))
ROWS = (*(Row(name, photo, PAINTED) for name in PAINTED_NAMES), *REFUSED, *LEFT_ALONE)


class Spool(NamedTuple):
    """A spool whose daemon has seen everything, and its account at that time."""

    world: World
    daemon: RunningDaemon
    accounts: Accounts
    told: str


@pytest.fixture(scope="module")
def spool(tmp_path_factory) -> Iterator[Spool]:
    world = World(tmp_path_factory.mktemp("objects") / "world")
    try:
        yield drop_everything(world)
    finally:
        world.close()


def drop_everything(world: World) -> Spool:
    daemon = world.start(nstd=NSTD_WITHOUT_POWERS)
    daemon.wait_for("daemon_started")
    quick = world.inbox / "quick"
    for row in ROWS:
        if row.name == "hard_link_2.jpg":
            os.link(world.root / "one.jpg", quick / row.name)
        elif row.name == "hard_link_1.jpg":
            photo(world.root / "one.jpg")
            os.link(world.root / "one.jpg", quick / row.name)
        else:
            row.make(quick / row.name)
    wait_for_the_end_of(len(PAINTED_NAMES) + len(REFUSED), daemon)
    daemon.wait_for("ignored", len(IGNORED) + len(DEVICES))
    return Spool(world, daemon, accounts_of(world, "quick"), world.nstd("status").stdout)


def by_name(row: Row) -> str:
    return to_text(row.name)[:32]


@pytest.mark.parametrize("row", [row for row in ROWS if row.outcome == PAINTED], ids=by_name)
def test_photo_of_any_name_is_painted(spool, row):
    assert spool.accounts.places(row.name, "quick") == ["outbox"]
    assert (spool.world.originals / "quick" / row.name).read_bytes() == PHOTO
    [log] = spool.accounts.painted[row.name]
    assert json.loads(log.read_text())["content"]["name"] == to_text(row.name)
    with Image.open(log.with_suffix(".png")) as image:
        image.load()
        assert max(image.size) == 64


@pytest.mark.parametrize("row", REFUSED, ids=by_name)
def test_refused_file_comes_back_whatever_its_name(spool, row):
    assert spool.accounts.places(row.name, "quick") == ["failed"]
    [folder] = spool.accounts.failed[row.name]
    reason = json.loads((folder / "reason.json").read_text())
    assert (reason["kind"], reason["job"]["content"]["name"]) == ("input", to_text(row.name))
    assert reason["message"].startswith(f"{to_text(row.name)}: {row.outcome}")
    returned = "reason_2.json" if row.name == "reason.json" else row.name
    assert (folder / returned).read_bytes() == (b"" if row.name == "empty.jpg" else b"I am no picture.")


@pytest.mark.parametrize("row", LEFT_ALONE, ids=by_name)
def test_what_is_no_photo_is_left_alone(spool, row, tmp_path):
    assert spool.accounts.places(row.name, "quick") == ["inbox"]
    row.make(tmp_path / row.name)
    left, made = ((folder / row.name).lstat() for folder in (spool.world.inbox / "quick", tmp_path))
    assert (stat.S_IFMT(left.st_mode), left.st_size) == (stat.S_IFMT(made.st_mode), made.st_size)


@pytest.mark.parametrize("row", [*IGNORED, *DEVICES], ids=by_name)
def test_what_is_left_alone_is_listed_with_the_reason(spool, row):
    assert listed(spool.told, to_text(f"quick/{row.name}"), row.outcome)


def test_nothing_else_is_left(spool):
    accounts = spool.accounts
    names = [row.name for row in ROWS if row not in LEFT_ALONE]
    assert sorted([*accounts.painted, *accounts.failed]) == sorted(names)
    left = {f"quick/{row.name}" for row in LEFT_ALONE}
    assert accounts.inbox == {*left, "quick/folder.jpg/inside.jpg"}
    assert accounts.queue == []
    assert spool.daemon.logged("trouble") == []
    assert len(spool.daemon.logged("worker_started")) == 1


def test_all_that_is_published_lies_in_the_presets_own_folder(spool):
    outbox, originals = spool.world.outbox, spool.world.originals
    published = [path for path in outbox.rglob("*") if not path.is_dir()]
    assert sorted(published) == spool.world.results("quick")
    assert all(stat.S_ISREG(path.lstat().st_mode) and path.name.count("_quick_") == 1 for path in published)
    assert {path.parent for path in originals.rglob("*") if path.is_file()} == {originals / "quick"}
    assert {path.name for path in spool.world.root.iterdir()} == {
        *("config.yaml", "styles", "one.jpg"),
        *("inbox", "outbox", "originals", "failed", "state"),
    }


def test_no_name_reaches_the_terminal_raw(spool):
    assert listed(spool.told, "refused\\x1b[2J.jpg", "is not an image")
    assert not {character for character in spool.told if ord(character) < 32} - {"\n"}


def test_hard_links_of_one_file_leave_the_file_as_it_was(spool):
    assert (spool.world.root / "one.jpg").read_bytes() == PHOTO


def test_same_name_again_gives_a_second_result(spool):
    world, daemon = spool.world, spool.daemon
    finished = len(daemon.logged("job_finished"))
    photo(world.inbox / "quick/job.json")
    daemon.wait_for("job_finished", finished + 1)
    assert accounts_of(world, "quick").places("job.json", "quick") == ["outbox", "outbox"]
    assert accounts_of(world, "quick").queue == []
    # The same bytes: the copy that lies in the originals will do.
    assert [path.name for path in (world.originals / "quick").glob("job*")] == ["job.json"]
    assert len(daemon.logged("worker_started")) == 1


def test_unreadable_file_waits_and_holds_up_no_other(spool):
    world = spool.world
    drop = world.inbox / "quick/a_unreadable.jpg"
    photo(world.root / "unreadable.jpg")
    (world.root / "unreadable.jpg").chmod(0)
    (world.root / "unreadable.jpg").rename(drop)
    check_that_it_waits_alone(spool, drop, "Permission denied")
    drop.chmod(0o644)
    check_that_it_is_painted(spool, drop, "Permission denied")


@only_root
def test_file_that_cannot_be_taken_out_of_a_sticky_folder_waits_and_holds_up_no_other(spool):
    world = spool.world
    drop = world.inbox / "quick/a_theirs.jpg"
    os.chown(world.inbox / "quick", SOMEONE, SOMEONE)
    (world.inbox / "quick").chmod(STICKY_FOR_ALL)
    photo(world.root / "theirs.jpg")
    os.chown(world.root / "theirs.jpg", SOMEONE_ELSE, SOMEONE_ELSE)
    (world.root / "theirs.jpg").rename(drop)
    check_that_it_waits_alone(spool, drop, "Operation not permitted")
    os.chown(drop, 0, 0)
    check_that_it_is_painted(spool, drop, "Operation not permitted")


def check_that_it_waits_alone(spool: Spool, drop: Path, reason: str) -> None:
    """Whatever comes after it is painted, while the status lists the drop."""
    world, bystander = spool.world, drop.with_name(f"b_after_{drop.name}")
    finished = len(spool.daemon.logged("job_finished"))
    photo(bystander)
    spool.daemon.wait_for("job_finished", finished + 1)
    eventually(lambda: listed(world.nstd("status").stdout, drop.name, reason), f"{drop.name} in the status")
    accounts = accounts_of(world, "quick")
    assert accounts.places(bystander.name, "quick") == ["outbox"]
    assert accounts.places(drop.name, "quick") == ["inbox"]


def check_that_it_is_painted(spool: Spool, drop: Path, reason: str) -> None:
    """As soon as it can be: once, and then it is listed no more."""
    world = spool.world
    eventually(lambda: drop.name in {one["photo"] for one in spool.daemon.logged("job_finished")}, "its painting")
    accounts = accounts_of(world, "quick")
    assert (accounts.places(drop.name, "quick"), accounts.queue) == (["outbox"], [])
    eventually(lambda: not listed(world.nstd("status").stdout, drop.name, reason), "the end of the trouble")
    assert len(spool.daemon.logged("worker_started")) == 1
