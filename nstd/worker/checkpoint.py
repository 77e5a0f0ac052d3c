"""Checkpoints: the state of a painting as a file.

A line that says what the file is; a line of JSON; the numbers of the state, one array after the other; the SHA-256 of
all that. Nothing in it is code, and what is not whole is not used.
"""

import hashlib
import math
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Final, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from nstd.engine.state import Progress
from nstd.errors import CheckpointError
from nstd.job import Sha256
from nstd.network import Network
from nstd.preset import Preset
from nstd.record import Count, Record, Seconds
from nstd.spool.durable import Data

_TITLE: Final = b"nstd checkpoint 4\n"
_DTYPE: Final = np.dtype("<f4")
_DIGEST_BYTES: Final = hashlib.sha256().digest_size

Arrays = Sequence[NDArray[np.float32]]


class Identity(Record):
    """Which painting it is; where that differs, a checkpoint is of no use."""

    network: Network
    weights_sha256: Sha256
    content_sha256: Sha256
    styles: tuple[tuple[Sha256, float], ...]
    preset: Preset


class Provenance(Record):
    """What computes it; where that differs, the painting goes on, but not to the same bits.

    Attributes:
        device_model: name of the processor or the GPU.
    """

    nstd_version: str
    tensorflow_version: str
    device: str
    device_model: str
    precision: str

    def changes_to(self, other: Self) -> tuple[str, ...]:
        """Say what is another, such as `precision: float32, then bfloat16`."""
        theirs, ours = self.model_dump(), other.model_dump()
        return tuple(f"{name}: {theirs[name]}, then {ours[name]}" for name in theirs if theirs[name] != ours[name])


class Checkpoint(Record):
    """What a checkpoint tells in words.

    Attributes:
        identity: of the painting.
        provenance: of the steps since it last went on from a checkpoint.
        changes: of the provenance before, each time that it went on from a checkpoint.
        started_at: when a worker first began, ISO 8601 in UTC.
        decode_seconds: spent on reading the photo, by all workers so far.
        progress: of the engine.
    """

    schema_version: Literal[2] = 2
    identity: Identity
    provenance: Provenance
    changes: tuple[str, ...] = ()
    started_at: str
    decode_seconds: Seconds
    progress: Progress = Progress()

    def resumed_by(self, provenance: Provenance, decode_seconds: float) -> Self:
        """Return how a painting begins that goes on from this checkpoint.

        Args:
            provenance: of what goes on with it.
            decode_seconds: spent on reading the photo once more.
        """
        update = {
            "provenance": provenance,
            "changes": (*self.changes, *self.provenance.changes_to(provenance)),
            "decode_seconds": self.decode_seconds + decode_seconds,
            "progress": Progress(),
        }
        return self.model_copy(update=update)


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


def unpack(data: bytes, identity: Identity) -> tuple[Checkpoint, list[NDArray[np.float32]]]:
    """Read a checkpoint's file.

    Args:
        data: the whole file.
        identity: of the painting that is to go on.

    Returns:
        The words and the arrays, as `pack` was given them.

    Raises:
        CheckpointError: it is no checkpoint, or damaged, or of another painting; says what is wrong.
    """
    header, numbers = _opened(data)
    _compare(header.checkpoint.identity, identity)
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


def _compare(found: Identity, expected: Identity) -> None:
    theirs, ours = (dict(_leaves(identity.model_dump(mode="json"))) for identity in (found, expected))
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
