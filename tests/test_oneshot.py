from pathlib import Path

import pytest
from PIL import Image

import nstd
from nstd.errors import ConfigError, InputError
from nstd.job import Painting
from nstd.worker.oneshot import _painter

ASSETS = Path(__file__).parent.parent / "nstd" / "assets"
PHOTO, STYLE = ASSETS / "photos/chelsea.jpg", ASSETS / "styles/embers.jpg"


@pytest.mark.usefixtures("cache")
def test_notebook_gets_a_picture_with_its_log(capfd):
    picture = nstd.stylize(PHOTO, [STYLE, str(STYLE)], size_px=64, levels=[1], iterations=2)
    assert isinstance(picture, Image.Image)
    assert picture.size == (64, 43)
    log = Painting.model_validate(picture.info["nstd"])
    assert (log.content.name, [style.name for style in log.styles]) == ("chelsea.jpg", ["embers.jpg"] * 2)
    assert [losses.step for losses in log.levels[0].history] == [0, 1, 2]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size_px": 0}, r"^size_px: must be >= 32 \(got 0\)$"),
        ({"sizepx": 64}, "^sizepx: is not a known setting; did you mean 'size_px'"),
    ],
)
def test_wrong_setting_is_named(settings, message):
    with pytest.raises(ConfigError, match=message):
        nstd.stylize(PHOTO, [STYLE], **settings)


@pytest.mark.usefixtures("cache")
def test_what_is_no_picture_is_named(tmp_path):
    (tmp_path / "notes.jpg").write_text("no picture")
    with pytest.raises(InputError, match=r"^notes\.jpg: is not an image that nstd can read"):
        nstd.stylize(tmp_path / "notes.jpg", [STYLE])


@pytest.mark.usefixtures("cache")
def test_second_picture_loads_no_network():
    _painter.cache_clear()
    first, second = (nstd.stylize(PHOTO, [STYLE], size_px=64, levels=[1], iterations=1) for _ in range(2))
    assert first.tobytes() == second.tobytes()
    assert first.info["nstd"]["styles"] == second.info["nstd"]["styles"]
    assert (_painter.cache_info().misses, _painter.cache_info().hits) == (1, 1)
