import os
import socket
from pathlib import Path

import pytest
from spool_world import World

from nstd.errors import SpoolError
from nstd.spool.inbox import Ignored


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def paths(world: World) -> list[str]:
    return [drop.identity.path for drop in world.scan().drops]


def test_photo_in_a_preset_s_folder_is_a_drop_for_it(world: World):
    path = world.drop("wave/cat.jpg", b"photo")
    [drop] = world.scan().drops
    found = path.stat()
    assert drop.presets == ("wave",)
    assert drop.identity.model_dump() == {
        "path": "wave/cat.jpg",
        "device": found.st_dev,
        "inode": found.st_ino,
        "bytes": 5,
        "mtime_ns": found.st_mtime_ns,
    }


def test_photo_in_the_top_folder_is_for_the_default_presets(world: World):
    world.default_presets = ("wave", "swirls")
    world.drop("cat.jpg")
    [drop] = world.scan().drops
    assert (drop.identity.path, drop.presets) == ("cat.jpg", ("wave", "swirls"))


@pytest.mark.parametrize(
    "name", [".hidden.jpg", "cat.jpg~", "cat.jpg.part", "CAT.PART", "cat.tmp", "cat.TMP", "cat.jpg.CrDownload"]
)
@pytest.mark.parametrize("folder", ["", "swirls/"])
def test_hidden_and_temporary_names_are_left_alone_in_silence(world: World, folder: str, name: str):
    world.default_presets = ("wave",)
    world.drop(folder + name)
    assert world.scan().drops == world.scan().ignored == ()


def test_hidden_folders_are_left_alone_in_silence(world: World):
    (world.folders.inbox / ".Trash").mkdir()
    assert world.scan().ignored == ()


@pytest.mark.parametrize(
    "name", [b"caf\xe9.jpg", b"x" * 255, b"new\nline.jpg", b"-rf.jpg", b"no extension", "größer.jpg".encode()]
)
def test_any_other_name_is_a_drop(world: World, name: bytes):
    world.drop("swirls/" + os.fsdecode(name))
    assert len(world.scan().drops) == 1


def _link(path: Path) -> None:
    path.symlink_to("/etc/passwd")


def _dangling_link(path: Path) -> None:
    path.symlink_to("nowhere")


def _link_to_folder(path: Path) -> None:
    path.symlink_to("/etc")


def _socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # a socket's path may have 107 bytes only
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path.name)
    os.chdir(here)


def _device(path: Path) -> None:
    try:
        os.mknod(path, 0o600 | 0o020000, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("needs root, to make a device")


LINK = "is a symbolic link: links are not followed"
FOLDER = "is a folder: photos go directly into the preset's own folder"


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (_link, LINK),
        (_dangling_link, LINK),
        (_link_to_folder, LINK),
        (os.mkfifo, "is a named pipe: only regular files are taken"),
        (_socket, "is a socket: only regular files are taken"),
        (_device, "is a device: only regular files are taken"),
        (os.mkdir, FOLDER),
    ],
)
def test_what_is_no_file_is_ignored_with_a_reason(world: World, make, reason: str):  # makes it there
    world.default_presets = ("wave",)
    make(world.folders.inbox / "swirls" / "z.jpg")
    make(world.folders.inbox / "z.jpg")
    at_top = "is a folder, but there is no preset of this name" if reason == FOLDER else reason
    scan = world.scan()
    assert scan.drops == ()
    assert scan.ignored == (Ignored("swirls/z.jpg", reason), Ignored("z.jpg", at_top))


def test_top_folder_photo_without_default_presets_is_ignored_with_a_reason(world: World):
    world.drop("ca\nt.jpg")
    reason = "lies in the inbox's own top folder, but default_presets names no preset"
    assert world.scan().ignored == (Ignored(r"ca\x0at.jpg", reason),)


def test_preset_s_folder_that_is_a_link_is_not_followed(world: World, tmp_path: Path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "cat.jpg").write_bytes(b"photo")
    (world.folders.inbox / "swirls").rmdir()
    (world.folders.inbox / "swirls").symlink_to(elsewhere)
    scan = world.scan()
    assert (scan.drops, scan.ignored) == ((), (Ignored("swirls", LINK),))


def test_file_in_place_of_a_preset_s_folder_is_ignored_with_a_reason(world: World):
    (world.folders.inbox / "swirls").rmdir()
    world.drop("swirls")
    world.default_presets = ("wave",)
    reason = "is a file, but should be the folder of the preset of this name"
    assert world.scan().ignored == (Ignored("swirls", reason),)


def test_unreadable_preset_folder_does_not_hide_the_others(world: World):
    if os.geteuid() == 0:
        pytest.skip("root reads everything")
    world.drop("wave/cat.jpg")
    (world.folders.inbox / "swirls").chmod(0)
    scan = world.scan()
    assert paths(world) == ["wave/cat.jpg"]
    assert scan.ignored == (Ignored("swirls", "cannot be read: Permission denied"),)


def test_drops_come_in_the_order_of_their_names(world: World):
    for name in ("wave/b", "swirls/c", "wave/a"):
        world.drop(name)
    assert paths(world) == ["swirls/c", "wave/a", "wave/b"]


def test_missing_inbox_is_trouble(world: World):
    for preset in world.presets:
        (world.folders.inbox / preset).rmdir()
    world.folders.inbox.rmdir()
    with pytest.raises(SpoolError, match=r"^cannot look through the inbox: .*/inbox: No such file or directory$"):
        world.scan()
