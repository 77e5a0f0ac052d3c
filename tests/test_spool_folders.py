from pathlib import Path

import pytest

from nstd.config.settings import SpoolSettings
from nstd.errors import SpoolError
from nstd.spool.folders import Folders
from nstd.spool.inbox import scan


def folders_in(root: Path) -> Folders:
    names = ("inbox", "outbox", "originals", "failed", "state")
    return Folders.of(SpoolSettings.model_validate({name: root / name for name in names}))


def test_all_folders_are_created_and_creating_them_again_is_harmless(tmp_path: Path):
    folders = folders_in(tmp_path / "deep" / "spool")
    folders.create(["swirls"])
    folders.create(["swirls", "wave"])
    root = tmp_path / "deep" / "spool"
    assert {str(path.relative_to(root)) for path in root.rglob("*") if path.is_dir()} == {
        *(
            "inbox",
            "inbox/swirls",
            "inbox/wave",
            "outbox",
            "outbox/.previews",
            "outbox/.staging",
            "outbox/swirls",
            "outbox/wave",
        ),
        *("originals", "originals/.staging", "failed", "failed/.staging", "state", "state/styles", "state/queue"),
        *("state/queue/tmp", "state/queue/new", "state/queue/cur"),
    }


def test_preset_name_that_is_taken_is_left_alone(tmp_path: Path):
    folders = folders_in(tmp_path)
    folders.inbox.mkdir()
    (folders.inbox / "swirls").write_bytes(b"a file")
    (folders.inbox / "wave").symlink_to("/nowhere")
    folders.create(["swirls", "wave"])
    assert (folders.inbox / "swirls").read_bytes() == b"a file"
    assert (folders.inbox / "wave").is_symlink()


def test_file_in_a_root_s_place_is_trouble(tmp_path: Path):
    folders = folders_in(tmp_path)
    folders.outbox.write_bytes(b"a file")
    with pytest.raises(SpoolError, match=r"^cannot create the spool's folders: .*/outbox/.staging: Not a directory$"):
        folders.create([])


def test_roots_may_be_links(tmp_path: Path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "inbox").symlink_to("elsewhere")
    roots = {name: tmp_path / name for name in ("inbox", "outbox", "originals", "failed", "state")}
    folders = Folders.of(SpoolSettings(**roots))
    folders.create(["swirls"])
    (tmp_path / "elsewhere/swirls/cat.jpg").write_bytes(b"a photo")
    assert [drop.identity.path for drop in scan(folders, ["swirls"], ()).drops] == ["swirls/cat.jpg"]
