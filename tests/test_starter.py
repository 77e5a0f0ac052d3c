from pathlib import Path

import pytest

from nstd.config.load import load_config
from nstd.errors import ConfigError
from nstd.images.decode import decode_image
from nstd.starter import create_demo, create_project


@pytest.mark.parametrize("example", ["config.example.yaml", "demo.yaml"])
def test_shipped_configs_are_good(tmp_path, example):
    config = load_config(create_project(tmp_path, example), check_image=decode_image)
    assert len(config.presets) >= 3
    assert config.spool.inbox == tmp_path / "inbox"


def test_demo_drops_its_photo_for_three_presets_each_time(tmp_path):
    for _ in range(2):
        config = load_config(create_demo(tmp_path / "demo"), check_image=decode_image)
        assert len(config.default_presets) == 3
        photo = tmp_path / "demo/inbox/coffee.jpg"
        assert photo.read_bytes()[:3] == b"\xff\xd8\xff"
        photo.unlink()


@pytest.mark.parametrize("create", [create_project, create_demo])
def test_folder_that_cannot_be_made_is_named(tmp_path, create):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"file/art?: cannot be written: Not a directory$|file: cannot be written"):
        create(tmp_path / "file" / "art")


def test_own_style_images_are_kept(tmp_path):
    (tmp_path / "styles").mkdir()
    (tmp_path / "styles/dots.jpg").write_bytes(b"mine")
    create_project(tmp_path)
    assert (tmp_path / "styles/dots.jpg").read_bytes() == b"mine"
    assert (tmp_path / "styles/swirls.jpg").stat().st_size > 100_000


def test_every_shipped_picture_is_credited():
    assets = Path(__file__).parent.parent / "nstd" / "assets"
    for folder in ("photos", "styles"):
        credits_ = (assets / folder / "CREDITS.md").read_text()
        for picture in (assets / folder).glob("*.jpg"):
            assert picture.name in credits_ or folder == "styles"
    assert "examples/paint_styles.py" in (assets / "styles/CREDITS.md").read_text()
