import re
import shutil
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from nstd.config.load import load_config
from nstd.config.settings import (
    Config,
    EngineSettings,
    Limits,
    MetricsSettings,
    RaySettings,
    SpoolSettings,
    WorkerSettings,
)
from nstd.preset import Preset

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "nstd" / "assets" / "config.example.yaml"
TEXT = EXAMPLE.read_text()
SETTINGS = yaml.safe_load(TEXT)
SECTIONS: dict[str, type[BaseModel]] = {
    "spool": SpoolSettings,
    "worker": WorkerSettings,
    "engine": EngineSettings,
    "ray": RaySettings,
    "metrics": MetricsSettings,
    "limits": Limits,
}
# One group a setting: the comment's last line, and the setting's name.
CLAIMS = re.findall(r"^ *# Default: (.+)\n *(\w+):", TEXT, re.MULTILINE)
MODELS = (*SECTIONS.values(), Preset, Config)


def test_example_in_the_root_is_the_one_that_is_installed():
    assert (ROOT / "config.example.yaml").is_symlink()
    assert (ROOT / "config.example.yaml").resolve() == EXAMPLE


def test_example_loads_beside_its_style_images(tmp_path: Path):
    shutil.copy(EXAMPLE, tmp_path / "config.yaml")
    (tmp_path / "styles").mkdir()
    for preset in SETTINGS["presets"].values():
        for style in preset["styles"]:
            (tmp_path / style).touch()
    config = load_config(tmp_path / "config.yaml", check_image=lambda _image, _limits: None)
    assert [*config.presets] == ["swirls", "woodcut", "glass", "dots", "embers"]
    assert config.default_presets == ("swirls",)


@pytest.mark.parametrize(("section", "model"), SECTIONS.items())
def test_every_setting_of_a_section_is_shown(section: str, model: type[BaseModel]):
    assert SETTINGS[section].keys() == model.model_fields.keys()


def test_every_section_is_shown():
    assert SETTINGS.keys() == Config.model_fields.keys()


def test_first_preset_shows_every_setting():
    first = next(iter(SETTINGS["presets"].values()))
    assert first.keys() == Preset.model_fields.keys()


def test_every_setting_has_a_comment():
    for name in (name for model in MODELS for name in model.model_fields):
        assert re.search(rf"#.*\n *{name}:", TEXT), name


def test_every_default_is_told():
    told = {name for _, name in CLAIMS}
    assert told == {
        name
        for model in MODELS
        for name, field in model.model_fields.items()
        if not field.is_required() and name not in SECTIONS
    }


@pytest.mark.parametrize(("default", "name"), CLAIMS)
def test_told_default_is_the_settings_own(default: str, name: str):
    own = [model.model_construct().model_dump(mode="json")[name] for model in MODELS if name in model.model_fields]
    assert yaml.safe_load(default) in own


@pytest.mark.parametrize(("section", "model"), SECTIONS.items())
def test_sections_are_shown_with_their_defaults(section: str, model: type[BaseModel]):
    assert SETTINGS[section] == model().model_dump(mode="json")
