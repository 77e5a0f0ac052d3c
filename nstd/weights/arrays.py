"""A network's kernels and biases as NumPy arrays, and the shapes they must have."""

import itertools
from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nstd.errors import WeightsError
from nstd.network import Network, layer_names

Array = NDArray[np.float32]
Arrays = Mapping[str, tuple[Array, Array]]
"""Kernel `[3, 3, in, out]` and bias `[out]` of each convolution, by the layer's name."""

_CHANNELS_OF_BLOCK: Final = {"1": 64, "2": 128, "3": 256, "4": 512, "5": 512}


def expected_shapes(network: Network) -> dict[str, tuple[tuple[int, ...], tuple[int, ...]]]:
    """Return the shapes of kernel and bias of each convolution, shallow to deep.

    Reference:
        Simonyan and Zisserman 2015, table 1.
    """
    names = layer_names(network)
    outputs = [_CHANNELS_OF_BLOCK[name.removeprefix("block")[0]] for name in names]
    channels = itertools.pairwise([3, *outputs])
    return {name: ((3, 3, *pair), (pair[1],)) for name, pair in zip(names, channels, strict=True)}


def check_shapes(network: Network, arrays: Arrays) -> None:
    """Hold the arrays against the network's architecture.

    Raises:
        WeightsError: a layer is missing or unknown, or an array has another shape or type.
    """
    expected = expected_shapes(network)
    for layer in sorted(arrays.keys() ^ expected.keys()):
        what = "is missing" if layer in expected else f"is no layer of {network}"
        msg = f"{layer} {what}"
        raise WeightsError(msg)
    for layer, shapes in expected.items():
        for part, array, shape in zip(("kernel", "bias"), arrays[layer], shapes, strict=True):
            if array.shape != shape or array.dtype != np.float32:
                msg = f"{layer}: {part} is {array.dtype} {array.shape}, expected float32 {shape}"
                raise WeightsError(msg)
