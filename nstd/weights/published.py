"""A file that somebody published, recognised by the hash of its bytes."""

import hashlib
from dataclasses import dataclass
from typing import Literal

from nstd.errors import WeightsError


@dataclass(frozen=True)
class PublishedFile:
    """What the bytes of a published file must be.

    Attributes:
        name: file name, or path inside an archive.
        size_bytes: size of the file.
        algorithm: hash that the publisher gives.
        digest: hexadecimal.
    """

    name: str
    size_bytes: int
    algorithm: Literal["sha256", "md5"]
    digest: str

    def check(self, content: bytes) -> None:
        """Compare size and hash.

        Raises:
            WeightsError: the bytes are not the published ones.
        """
        if len(content) != self.size_bytes:
            msg = f"not the published {self.name}: {len(content)} bytes, expected {self.size_bytes}"
            raise WeightsError(msg)
        found = hashlib.new(self.algorithm, content, usedforsecurity=False).hexdigest()
        if found != self.digest:
            msg = f"not the published {self.name}: {self.algorithm} {found}, expected {self.digest}"
            raise WeightsError(msg)
