"""Read tensors from PyTorch's legacy pickle format without PyTorch, and without running what it asks for.

The format: four pickles (magic number, protocol version, facts about the writing machine, the object), a
fifth with the keys of the storages, then each storage as its number of elements (int64, little endian) and
its raw elements. Tensors in the object refer to a storage that follows only later.

Reference:
    torch/serialization.py, `_legacy_save`.
"""

import math
import pickle
import struct
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from nstd.errors import WeightsError

Element = np.uint8 | np.float32
Tensor = NDArray[Element]

_MAGIC: Final = 0x1950A86A20F9469CFC6C
_PROTOCOL: Final = 1001


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: type[Element]


@dataclass(frozen=True)
class _TensorView:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]

    def of(self, elements: Tensor) -> Tensor:
        return elements[self.offset :][: math.prod(self.shape)].reshape(self.shape)


def _rebuild_tensor(
    storage: _Storage, offset: int, shape: tuple[int, ...], stride: tuple[int, ...], *_: object
) -> _TensorView:
    if stride != tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape))):
        msg = f"a tensor of shape {shape} has stride {stride}, expected a contiguous one"
        raise ValueError(msg)
    return _TensorView(storage, offset, shape)


_READERS: Final = {
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch", "ByteStorage"): np.uint8,
    ("torch", "FloatStorage"): np.float32,
    ("collections", "OrderedDict"): dict,
}


class _TensorUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401 -- the base class says so
        try:
            return _READERS[module, name]
        except KeyError:
            msg = f"the pickle asks for {module}.{name}, which reading tensors does not need"
            raise WeightsError(msg) from None

    def persistent_load(self, pid: tuple[Any, ...]) -> _Storage:
        _, dtype, key, *_ = pid
        return _Storage(key, dtype)


def read_tensors(content: bytes) -> dict[str, Tensor]:
    """Return the tensors of a pickled dict, by key.

    Args:
        content: a whole file in the legacy format, holding a dict of contiguous uint8 and float32 tensors.

    Raises:
        WeightsError: the pickle asks for anything but tensors, or the file is not in this format.
    """
    try:
        return _read(BytesIO(content))
    except WeightsError:
        raise
    except Exception as error:  # a foreign pickle can fail in any way
        msg = f"not a PyTorch file in the legacy format: {type(error).__name__}: {error}"
        raise WeightsError(msg) from error


def _read(stream: BytesIO) -> dict[str, Tensor]:
    magic, protocol, _, views, keys = (_TensorUnpickler(stream).load() for _ in range(5))
    if (magic, protocol) != (_MAGIC, _PROTOCOL):
        msg = f"magic number and protocol are {magic!r} and {protocol!r}, expected {_MAGIC} and {_PROTOCOL}"
        raise ValueError(msg)
    storages = {view.storage.key: view.storage for view in views.values()}
    elements = {key: _read_elements(stream, storages[key]) for key in keys}
    return {name: view.of(elements[view.storage.key]) for name, view in views.items()}


def _read_elements(stream: BytesIO, storage: _Storage) -> Tensor:
    (count,) = struct.unpack("<q", stream.read(8))
    content = stream.read(count * np.dtype(storage.dtype).itemsize)
    return np.frombuffer(content, storage.dtype, count)
