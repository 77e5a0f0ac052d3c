"""What many tests share: the real network and real photos in small."""

import gc
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from nstd.memory import GIB, resident_bytes
from nstd.network import Network, Precision
from nstd.weights.pull import pull_weights
from nstd.weights.store import Weights, cache_folder
from nstd.worker.environment import tensorflow_environment

if TYPE_CHECKING:
    from nstd.engine.engine import Engine
    from nstd.engine.styles import Style

ASSETS = Path(__file__).parent.parent / "nstd" / "assets"
Picture = NDArray[np.float32]
ENOUGH_BYTES = 3 * GIB


@pytest.fixture(autouse=True)
def _graphs_go_with_their_test() -> Iterator[None]:
    """TensorFlow keeps what it has made of every graph until it is told not to: four processes would fill 24 GiB."""
    yield
    if "keras" in sys.modules and resident_bytes() > ENOUGH_BYTES:
        gc.collect()
        sys.modules["keras"].utils.clear_session()


@pytest.fixture(scope="session")
def cache() -> Path:
    """The user's own cache, with VGG19's weights in it."""
    folder = cache_folder(os.environ)
    pull_weights(Network.VGG19, folder)
    return folder


@pytest.fixture(scope="session")
def weights(cache: Path) -> Weights:
    os.environ.update(tensorflow_environment(os.environ, cache))
    return pull_weights(Network.VGG19, cache).weights


@pytest.fixture(scope="session")
def engine(weights: Weights) -> "Engine":
    """VGG19 in float32."""
    from nstd.engine.engine import Engine  # noqa: PLC0415  only tests that compute pay for TensorFlow

    return Engine(Network.VGG19, weights.arrays, Precision.FLOAT32)


@pytest.fixture(scope="session")
def picture() -> Callable[[str, int], Picture]:
    """Return a function that reads one of the project's own pictures at a long side in pixels."""

    def read(name: str, long_side_px: int) -> Picture:
        with Image.open(ASSETS / name) as image:
            image.thumbnail((long_side_px, long_side_px))
            return np.asarray(image.convert("RGB"), np.float32)

    return read


@pytest.fixture(scope="session")
def style(picture: Callable[[str, int], Picture]) -> "Callable[..., Style]":
    """Return a function that makes a style of a picture of `picture`, with its share."""
    from nstd.engine.styles import Style  # noqa: PLC0415

    def make(name: str, long_side_px: int, share: float = 1) -> Style:
        return Style.of(picture(f"styles/{name}.jpg", long_side_px), f"{name}.jpg at {long_side_px}", share)

    return make
