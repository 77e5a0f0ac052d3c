import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from nstd.config.schema import config_schema
from nstd.config.tree import read_document

ROOT = Path(__file__).parent.parent
PUBLISHED = ROOT / "docs" / "config.schema.json"
EXAMPLE = ROOT / "config.example.yaml"
VALIDATOR = Draft202012Validator(config_schema())


def example() -> dict[str, Any]:
    return read_document(EXAMPLE.read_bytes(), EXAMPLE).value


def with_preset(**settings: object) -> dict[str, object]:
    return {"presets": {"p": {"styles": ["a.png"], **settings}}}


def properties(schema: object) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(schema, dict):
        yield from schema.get("properties", {}).items()
        for part in schema.values():
            yield from properties(part)


def test_published_schema_is_the_one_of_the_code():
    assert json.loads(PUBLISHED.read_text()) == config_schema(), (
        f"run `nstd check --schema > {PUBLISHED.relative_to(ROOT)}`"
    )


def test_schema_is_a_schema():
    Draft202012Validator.check_schema(config_schema())
    assert config_schema()["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_every_setting_is_described():
    described = dict(properties(config_schema()))
    assert {"spool", "inbox", "max_attempts", "device", "styles", "image", "levels", "size_px"} <= described.keys()
    for name, setting in described.items():
        assert setting["description"].endswith("."), name


def test_descriptions_come_from_the_docstrings():
    preset = config_schema()["$defs"]["Preset"]
    assert preset["description"] == (
        "A named recipe: style images, the transfer's settings and the shape of the result."
    )
    assert preset["properties"]["size_px"]["description"] == "long side of the result, in pixels."
    assert preset["properties"]["tv_weight"]["description"] == "factor of the total variation loss; smooths."
    assert preset["properties"]["size_px"]["default"] == 512


def test_example_is_valid():
    VALIDATOR.validate(example())


@pytest.mark.parametrize(
    "config",
    [
        with_preset(),
        with_preset(styles=[{"image": "a.png", "weight": 2}, "b.png"]),
        with_preset(iterations=50),
        with_preset(iterations=[50, 20]),
        {**with_preset(), "spool": None, "worker": None, "engine": None, "limits": None, "default_presets": None},
    ],
)
def test_valid_configs_are_valid(config: dict[str, object]):
    VALIDATOR.validate(config)


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"presets": {}},
        {"presets": None},
        {"presets": {"my preset": {"styles": ["a.png"]}}},
        {**with_preset(), "spol": {}},
        {**with_preset(), "spool": {"inbx": "a"}},
        {**with_preset(), "engine": {"device": "gpu"}},
        with_preset(sizepx=100),
        with_preset(size_px=0),
        with_preset(size_px="512"),
        with_preset(styles=[]),
        with_preset(styles=[{"weight": 1}]),
        with_preset(init="contents"),
        with_preset(iterations=[]),
        with_preset(iterations=0),
        with_preset(style_weight=0),
        with_preset(levels=[2]),
        with_preset(style_layers={"block9_conv1": 1}),
    ],
)
def test_wrong_configs_are_not_valid(config: dict[str, object]):
    assert not VALIDATOR.is_valid(config)
