import importlib
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image, ImageStat

ROOT = Path(__file__).resolve().parent.parent
STYLES = ROOT / "nstd" / "assets" / "styles"


@pytest.fixture
def painter(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "examples")
    return importlib.import_module("paint_styles")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.jpg")}


def test_painting_twice_gives_the_same_bytes(painter: ModuleType, tmp_path: Path):
    for name in ("first", "second"):
        painter.paint_all(tmp_path / name, size_px=64)
    first = contents(tmp_path / "first")
    assert first
    assert first == contents(tmp_path / "second")


def test_the_painter_paints_exactly_the_committed_styles(painter: ModuleType, tmp_path: Path):
    painter.main([str(tmp_path), "--size", "64"])
    assert contents(tmp_path).keys() == contents(STYLES).keys()
    for path in tmp_path.iterdir():
        with Image.open(path) as picture:
            assert picture.size == (64, 64)


def test_committed_styles_are_painted_by_default(painter: ModuleType):
    assert painter.ASSETS == STYLES


@pytest.mark.parametrize("path", sorted(STYLES.glob("*.jpg")), ids=lambda path: path.stem)
def test_a_committed_style_is_large_light_and_full_of_contrast(path: Path):
    assert path.stat().st_size < 450 * 1024
    with Image.open(path) as picture:
        assert picture.size == (768, 768)
        grey = picture.convert("L")
    for left in range(0, 768, 96):
        for top in range(0, 768, 96):
            patch = ImageStat.Stat(grey.crop((left, top, left + 96, top + 96)))
            assert patch.stddev[0] > 8, f"flat at {left}, {top}"
            assert patch.mean[0] > 25, f"dark at {left}, {top}"


def test_a_size_too_small_to_paint_is_refused(painter: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        painter.main([str(tmp_path), "--size", "31"])
    assert "argument --size: must be >= 32 (got 31)" in capsys.readouterr().err
