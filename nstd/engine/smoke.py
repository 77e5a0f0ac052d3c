"""Whether a device computes what a CPU does: one evaluation of a small picture on both.

A driver that does not fit, a GPU that is newer than TensorFlow's kernels, or damaged memory may give numbers, and not
these.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np
import tensorflow as tf

from nstd.engine.evaluator import WholeEvaluator
from nstd.engine.extractor import Extractor, LayerArrays
from nstd.engine.objective import Objective
from nstd.engine.pixels import Picture, preprocess
from nstd.errors import ConfigError
from nstd.network import Network, Precision
from nstd.transfer_settings import TransferSettings

_SIDE_PX: Final = 64
_MOST_OF_LOSSES: Final = 0.05
_MOST_OF_GRADIENT: Final = 0.25
"""In bfloat16 the losses differ by up to 2 %, and the gradient by up to 10 % of its length."""


def check_device(device: str, extractor: Extractor, network: Network, weights: Mapping[str, LayerArrays]) -> None:
    """Evaluate a picture on a device and, in float32, on the CPU.

    Args:
        device: its name, for the message.
        extractor: on it.
        network: which architecture the extractor has.
        weights: `(kernel [3, 3, in, out], bias [out])` of every convolution, by layer name.

    Raises:
        ConfigError: the device computes something else than the CPU.
    """
    settings = TransferSettings(strength="raw")
    with tf.device("CPU:0"):
        reference = Extractor(network, weights, Precision.FLOAT32)
        expected = _evaluated(reference, settings)
    found = _evaluated(extractor, settings)
    losses, gradient = (_apart(a, b) for a, b in zip(found, expected, strict=True))
    if not (losses <= _MOST_OF_LOSSES and gradient <= _MOST_OF_GRADIENT):
        msg = (
            f"{device} computes something else than the CPU: the losses of a test picture differ by {losses:.0%} "
            f"(expected at most {_MOST_OF_LOSSES:.0%}) and their gradient by {gradient:.0%} (at most "
            f"{_MOST_OF_GRADIENT:.0%}); its driver may be too old for this TensorFlow, or the GPU too new; "
            "engine.device: cpu does without it"
        )
        raise ConfigError(msg)


def _evaluated(extractor: Extractor, settings: TransferSettings) -> tuple[tf.Tensor, tf.Tensor]:
    photo, style, start = (_pattern(seed) for seed in (1, 2, 3))
    evaluator = WholeEvaluator(Objective(extractor, settings))
    return evaluator(preprocess(start), evaluator.objective.whole_aims(settings, photo, style))


def _pattern(seed: int) -> Picture:
    """Draw waves of all lengths in all colours, so that every layer has something to see."""
    rng = np.random.default_rng(seed)
    down, across = np.mgrid[:_SIDE_PX, :_SIDE_PX, :1][:2]
    frequencies = rng.uniform(-0.4, 0.4, (2, 24))
    phases, colours = rng.uniform(0, 2 * np.pi, 24), rng.normal(0, 1, (24, 3))
    waves = np.sin(2 * np.pi * (down * frequencies[0] + across * frequencies[1]) + phases)
    picture: Picture = np.clip(127.5 + 20 * waves @ colours, 0, 255).astype(np.float32)
    return picture


def _apart(found: tf.Tensor, expected: tf.Tensor) -> float:
    """Return the length of the difference, by that of what was expected; NaN if anything is none."""
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))
