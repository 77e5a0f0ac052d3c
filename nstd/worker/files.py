"""Where a painter's images come from, and where what it makes is put."""

from pathlib import Path
from typing import Protocol

from nstd.spool.durable import Data, replace, write_durably


class Files(Protocol):
    """What a request's paths lead to; every method raises OSError."""

    def image(self, path: Path) -> Path | bytes:
        """Return an image file for a decoder: itself, or its bytes."""

    def read(self, path: Path) -> bytes:
        """Return a whole file."""

    def commit(self, path: Path, *pieces: Data) -> None:
        """Let a file consist of these pieces, for good."""

    def replace(self, path: Path, data: bytes) -> None:
        """Let a file hold these bytes until it is replaced again."""


class Disk:
    """The files of this machine."""

    def image(self, path: Path) -> Path:
        """Leave it to the decoder, which checks what lies there before it reads."""
        return path

    def read(self, path: Path) -> bytes:
        """Read it at once."""
        return path.read_bytes()

    def commit(self, path: Path, *pieces: Data) -> None:
        """Write it durably."""
        write_durably(path, *pieces)

    def replace(self, path: Path, data: bytes) -> None:
        """Write it beside, and rename it."""
        replace(path, data)
