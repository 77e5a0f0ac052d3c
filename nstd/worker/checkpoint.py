"""Checkpoints: the state of a painting as a file.

A line that says what the file is; a line of JSON; the numbers of the state, one array after the other; the SHA-256 of
all that. Nothing in it is code, and what is not whole is not used.
"""

import hashlib
import math
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from nstd.engine.state import Progress
from nstd.errors import CheckpointError
from nstd.job import Count, Seconds, Sha256
from nstd.preset import Network, Preset, Record
from nstd.spool.durable import Data

_TITLE: Final = b"nstd checkpoint 1\n"
_DTYPE: Final = np.dtype("<f4")
_DIGEST_BYTES: Final = hashlib.sha256().digest_size

Arrays = Sequence[NDArray[np.float32]]


class Fingerprint(Record):
    """All that decides what a painting becomes; where it differs, a checkpoint is of no use."""

    nstd_version: str
    tensorflow_version: str
    device: str
    precision: str
    network: Network
    weights_sha256: Sha256
    content_sha256: Sha256
    styles: tuple[tuple[Sha256, float], ...]
    preset: Preset


class Checkpoint(Record):
    """What a checkpoint tells in words.

    Attributes:
        fingerprint: of the painting.
        started_at: when a worker first began, ISO 8601 in UTC.
        decode_seconds: spent on reading the photo, by all workers so far.
        progress: of the engine.
    """

    schema_version: Literal[1] = 1
    fingerprint: Fingerprint
    started_at: str
    decode_seconds: Seconds
    progress: Progress = Progress()


class _Header(Record):
    checkpoint: Checkpoint
    shapes: tuple[tuple[Count, ...], ...]


def pack(checkpoint: Checkpoint, arrays: Arrays) -> Iterator[Data]:
    """Yield the bytes of a checkpoint's file, in pieces.

    Args:
        checkpoint: the words.
        arrays: float32, of the state.
    """
    digest = hashlib.sha256()
    header = _Header(checkpoint=checkpoint, shapes=tuple(array.shape for array in arrays))
    pieces: list[Data] = [_TITLE, header.model_dump_json().encode() + b"\n"]
    pieces += (np.ascontiguousarray(array, _DTYPE).data.cast("B") for array in arrays)
    for piece in pieces:
        digest.update(piece)
        yield piece
    yield digest.digest()


def unpack(data: bytes, fingerprint: Fingerprint) -> tuple[Checkpoint, list[NDArray[np.float32]]]:
    """Read a checkpoint's file.

    Args:
        data: the whole file.
        fingerprint: of the painting that is to go on.

    Returns:
        The words and the arrays, as `pack` was given them.

    Raises:
        CheckpointError: it is no checkpoint, or damaged, or of another painting; says what is wrong.
    """
    header, numbers = _opened(data)
    _compare(header.checkpoint.fingerprint, fingerprint)
    ends = [*accumulate(math.prod(shape) for shape in header.shapes)]
    if not ends or ends[-1] * _DTYPE.itemsize != len(numbers):
        msg = f"it holds {len(numbers)} bytes of numbers, and not those of the shapes that it tells"
        raise CheckpointError(msg)
    pieces = np.split(np.frombuffer(numbers, _DTYPE), ends[:-1])
    return header.checkpoint, [piece.reshape(shape) for piece, shape in zip(pieces, header.shapes, strict=True)]


def _opened(data: bytes) -> tuple[_Header, memoryview]:
    if not data.startswith(_TITLE):
        msg = f"it is not an nstd checkpoint of this version (begins with {data[: len(_TITLE)]!r}, expected {_TITLE!r})"
        raise CheckpointError(msg)
    view = memoryview(data)
    if hashlib.sha256(view[:-_DIGEST_BYTES]).digest() != data[-_DIGEST_BYTES:]:
        msg = f"it is damaged or cut off: its {len(data)} bytes do not have the SHA-256 that stands at their end"
        raise CheckpointError(msg)
    end = data.find(b"\n", len(_TITLE))
    try:
        header = _Header.model_validate_json(data[len(_TITLE) : end])
    except ValidationError as error:
        msg = f"its header cannot be read: {str(error).splitlines()[0]}"
        raise CheckpointError(msg) from error
    return header, view[end + 1 : -_DIGEST_BYTES]


def _compare(found: Fingerprint, expected: Fingerprint) -> None:
    theirs, ours = (dict(_leaves(fingerprint.model_dump(mode="json"))) for fingerprint in (found, expected))
    for name in theirs | ours:
        if theirs.get(name) != ours.get(name):
            msg = f"it is of another painting: its {name} is {theirs.get(name)!r} (expected {ours.get(name)!r})"
            raise CheckpointError(msg)


def _leaves(record: dict[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in record.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
