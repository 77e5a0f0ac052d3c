"""What a worker that runs for months must not keep."""

import gc
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from tensorflow.python.framework.func_graph import FuncGraph

from nstd.engine.engine import Engine
from nstd.engine.styles import Style
from nstd.network import Network, Precision
from nstd.transfer_settings import TransferSettings
from nstd.worker.environment import tensorflow_environment

# What is known of a style's parts is kept on purpose.
FEW_PARTS = {"nearest_layers": {"block1_conv1": 1}, "style_turns": 0}
DEEP_LAYERS = ["block3_conv1", "block3_conv2", "block4_conv1", "block4_conv2", "block5_conv1"]


@pytest.fixture
def paint(weights, request) -> Callable[[int, str], None]:
    engine = Engine(Network.VGG19, weights.arrays, getattr(request, "param", Precision.BFLOAT16))

    def run(side: int, content_layer: str) -> None:
        photo = np.random.default_rng(side).uniform(0, 255, (side, 48, 3)).astype(np.float32)
        settings = TransferSettings(content_layers={content_layer: 1}, levels=(1,), iterations=(2,), **FEW_PARTS)
        for _ in engine.transfer(photo, [Style.of(photo, f"noise {side}")], settings).steps():
            pass

    return run


def objects() -> int:
    gc.collect()
    return len(gc.get_objects())


def graphs() -> Iterator[FuncGraph]:
    gc.collect()
    return (found for found in gc.get_objects() if isinstance(found, FuncGraph))


# Float16's custom gradients are what TensorFlow would keep.
IN_BOTH = pytest.mark.parametrize("paint", [Precision.BFLOAT16, Precision.FLOAT16], indirect=True)


@IN_BOTH
def test_new_sizes_leave_nothing_behind(paint):
    paint(40, "block1_conv1")
    before = objects()
    for side in range(41, 51):
        paint(side, "block1_conv1")
    assert objects() - before < 500  # TensorFlow left 400 a size when it was not told that sizes are open


@IN_BOTH
def test_layers_that_were_used_long_ago_are_forgotten(paint):
    for layer in DEEP_LAYERS[:2]:
        paint(40, layer)
    full = len(list(graphs()))
    for layer in DEEP_LAYERS[2:]:
        paint(40, layer)
    assert len(list(graphs())) == full


def test_layers_that_are_used_in_turn_are_compiled_once(paint):
    for layer in DEEP_LAYERS[:2]:
        paint(40, layer)
    before = {id(graph) for graph in graphs()}
    for layer in DEEP_LAYERS[:2] * 2:
        paint(40, layer)
    assert {id(graph) for graph in graphs()} == before


def test_kernels_of_a_size_go_with_the_thread_that_used_them(cache):
    """They take 2.5 MB a size if one operation of a step runs in a thread of TensorFlow's own: 58 MB here."""
    command = [sys.executable, Path(__file__).with_name("painting_many_sizes.py"), cache]
    environment = os.environ | tensorflow_environment(os.environ, cache)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=900)
    assert float(done.stdout) < 25
