import os
from hashlib import sha256
from pathlib import Path

import pytest

from nstd.errors import ConfigError
from nstd.job import FrozenStyle
from nstd.preset import Preset
from nstd.spool.styles import StyleStore, remove_unreferenced


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "styles"
    folder.mkdir()
    return folder


def preset(*images: Path) -> Preset:
    return Preset.model_validate({"styles": [{"image": image, "weight": 2} for image in images]})


def stored(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def digest(data: bytes) -> str:
    return sha256(data).hexdigest()


def test_style_images_are_kept_by_content_once(tmp_path: Path, folder: Path):
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(b"strokes")
    frozen = StyleStore(folder).freeze("swirls", preset(tmp_path / "a.jpg", tmp_path / "b.jpg"))
    facts = {"bytes": 7, "sha256": digest(b"strokes"), "weight": 2}
    assert frozen == (FrozenStyle(name="a.jpg", **facts), FrozenStyle(name="b.jpg", **facts))
    assert stored(folder) == {digest(b"strokes"): b"strokes"}


def test_changed_style_image_is_frozen_anew_beside_the_old_one(tmp_path: Path, folder: Path):
    image, store = tmp_path / "a.jpg", StyleStore(folder)
    image.write_bytes(b"old")
    store.freeze("swirls", preset(image))
    image.write_bytes(b"newer")
    assert store.freeze("swirls", preset(image))[0].sha256 == digest(b"newer")
    assert stored(folder) == {digest(b"old"): b"old", digest(b"newer"): b"newer"}


def test_unchanged_style_image_is_not_read_again(tmp_path: Path, folder: Path):
    image, store = tmp_path / "a.jpg", StyleStore(folder)
    image.write_bytes(b"one")
    found = image.stat()
    store.freeze("swirls", preset(image))
    image.write_bytes(b"two")
    os.utime(image, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert store.freeze("swirls", preset(image))[0].sha256 == digest(b"one")


def test_lost_frozen_image_is_stored_again(tmp_path: Path, folder: Path):
    image, store = tmp_path / "a.jpg", StyleStore(folder)
    image.write_bytes(b"one")
    store.freeze("swirls", preset(image))
    (folder / digest(b"one")).unlink()
    store.freeze("swirls", preset(image))
    assert stored(folder) == {digest(b"one"): b"one"}


def _nothing(path: Path) -> None:
    assert not path.exists()


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (_nothing, "No such file or directory"),
        (os.mkdir, "not a regular file"),
        (os.mkfifo, "not a regular file"),
    ],
)
def test_unreadable_style_image_names_preset_and_file(tmp_path: Path, folder: Path, make, why: str):  # makes it there
    make(tmp_path / "a.jpg")
    with pytest.raises(ConfigError) as caught:
        StyleStore(folder).freeze("swirls", preset(tmp_path / "a.jpg"))
    assert str(caught.value) == f"presets.swirls.styles: {tmp_path}/a.jpg: cannot be read: {why}"
    assert stored(folder) == {}


def test_what_no_job_needs_is_removed(folder: Path):
    for name in ("needed", "old", ".half.tmp"):
        (folder / name).touch()
    (folder / "folder").mkdir()
    assert sorted(remove_unreferenced(folder, {"needed"})) == [".half.tmp", "old"]
    assert sorted(path.name for path in folder.iterdir()) == ["folder", "needed"]
