"""Files on their way through the cluster: in pieces, so that nothing holds a large one several times over.

A piece passes through Ray's object store, and is gone from there before the next one comes.
"""

import errno
import hashlib
import io
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from ray.exceptions import RayActorError, RayError

from nstd.cluster.messages import Parcel
from nstd.cluster.wording import first_line
from nstd.errors import SpoolError
from nstd.spool.durable import Data, replace, trouble, write_durably_from
from nstd.worker.messages import Request

_LARGEST_PIECE_BYTES: Final = 16_000_000

Bytes = NDArray[np.uint8]


def ends_of(size: int) -> list[int]:
    """Return where each piece of so many bytes ends: one piece, or several of 8 to 16 MB, equal but for a byte."""
    count = max(1, math.ceil(size / _LARGEST_PIECE_BYTES))
    return [size * number // count for number in range(1, count + 1)]


class Outgoing:
    """What is being sent, in pieces of its own.

    Args:
        data: the file's bytes, however they are cut.

    Attributes:
        ends: of the pieces.
    """

    def __init__(self, data: Sequence[Data]) -> None:
        self._parts = [memoryview(part).cast("B") for part in data]
        self.ends = ends_of(sum(map(len, self._parts)))

    def parcel(self, path: Path, *, for_good: bool) -> Parcel:
        """Return what the receiver has to know before."""
        digest = hashlib.sha256()
        for part in self._parts:
            digest.update(part)
        return Parcel(path=str(path), pieces=len(self.ends), sha256=digest.hexdigest(), for_good=for_good)

    def piece(self, number: int) -> Bytes:
        """Return a copy of a piece."""
        begin, end = self.ends[number - 1] if number else 0, self.ends[number]
        piece = np.empty(end - begin, np.uint8)
        at = 0
        for part in self._parts:
            # What of this part lies within the piece.
            chosen = part[max(0, begin - at) : max(0, end - at)]
            if chosen:
                filled = max(0, at - begin)
                piece[filled : filled + len(chosen)] = chosen
            at += len(part)
        return piece


class Incoming:
    """What is being received; it is held once."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._whole = io.BytesIO()

    def add(self, piece: Bytes) -> None:
        """Take the next piece."""
        self._digest.update(piece.data)
        self._whole.write(piece.data)

    def whole(self, sha256: str) -> bytes:
        """Return the file.

        Raises:
            SpoolError: it is not what was sent.
        """
        if self._digest.hexdigest() != sha256:
            msg = f"a checkpoint has reached the worker with the SHA-256 {self._digest.hexdigest()}, expected {sha256}"
            raise SpoolError(msg)
        return self._whole.getvalue()


def pieces_of(path: Path) -> Iterator[Bytes]:
    """Read a file, piece by piece.

    Raises:
        SpoolError: it cannot be read.
    """
    with trouble("read what a worker needs"), path.open("rb") as file:
        begin = 0
        for end in ends_of(path.stat().st_size):
            yield np.fromfile(file, np.uint8, end - begin)
            begin = end


def write(parcel: Parcel, path: Path, pieces: Iterable[Bytes]) -> None:
    """Write a file of the pieces that come; if one fails to come, the file is what it was.

    Raises:
        OSError: it cannot be written, or what has come is not what was sent.
    """
    whole = _verified(parcel, path, pieces)
    if parcel.for_good:
        write_durably_from(path, whole)
    else:
        replace(path, b"".join(whole))


def receive(parcel: Parcel, path: Path, pieces: Iterable[Bytes], settle: Callable[[int, str], object]) -> None:
    """Write a file, and tell the actor whether that has worked.

    Args:
        parcel: tells of the file.
        path: of the file.
        pieces: that are asked of the actor.
        settle: takes an error's number and words, or 0 and none.

    Raises:
        RayActorError: the actor has ended, and nobody is there to be told.
    """
    try:
        write(parcel, path, pieces)
    except RayActorError:
        raise
    except RayError as error:  # that file alone is lost
        settle(errno.EIO, f"a piece was lost on its way: {first_line(error)}")
    except OSError as error:
        settle(error.errno or errno.EIO, error.strerror or str(error))
    else:
        settle(0, "")


def by_names(request: Request) -> tuple[Request, dict[str, Path]]:
    """Return the request with names instead of paths, and the paths of those that will be written."""
    content = request.content.model_copy(update={"path": Path("content")})
    styles = tuple(
        style.model_copy(update={"path": Path(f"style-{number}")}) for number, style in enumerate(request.styles)
    )
    paths = {request.picture.name: request.picture}
    interim = request.interim
    if interim:
        paths |= {"checkpoint": interim.checkpoint, "preview": interim.preview}
        interim = interim.model_copy(update={"checkpoint": Path("checkpoint"), "preview": Path("preview")})
    update = {"content": content, "styles": styles, "picture": Path(request.picture.name), "interim": interim}
    return request.model_copy(update=update), paths


def _verified(parcel: Parcel, path: Path, pieces: Iterable[Bytes]) -> Iterator[memoryview]:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece.data)
        yield piece.data
    if digest.hexdigest() != parcel.sha256:
        msg = f"has arrived with the SHA-256 {digest.hexdigest()}, expected {parcel.sha256}"
        raise OSError(errno.EIO, msg, str(path))
