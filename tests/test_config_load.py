import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nstd.config.load import find_config, load_config, load_spool, make_preset
from nstd.config.settings import Config, Limits
from nstd.errors import ConfigError
from nstd.network import Network, layer_names
from nstd.preset import Preset, StyleImage
from nstd.transfer_settings import Init

KNOWN_OF_A_PRESET = (
    "known are: manner, strength, quality, levels, iterations, time_budget_seconds, tolerance, style_scale, palette, "
    "content_weight, style_weight, tv_weight, chroma_weight, nearest_weight, style_statistics, style_layers, "
    "nearest_layers, style_turns, round_steps, content_statistics, content_layers, pooling, padding, init, seed, "
    "optimizer, styles, size_px, format, jpeg_quality"
)

PYDANTICS_WORDS = re.compile("Input should|is not valid|valid (dictionary|tuple|string|integer)")
LAYERS = ", ".join(layer_names(Network.VGG19))
ADDRESS_RULE = "must be an address and a port from 1 to 65535, such as 127.0.0.1:9188 or [::1]:9188"
DEVICE_RULE = "must be auto, cpu, gpu:N with N from 0, or GPU-... or MIG-... as nvidia-smi -L prints them"
GPU = "GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77"
NAME_RULE = "must be letters, digits, '-' and '_', at most 64, the first a letter or digit"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with two files that pass for style images."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.png").touch()
    (tmp_path / "b.png").touch()
    return tmp_path


def accept_any(_image: Path, _limits: Limits) -> None:
    pass


def load(text: str | bytes) -> Config:
    file = Path("config.yaml")
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_config(file, check_image=accept_any)


def errors(text: str | bytes) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(text)
    return str(caught.value).splitlines()


def preset(setting: str) -> str:
    """Return a config whose third line holds one setting of its one preset; columns count from 5."""
    return f"presets:\n  p:\n    {setting}\n    styles: [a.png]\n"


def test_settings_arrive_with_absolute_paths(folder: Path):
    config = load("spool: {inbox: in, state: /var/state}\npresets: {p: {styles: [a.png, {image: b.png, weight: 2}]}}")
    assert config.spool.inbox == folder / "in"
    assert config.spool.outbox == folder / "outbox"
    assert config.spool.state == Path("/var/state")
    assert config.presets["p"].styles == (
        StyleImage(image=folder / "a.png"),
        StyleImage(image=folder / "b.png", weight=2),
    )


def test_paths_are_relative_to_the_config_file_not_to_the_working_directory(folder: Path):
    (folder / "etc").mkdir()
    (folder / "etc" / "s.png").touch()
    (folder / "etc" / "config.yaml").write_text("presets: {p: {styles: [s.png]}}")
    config = load_config(Path("etc/config.yaml"), check_image=accept_any)
    assert config.spool.inbox == folder / "etc" / "inbox"
    assert config.presets["p"].styles[0].image == folder / "etc" / "s.png"


def test_tilde_is_the_home_folder(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(folder / "home"))
    config = load("spool: {inbox: ~/photos}\npresets: {p: {styles: [a.png]}}")
    assert config.spool.inbox == folder / "home" / "photos"


def test_settings_left_out_have_their_defaults(folder: Path):
    config = load("presets: {p: {styles: [a.png]}}")
    assert config.presets["p"] == Preset(styles=(StyleImage(image=folder / "a.png"),))


def test_sections_whose_settings_are_all_commented_out_have_their_defaults():
    config = load("spool:\nworker: # nothing\ndefault_presets:\npresets: {p: {styles: [a.png]}}")
    assert config.worker.max_attempts == 3
    assert config.default_presets == ()


def test_enums_and_lists_arrive_as_types_of_the_records():
    config = load(preset("init: noise\n    levels: [0.25, 0.5, 1]\n    iterations: [3, 2, 1]"))
    assert config.presets["p"].init is Init.NOISE
    assert config.presets["p"].schedule(512) == ((0.25, 3), (0.5, 2), (1, 1))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        # Numbers.
        ("size_px: 0", "3:14: presets.p.size_px: must be >= 32 (got 0)"),
        ("size_px: 20000", "3:14: presets.p.size_px: must be <= 16384 (got 20000)"),
        ("style_weight: -3", "3:19: presets.p.style_weight: must be > 0 (got -3)"),
        ("seed: 2147483648", "3:11: presets.p.seed: must be < 2147483648 (got 2147483648)"),
        ("levels: [0.5, 1.5]", "3:19: presets.p.levels[1]: must be <= 1 (got 1.5)"),
        ("tv_weight: .inf", "3:16: presets.p.tv_weight: must be a finite number (got .inf)"),
        ("tv_weight: .nan", "3:16: presets.p.tv_weight: must be a finite number (got .nan)"),
        ("tv_weight: 1e999", "3:16: presets.p.tv_weight: must be a finite number (got 1e999)"),
        ("tv_weight: 0.1.2", "3:16: presets.p.tv_weight: must be a number (got '0.1.2')"),
        ("size_px: abc", "3:14: presets.p.size_px: must be a whole number (got 'abc')"),
        ("size_px: '512'", "3:14: presets.p.size_px: must be a whole number (got '512')"),
        ("size_px: 512.5", "3:14: presets.p.size_px: must be a whole number (got 512.5)"),
        ("size_px: 5e2", "3:14: presets.p.size_px: must be a whole number (got 5e2); write 500"),
        ("size_px:", "3:13: presets.p.size_px: must be a whole number (got nothing)"),
        ("size_px: ~", "3:14: presets.p.size_px: must be a whole number (got ~)"),
        ("size_px: {a: 1}", "3:14: presets.p.size_px: must be a whole number (got a mapping)"),
        # What YAML 1.1 would make of them.
        ("size_px: 22:30", "3:14: presets.p.size_px: must be a whole number (got 22:30, which YAML reads as 1350)"),
        ("tv_weight: 1:30.5", "3:16: presets.p.tv_weight: must be a number (got 1:30.5, which YAML reads as 90.5)"),
        ("size_px: 0100", "3:14: presets.p.size_px: must be a whole number (got 0100, which YAML reads as 64)"),
        ("tv_weight: no", "3:16: presets.p.tv_weight: must be a number (got no, which YAML reads as false)"),
        ("seed: true", "3:11: presets.p.seed: must be a whole number (got true)"),
        ("tv_weight: 2026-11-23", "3:16: presets.p.tv_weight: must be a number (got '2026-11-23')"),
        # Choices.
        ("style_turns: 2", "3:18: presets.p.style_turns: must be 0 or 4 (got 2)"),
        ("style_turns: true", "3:18: presets.p.style_turns: must be 0 or 4 (got true)"),
        ("round_steps: 1", "3:18: presets.p.round_steps: must be >= 2 (got 1)"),
        (
            "init: contents",
            "3:11: presets.p.init: must be one of: content, style, noise (got 'contents'); did you mean 'content'?",
        ),
        ("init: gray", "3:11: presets.p.init: must be one of: content, style, noise (got 'gray')"),
        ("init: 5", "3:11: presets.p.init: must be one of: content, style, noise (got 5)"),
        (
            "init: off",
            "3:11: presets.p.init: must be one of: content, style, noise (got off, which YAML reads as false)",
        ),
        # Lists and mappings.
        ("levels: 1", "3:13: presets.p.levels: must be a list (got 1)"),
        ("levels: []", "3:13: presets.p.levels: must not be empty (got [])"),
        ("levels: [1, 0.5]", "3:13: presets.p.levels: must ascend and end with 1 (got [1, 0.5])"),
        ("levels: [0.5, 0.7]", "3:13: presets.p.levels: must ascend and end with 1 (got [0.5, 0.7])"),
        (
            "levels: [.1, .2, .3, .4, .5, .6, .7, .8, 1]",
            "3:13: presets.p.levels: must have at most 8 entries (got a list)",
        ),
        (
            "levels: [0.5, 1]\n    iterations: [1, 2, 3]",
            "4:17: presets.p.iterations: must be one number or one for each of the 2 levels (got [1, 2, 3])",
        ),
        ("iterations: []", "3:17: presets.p.iterations: must not be empty (got [])"),
        (
            "iterations: [1, 2]",
            "3:17: presets.p.iterations: must be one number, as long as levels is auto (got [1, 2])",
        ),
        ("iterations: x", "3:17: presets.p.iterations: must be auto or a number or a list (got 'x')"),
        ("levels: atuo", "3:13: presets.p.levels: must be auto or a list (got 'atuo')"),
        ("levels:", "3:12: presets.p.levels: must be auto or a list (got nothing)"),
        ("strength: 1.5", "3:15: presets.p.strength: must be <= 1 (got 1.5)"),
        ("strength: much", "3:15: presets.p.strength: must be raw or a number from 0 to 1 (got 'much')"),
        ("tolerance: 1", "3:16: presets.p.tolerance: must be < 1 (got 1)"),
        ("time_budget_seconds: -1", "3:26: presets.p.time_budget_seconds: must be >= 0 (got -1)"),
        ("style_scale: 5", "3:18: presets.p.style_scale: must be <= 4 (got 5)"),
        (
            "quality: best",
            "3:14: presets.p.quality: must be one of: draft, standard, high (got 'best')",
        ),
        ("iterations: [1, 0]", "3:21: presets.p.iterations[1]: must be >= 1 (got 0)"),
        ("content_layers: [block4_conv2]", "3:21: presets.p.content_layers: must be a mapping (got ['block4_conv2'])"),
        ("content_layers: deep", "3:21: presets.p.content_layers: must be auto or a mapping (got 'deep')"),
        ("content_layers: {}", "3:21: presets.p.content_layers: must not be empty (got {})"),
        ("style_layers: {}", "3:19: presets.p.style_layers: must not be empty (got {})"),
        ("style_layers: {block1_conv1: 0}", "3:34: presets.p.style_layers.block1_conv1: must be > 0 (got 0)"),
        # Layers of the network.
        (
            "content_layers: {block4_conv22: 1}",
            "3:22: presets.p.content_layers.block4_conv22: is not a layer of vgg19; did you mean 'block4_conv2'?",
        ),
        (
            "nearest_layers: {block3_conv33: 1}",
            "3:22: presets.p.nearest_layers.block3_conv33: is not a layer of vgg19; did you mean 'block3_conv3'?",
        ),
        (
            "style_layers: {relu: 1}",
            f"3:20: presets.p.style_layers.relu: is not a layer of vgg19; known are: {LAYERS}",
        ),
        # Unknown settings.
        ("sizepx: 9", "3:5: presets.p.sizepx: is not a known setting; did you mean 'size_px'?"),
        ("colour: red", f"3:5: presets.p.colour: is not a known setting; {KNOWN_OF_A_PRESET}"),
        (
            "max_attempts: 2",
            "3:5: presets.p.max_attempts: is not a known setting here; did you mean 'worker.max_attempts'?",
        ),
        # Keys.
        ("seed: 1\n    seed: 2", "4:5: presets.p.seed: duplicate key 'seed' (first on line 3)"),
        ("seed: 1\n    'seed': 2", "4:5: presets.p.seed: duplicate key 'seed' (first on line 3)"),
        ("[a, b]: 2", "3:5: presets.p: a name must be text, not a list or a mapping"),
        # Tags and merges.
        ("seed: !secret 5", "3:11: presets.p.seed: the tag '!secret' is not supported"),
        ("format: !!binary cG5n", "3:13: presets.p.format: the tag 'tag:yaml.org,2002:binary' is not supported"),
        ("<<: 5", "3:9: presets.p.<<: must be a mapping or a list of them (got 5)"),
        ("<<: [{seed: 1}, 5]", "3:9: presets.p.<<: must be a mapping or a list of them (got a list)"),
    ],
)
def test_wrong_setting_of_a_preset_is_told_with_its_place(setting: str, message: str):
    assert f"config.yaml:{message}" in errors(preset(setting))


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("spool: {}", ["1:1: presets: is required"]),
        ("presets:", ["1:9: presets: is required"]),
        ("presets: {}", ["1:10: presets: must not be empty (got {})"]),
        ("presets: [p]", ["1:10: presets: must be a mapping (got ['p'])"]),
        ("presets: {p: }", ["1:14: presets.p: must be a mapping of settings (got nothing)"]),
        ("presets: {p: {seed: 1}}", ["1:11: presets.p.styles: is required"]),
        ("presets: {p: {styles: []}}", ["1:23: presets.p.styles: must not be empty (got [])"]),
        ("presets: {p: {styles: a.png}}", ["1:23: presets.p.styles: must be a list (got 'a.png')"]),
        (
            "presets: {p: {styles: [true]}}",
            [
                "1:24: presets.p.styles[0]: must be an image's path, or a mapping with 'image' and 'weight' (got true)",
            ],
        ),
        ("presets: {p: {styles: [{weight: 1}]}}", ["1:24: presets.p.styles[0].image: is required"]),
        (
            "presets: {p: {styles: [{image: a.png, wight: 1}]}}",
            ["1:39: presets.p.styles[0].wight: is not a known setting; did you mean 'weight'?"],
        ),
        (
            "presets: {p: {styles: [{image: 5}]}}",
            ["1:32: presets.p.styles[0].image: must be a path (got 5); put quotes around it"],
        ),
        (
            "preset: {p: {styles: [a.png]}}",
            [
                "1:1: preset: is not a known setting; did you mean 'presets'?",
                "1:1: presets: is required",
            ],
        ),
        (
            "size_px: 100\npresets: {p: {styles: [a.png]}}",
            ["1:1: size_px: is not a known setting here; did you mean 'presets.NAME.size_px'?"],
        ),
        (
            "worker: [1]\npresets: {p: {styles: [a.png]}}",
            ["1:9: worker: must be a mapping of settings (got [1])"],
        ),
        (
            "spool: {keep_originals: 'yes'}\npresets: {p: {styles: [a.png]}}",
            ["1:25: spool.keep_originals: must be true or false (got 'yes')"],
        ),
        (
            "spool: {keep_originals: 1}\npresets: {p: {styles: [a.png]}}",
            ["1:25: spool.keep_originals: must be true or false (got 1)"],
        ),
        (
            "engine: {device: gpu}\npresets: {p: {styles: [a.png]}}",
            [f"1:18: engine.device: {DEVICE_RULE} (got 'gpu')"],
        ),
        (
            "engine: {devices: [gpu:0, gpu:0]}\npresets: {p: {styles: [a.png]}}",
            ["1:27: engine.devices[1]: is listed twice (got 'gpu:0')"],
        ),
        (
            "engine: {devices: [auto]}\npresets: {p: {styles: [a.png]}}",
            ["1:20: engine.devices[0]: must be cpu or a GPU: one of several cannot be found by itself (got 'auto')"],
        ),
        (
            "engine: {devices: gpu:0}\npresets: {p: {styles: [a.png]}}",
            ["1:19: engine.devices: must be a list (got 'gpu:0')"],
        ),
        (
            "engine: {devices: [gpu]}\npresets: {p: {styles: [a.png]}}",
            [f"1:20: engine.devices[0]: {DEVICE_RULE} (got 'gpu')"],
        ),
        (
            "engine: {device: MIG-1}\npresets: {p: {styles: [a.png]}}",
            [f"1:18: engine.device: {DEVICE_RULE} (got 'MIG-1')"],
        ),
        (
            f"engine: {{device: {GPU[:-1]}}}\npresets: {{p: {{styles: [a.png]}}}}",
            [f"1:18: engine.device: {DEVICE_RULE} (got '{GPU[:-1]}')"],
        ),
        (
            f"engine: {{workers: ray, device: {GPU}}}\npresets: {{p: {{styles: [a.png]}}}}",
            ["1:32: engine.device: must be auto or cpu: Ray gives each worker its GPU"],
        ),
        (
            "engine: {device: cpu, devices: [gpu:1]}\npresets: {p: {styles: [a.png]}}",
            ["1:18: engine.device: must be auto, or left out, where devices are listed"],
        ),
        (
            "engine: {workers: rya}\npresets: {p: {styles: [a.png]}}",
            ["1:19: engine.workers: must be one of: local, ray (got 'rya'); did you mean 'ray'?"],
        ),
        (
            "engine: {workers: ray, device: gpu:1}\npresets: {p: {styles: [a.png]}}",
            ["1:32: engine.device: must be auto or cpu: Ray gives each worker its GPU"],
        ),
        (
            "engine: {workers: ray, devices: [gpu:1]}\npresets: {p: {styles: [a.png]}}",
            ["1:33: engine.devices: must be empty: ray.workers says how many there are"],
        ),
        (
            "ray: {workers: 0}\npresets: {p: {styles: [a.png]}}",
            ["1:16: ray.workers: must be >= 1 (got 0)"],
        ),
        (
            "ray: {workers: many}\npresets: {p: {styles: [a.png]}}",
            ["1:16: ray.workers: must be auto or a whole number (got 'many')"],
        ),
        (
            "ray: {address: nohost}\npresets: {p: {styles: [a.png]}}",
            ["1:16: ray.address: must be auto, host:6379 or ray://host:10001 (got 'nohost')"],
        ),
        (
            "ray: {min_workers: -1}\npresets: {p: {styles: [a.png]}}",
            ["1:20: ray.min_workers: must be >= 0 (got -1)"],
        ),
        (
            "ray: {idle_minutes: 0}\npresets: {p: {styles: [a.png]}}",
            ["1:21: ray.idle_minutes: must be > 0 (got 0)"],
        ),
        (
            "ray: {memory_gib: -1}\npresets: {p: {styles: [a.png]}}",
            ["1:19: ray.memory_gib: must be >= 0 (got -1)"],
        ),
        (
            "ray: {accelerator_type: an A100}\npresets: {p: {styles: [a.png]}}",
            ["1:25: ray.accelerator_type: must be a type of accelerator as Ray names it, such as A100 (got 'an A100')"],
        ),
        (
            "ray: {insecure: 1}\npresets: {p: {styles: [a.png]}}",
            ["1:17: ray.insecure: must be true or false (got 1)"],
        ),
        (
            "ray: {workrs: 2}\npresets: {p: {styles: [a.png]}}",
            ["1:7: ray.workrs: is not a known setting; did you mean 'workers'?"],
        ),
        (
            "metrics: {textfile: nstd.txt}\npresets: {p: {styles: [a.png]}}",
            ["1:21: metrics.textfile: must end with .prom: node_exporter reads no other file (got 'nstd.txt')"],
        ),
        (
            "metrics: {textfile: 5}\npresets: {p: {styles: [a.png]}}",
            ["1:21: metrics.textfile: must be a path (got 5); put quotes around it"],
        ),
        (
            "metrics: {listen: 9188}\npresets: {p: {styles: [a.png]}}",
            ["1:19: metrics.listen: must be text (got 9188); put quotes around it"],
        ),
        (
            "metrics: {listen: 127.0.0.1}\npresets: {p: {styles: [a.png]}}",
            [f"1:19: metrics.listen: {ADDRESS_RULE} (got '127.0.0.1')"],
        ),
        (
            "metrics: {listen: '127.0.0..1:9188'}\npresets: {p: {styles: [a.png]}}",
            [f"1:19: metrics.listen: {ADDRESS_RULE} (got '127.0.0..1:9188')"],
        ),
        (
            "metrics: {listen: 'localhost:0'}\npresets: {p: {styles: [a.png]}}",
            [f"1:19: metrics.listen: {ADDRESS_RULE} (got 'localhost:0')"],
        ),
        (
            "metrics: {listen: 'localhost:65536'}\npresets: {p: {styles: [a.png]}}",
            [f"1:19: metrics.listen: {ADDRESS_RULE} (got 'localhost:65536')"],
        ),
        (
            "metrics: {listen: '::1:9188'}\npresets: {p: {styles: [a.png]}}",
            [f"1:19: metrics.listen: {ADDRESS_RULE} (got '::1:9188')"],
        ),
        (
            "metrics: {listen: 'a b:80'}\npresets: {p: {styles: [a.png]}}",
            [f"1:19: metrics.listen: {ADDRESS_RULE} (got 'a b:80')"],
        ),
        (
            "engine: {network: vgg16}\npresets: {p: {styles: [a.png], style_layers: {block5_conv4: 1}}}",
            [
                "2:47: presets.p.style_layers.block5_conv4: is not a layer of vgg16; did you mean 'block5_conv3'?",
            ],
        ),
        (
            "engine: {network: vgg}\npresets: {p: {styles: [a.png], style_layers: {block5_conv4: 1}}}",
            ["1:19: engine.network: must be one of: vgg19, vgg16 (got 'vgg'); did you mean 'vgg19'?"],
        ),
        (
            "default_presets: p\npresets: {p: {styles: [a.png]}}",
            ["1:18: default_presets: must be a list (got 'p')"],
        ),
        (
            "default_presets: [swirl]\npresets: {swirls: {styles: [a.png]}}",
            ["1:19: default_presets[0]: is not a preset (got 'swirl'); did you mean 'swirls'?"],
        ),
        (
            "default_presets: [x]\npresets: {p: {styles: [a.png]}, q: {styles: [a.png]}}",
            ["1:19: default_presets[0]: is not a preset (got 'x'); known are: p, q"],
        ),
        (
            "default_presets: [p, p]\npresets: {p: {styles: [a.png]}}",
            ["1:22: default_presets[1]: is listed twice (got 'p')"],
        ),
        (
            "default_presets: [no]\npresets: {'no': {styles: [a.png]}}",
            ["1:19: default_presets[0]: must be text (got no, which YAML reads as false); put quotes around it"],
        ),
        (
            "presets: {no: {styles: [a.png]}}",
            [
                "1:11: presets.no: a name must be text; put quotes around it (got no, which YAML reads as false)",
            ],
        ),
        (
            "presets: {007: {styles: [a.png]}}",
            [
                "1:11: presets.007: a name must be text; put quotes around it (got 007, which YAML reads as 7)",
            ],
        ),
        (
            "presets: {my preset: {styles: [a.png]}}",
            [
                f'1:11: presets."my preset": {NAME_RULE}',
            ],
        ),
        (
            f"presets: {{{'p' * 65}: {{styles: [a.png]}}}}",
            [
                f"1:11: presets.{'p' * 65}: {NAME_RULE}",
            ],
        ),
        (
            "presets: {Sea: {styles: [a.png]}, sea: {styles: [a.png]}}",
            ["1:35: presets.sea: differs from 'Sea' only in case"],
        ),
        ("", ["1:1: is empty; `nstd init` writes an example"]),
        ("# only this\n", ["1:1: is empty; `nstd init` writes an example"]),
        ("- presets", ["1:1: must hold settings such as 'presets:' (got ['presets'])"]),
        ("presets", ["1:1: must hold settings such as 'presets:' (got 'presets')"]),
    ],
)
def test_wrong_config_is_told_with_its_place(text: str, messages: list[str]):
    assert errors(text) == [f"config.yaml:{message}" for message in messages]


def test_all_errors_are_told_at_once_in_the_order_of_the_file():
    text = """\
presets:
  a: {styles: [a.png], size_px: 0, style_layers: {block9: 1}}
  A: {styles: [nowhere.png], levels: [1, 1], seed: 1, seed: 2}
spool: {inbox: box, outbox: box}
default_presets: [b]
worker: {attempts: 1}
"""
    places = [line.split(": ")[:2] for line in errors(text)]
    assert places == [
        ["config.yaml:2:33", "presets.a.size_px"],
        ["config.yaml:2:51", "presets.a.style_layers.block9"],
        ["config.yaml:3:3", "presets.A"],
        ["config.yaml:3:16", "presets.A.styles[0]"],
        ["config.yaml:3:38", "presets.A.levels"],
        ["config.yaml:3:55", "presets.A.seed"],
        ["config.yaml:4:29", "spool.outbox"],
        ["config.yaml:5:19", "default_presets[0]"],
        ["config.yaml:6:10", "worker.attempts"],
    ]


def test_iterations_are_not_compared_with_levels_that_are_wrong():
    assert len(errors(preset("levels: [2]\n    iterations: [1, 2, 3]"))) == 1


def test_long_values_do_not_drown_their_message():
    assert errors(preset(f"size_px: {'x' * 5000}")) == [
        f"config.yaml:3:14: presets.p.size_px: must be a whole number (got '{'x' * 59}…')",
    ]


def test_messages_stay_on_one_line_whatever_the_names_hold():
    (line,) = errors('"a\\nb": 1\npresets: {p: {styles: [a.png]}}')
    assert line.startswith('config.yaml:1:1: "a\\nb": is not a known setting; known are: spool, ')


@pytest.mark.parametrize(("written", "value"), [("1e5", 1e5), ("1.5e-3", 0.0015), ("5", 5), ("1_000", 1000)])
def test_numbers_are_read_as_people_mean_them(written: str, value: float):
    assert load(preset(f"content_weight: {written}")).presets["p"].content_weight == value


@pytest.mark.parametrize("written", ["22:30", "010", "2026-11-23", "1e5x", "'1e5'"])
def test_text_that_looks_like_something_else_is_a_name_as_written(written: str, folder: Path):
    assert load(f"spool: {{inbox: {written}}}\npresets: {{p: {{styles: [a.png]}}}}").spool.inbox == (
        folder / written.strip("'")
    )


def test_quoted_exponent_is_no_number():
    assert errors(preset("tv_weight: '1e5'")) == [
        "config.yaml:3:16: presets.p.tv_weight: must be a number (got '1e5')",
    ]


@pytest.mark.parametrize("written", ["yes", "on", "true", "True"])
def test_switches_take_every_spelling_of_yaml(written: str):
    assert load(f"spool: {{keep_originals: {written}}}\npresets: {{p: {{styles: [a.png]}}}}").spool.keep_originals


def test_preset_can_be_made_of_arguments():
    made = make_preset([Path("a.png")], {"size_px": 100, "levels": (0.5, 1), "init": "noise"})
    assert made == Preset(styles=(StyleImage(image=Path("a.png")),), size_px=100, levels=(0.5, 1), init=Init.NOISE)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size_px": 0}, "size_px: must be >= 32 (got 0)"),
        ({"sizepx": 1}, "sizepx: is not a known setting; did you mean 'size_px'?"),
        ({"levels": (1, 0.5)}, "levels: must ascend and end with 1 (got (1, 0.5))"),
        ({"levels": (0.5, "x")}, "levels[1]: must be a number (got 'x')"),
        ({"style_layers": {"block9_conv1": 1}}, "style_layers.block9_conv1: is not a layer of vgg19; did you mean"),
        ({"init": "Noise"}, "init: must be one of: content, style, noise (got 'Noise'); did you mean 'noise'?"),
        ({"size_px": None, "seed": -1}, "seed: must be >= 0 (got -1)\nsize_px: must be a whole number (got None)"),
    ],
)
def test_wrong_argument_of_a_preset_is_told(arguments: dict[str, object], message: str):
    with pytest.raises(ConfigError) as caught:
        make_preset([Path("a.png")], arguments)
    assert str(caught.value).startswith(message)


def test_preset_made_without_styles_is_told():
    with pytest.raises(ConfigError, match=r"^styles: must not be empty \(got \[\]\)$"):
        make_preset([], {})


def test_missing_file_is_told():
    with pytest.raises(ConfigError, match=r"^nowhere\.yaml: cannot be read: No such file or directory$"):
        load_config(Path("nowhere.yaml"), check_image=accept_any)


def test_folder_instead_of_a_file_is_told():
    Path("folder.yaml").mkdir()
    with pytest.raises(ConfigError, match=r"^folder\.yaml: cannot be read: Is a directory$"):
        load_config(Path("folder.yaml"), check_image=accept_any)


def test_named_config_is_used_even_if_it_does_not_exist():
    Path("config.yaml").touch()
    assert find_config(Path("other.yaml")) == Path("other.yaml")


def test_config_of_the_working_directory_comes_first():
    Path("config.yaml").touch()
    assert find_config(None) == Path("config.yaml")


def test_config_of_the_system_comes_second(folder: Path):
    (folder / "etc.yaml").touch()
    assert find_config(None, (Path("config.yaml"), folder / "etc.yaml")) == folder / "etc.yaml"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may look into every folder")
def test_config_that_may_not_be_looked_at_is_not_passed_over(folder: Path):
    (folder / "closed").mkdir(mode=0)
    assert find_config(None, (folder / "closed" / "config.yaml", folder / "a.png")).parent == folder / "closed"


def test_without_any_config_the_places_and_the_remedy_are_named():
    if Path("/etc/nstd/config.yaml").exists():
        pytest.skip("this machine has a config of its own")
    with pytest.raises(ConfigError) as caught:
        find_config(None)
    assert str(caught.value) == (
        "no config file: neither config.yaml nor /etc/nstd/config.yaml exists; `nstd init` writes one"
    )


WORDS = st.sampled_from(
    [
        *("presets", "spool", "inbox", "outbox", "styles", "image", "weight", "levels", "iterations", "size_px"),
        *("style_layers", "block1_conv1", "default_presets", "engine", "network", "vgg19", "device", "init", "seed"),
        *("a.png", "p", "1", "0.5", "-3", "010", "22:30", "1e5", ".nan", "no", "~", "~x", "''", '"\\0"', "<<"),
        *("&a ", "*a", "!!int ", "!x ", "!!bool ", "!!float ", "? ", "- ", ": ", ":\n  ", ",", "\n", "\n  ", "\n    "),
        *("[", "]", "{", "}", "#", "'", '"', "|\n", ">", "\t", "@", "%", "---\n", '"\\ud800"', '"\\x"', "\x85", "é"),
    ]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | WORDS
TREES = st.recursive(
    SCALARS, lambda child: st.lists(child, max_size=3) | st.dictionaries(WORDS, child, max_size=4), max_leaves=20
)


@pytest.mark.parametrize(
    "texts",
    [
        pytest.param(st.text(), id="any text"),
        pytest.param(st.binary(), id="any bytes"),
        pytest.param(st.lists(WORDS, max_size=25).map("".join), id="YAML's words"),
        pytest.param(st.fixed_dictionaries({"presets": st.dictionaries(WORDS, TREES)}).map(str), id="presets"),
        pytest.param(st.dictionaries(WORDS, TREES).map(str), id="mappings"),
    ],
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_the_file_holds_there_is_a_config_or_errors_with_places(
    data: st.DataObject, texts: st.SearchStrategy[str | bytes]
):
    text = data.draw(texts)
    try:
        assert load(text if isinstance(text, bytes) else text.encode(errors="replace"))
    except ConfigError as error:
        for line in str(error).split("\n"):
            file, row, column, message = line.split(":", 3)
            assert (file, int(row) > 0, int(column) > 0) == ("config.yaml", True, True)
            assert message.strip()
            # What the file itself says may be quoted.
            assert not PYDANTICS_WORDS.search(message) or PYDANTICS_WORDS.search(str(text))


def test_spool_is_found_whatever_is_wrong_with_the_other_settings(tmp_path: Path):
    config = tmp_path / "config.yaml"
    config.write_text("spool: {outbox: out}\ndefault_presets: [p]\npresets: {p: {sizepx: 9}, q: 1}\nengine: 2")
    found = load_spool(config)
    assert (found.spool.outbox, found.spool.inbox) == (tmp_path / "out", tmp_path / "inbox")
    assert (set(found.presets), found.default_presets) == ({"p", "q"}, ("p",))


def test_spool_that_is_wrong_itself_is_not_found(tmp_path: Path):
    config = tmp_path / "config.yaml"
    config.write_text("spool: {out: out}\npresets: {p: 1}")
    with pytest.raises(ConfigError, match=r"^.*config.yaml:1:9: spool.out: is not a known setting"):
        load_spool(config)


def test_cluster_without_ray_names_the_extra(tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text("engine: {workers: ray}\npresets: {p: {styles: [a.png]}}\n")
    style = Path(__file__).parent.parent / "nstd" / "assets" / "styles" / "dots.jpg"
    shutil.copy(style, tmp_path / "a.png")
    without = "import sys; sys.modules['ray'] = None; from nstd.cli import main; main()"
    command = (sys.executable, "-c", without, "check", "-c", str(config))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr == f"{config}:1:19: engine.workers: needs Ray, which comes with pip install 'nstd[cluster]'\n"


@pytest.mark.parametrize("device", ["auto", "cpu", "gpu:0", GPU, f"MIG-{GPU[4:]}", f"MIG-{GPU}/7/0"])
def test_gpus_are_named_by_number_or_as_nvidia_smi_names_them(folder, device):
    (folder / "config.yaml").write_text(f"engine: {{device: '{device}'}}\npresets: {{p: {{styles: [a.png]}}}}")
    engine = load_config(folder / "config.yaml", check_image=accept_any).engine
    assert (engine.device, engine.wants_gpu) == (device, device not in {"auto", "cpu"})
