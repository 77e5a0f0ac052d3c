"""A new term of the loss, added as a stranger would: a file, an entry of its enum, a line of the example."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nstd.engine.terms import terms_of
from nstd.transfer_settings import StyleStatistics, TransferSettings
from nstd.worker.environment import tensorflow_environment

ROOT = Path(__file__).parent.parent
TERM = '''
from dataclasses import dataclass
from typing import ClassVar

import tensorflow as tf

from nstd.engine.terms.layerwise import LayerwiseStyle
from nstd.engine.terms.sums import Sums, first_moment


@dataclass(frozen=True)
class Mean(LayerwiseStyle):
    """Compare how active each channel is on average."""

    name: ClassVar[str] = "mean"
    photo_share: ClassVar[float] = 0.2

    def measure(self, features, guide):
        return Sums(tf.reduce_sum(guide), first_moment(features, guide))

    def target(self, mean):
        return tf.identity(mean)

    def target_spec(self, channels):
        return tf.TensorSpec([channels])

    def distance(self, mean, target):
        return tf.reduce_mean(tf.square(mean - target))


def term(settings):
    return Mean(tuple(sorted(settings.style_layers)))
'''


@pytest.fixture
def package(tmp_path) -> Path:
    """Return a folder with nstd and the new term in it."""
    shutil.copytree(ROOT / "nstd", tmp_path / "nstd", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "nstd" / "engine" / "terms" / "mean.py").write_text(TERM)
    add_line(tmp_path / "nstd" / "transfer_settings.py", '    WASSERSTEIN = "wasserstein"\n', '    MEAN = "mean"\n')
    example = tmp_path / "nstd" / "assets" / "config.example.yaml"
    add_line(example, "    style_statistics: gram\n", "    style_statistics: mean\n", replace=True)
    return tmp_path


def add_line(path: Path, after: str, line: str, *, replace: bool = False) -> None:
    text = path.read_text()
    assert text.count(after) == 1
    path.write_text(text.replace(after, line if replace else after + line))


def test_a_new_term_paints_is_logged_and_resumed(package, cache):
    environment = os.environ | tensorflow_environment(os.environ, cache) | {"PYTHONPATH": str(package)}
    command = [sys.executable, Path(__file__).with_name("painting_a_new_term.py"), cache, package / "config"]
    done = subprocess.run(command, cwd=package, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["package"] == str(package / "nstd" / "__init__.py")
    assert told["events"] == ["resumed at 6", "done"]
    history = told["log"]["levels"][0]["history"]
    assert len(history) == 11
    assert list(history[0]["terms"]) == [
        "self_similarity.block3_conv3",
        "self_similarity.block4_conv2",
        "content.block4_conv2",
        *(f"mean.block{block}_conv1" for block in range(1, 6)),
        *(f"nearest.{layer}" for layer in TransferSettings().nearest_layers),
        "chroma",
    ]
    assert history[-1]["total"] < history[0]["total"] / 2
    assert told["whole"] == told["log"]["output"]["sha256"], "it is the picture that was never interrupted"


@pytest.mark.parametrize("statistics", StyleStatistics)
def test_every_term_is_named_as_its_module_is(statistics):
    settings = TransferSettings(style_statistics=statistics, tv_weight=1)
    terms = terms_of(settings)
    assert tuple(term.name for term in terms) == settings.terms
    assert [type(term).__module__.rsplit(".", 1)[1] for term in terms] == [*settings.terms]
    assert len(set(terms)) == len(terms)
    assert (terms, hash(terms)) == (terms_of(settings), hash(terms_of(settings)))


@pytest.mark.parametrize("statistics", StyleStatistics)
def test_every_term_has_a_weight_and_a_floor_for_each_row(statistics):
    settings = TransferSettings(style_statistics=statistics, tv_weight=1)
    for term in terms_of(settings):
        assert len(term.rows) == len(term.row_weights(settings)) == len(term.floor) > 0
