"""What the tests of the weights share: small files in the published formats, and a host on loopback."""

import hashlib
import pickle
import socket
import struct
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import Any

import h5py
import numpy as np

from nstd.network import Network
from nstd.weights.arrays import Arrays, expected_shapes
from nstd.weights.published import PublishedFile


def sample_arrays(network: Network) -> Arrays:
    """Weights of the right shapes; every layer's differ, and the first kernel is not symmetric."""
    arrays = {
        layer: (np.full(kernel, index, np.float32), np.full(bias, -index, np.float32))
        for index, (layer, (kernel, bias)) in enumerate(expected_shapes(network).items())
    }
    first = arrays["block1_conv1"][0]
    first.flat = np.arange(first.size)
    return arrays


def sample_tensors() -> dict[str, np.ndarray[Any, Any]]:
    """VGG19's tensors as the wheel quantises them; one kernel is all zero indices but for one."""
    tensors: dict[str, np.ndarray[Any, Any]] = {}
    rng = np.random.default_rng(0)
    for layer, (kernel, bias) in expected_shapes(Network.VGG19).items():
        tensors[f"{layer}_W_q"] = np.zeros((kernel[3], kernel[2], 3, 3), np.uint8)
        tensors[f"{layer}_W_table"] = rng.normal(size=256).astype(np.float32)
        tensors[f"{layer}_b"] = rng.normal(size=bias).astype(np.float32)
    tensors["block2_conv1_W_q"][127, 5, 2, 1] = 200
    return tensors


def keras_h5(arrays: Arrays) -> bytes:
    """Lay weights out as Keras' published files are: a group per layer, the arrays named in an attribute."""
    buffer = BytesIO()
    with h5py.File(buffer, "w") as file:
        for layer, pair in arrays.items():
            group = file.create_group(layer)
            names = [f"{layer}_{part}_1:0" for part in ("W", "b")]
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, array in zip(names, pair, strict=True):
                group.create_dataset(name, data=array, compression="gzip", compression_opts=1)
    return buffer.getvalue()


def published(name: str, content: bytes) -> PublishedFile:
    return PublishedFile(name, len(content), "sha256", hashlib.sha256(content).hexdigest())


def wheel_of(members: Mapping[str, bytes]) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def _text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def _integers(values: tuple[int, ...]) -> bytes:
    return b"(" + b"".join(b"J" + struct.pack("<i", value) for value in values) + b"t"


def tensor_opcodes(key: str, storage: str, shape: tuple[int, ...], stride: tuple[int, ...]) -> bytes:
    """The opcodes with which PyTorch pickles a tensor whose elements follow later, as storage `key`."""
    reference = b"(" + _text("storage") + b"ctorch\n" + storage.encode() + b"\n" + _text(key) + _text("cpu") + b"K\0Nt"
    view = b"Q" + b"K\0" + _integers(shape) + _integers(stride) + b"\x89ccollections\nOrderedDict\n)R"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + reference + view + b"tR"


def torch_file(
    tensors: Mapping[str, np.ndarray[Any, Any]],
    *,
    magic: int = 0x1950A86A20F9469CFC6C,
    views: Mapping[str, bytes] | None = None,
) -> bytes:
    """A file in PyTorch's legacy format.

    Args:
        tensors: uint8 or float32.
        magic: the first pickle.
        views: opcodes to stand in the object instead of a tensor's own.
    """
    opcodes = {
        name: tensor_opcodes(
            name,
            {"uint8": "ByteStorage", "float32": "FloatStorage"}[array.dtype.name],
            array.shape,
            tuple(stride // array.itemsize for stride in array.strides),
        )
        for name, array in tensors.items()
    } | dict(views or {})
    content = b"\x80\x02}" + b"".join(_text(name) + view + b"s" for name, view in opcodes.items()) + b"."
    head = [pickle.dumps(part, 2) for part in (magic, 1001, {"little_endian": True})]
    storages = [struct.pack("<q", array.size) + array.tobytes() for array in tensors.values()]
    return b"".join([*head, content, pickle.dumps(list(tensors), 2), *storages])


class Host:
    """A web host on loopback.

    Attributes:
        url: its address, without a path.
        pages: status, media type and content by path; set before a request.
        asked: path and headers of each request so far.
        cut: bytes to hold back from each answer.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.pages: dict[str, tuple[int, str, bytes]] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.cut = 0


@contextmanager
def web_host() -> Iterator[Host]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            host.asked.append((self.path, dict(self.headers)))
            status, media_type, content = host.pages.get(self.path, (404, "text/plain", b"no"))
            self.send_response(status)
            self.send_header("Content-Type", media_type)
            self.send_header("Content-Length", str(len(content)))
            if 300 <= status < 400:
                self.send_header("Location", content.decode())
            self.end_headers()
            self.wfile.write(content[: len(content) - host.cut])

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        host = Host(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield host
        server.shutdown()
        thread.join()


@contextmanager
def closed_port() -> Iterator[int]:
    """A port of loopback that refuses connections for as long as it is held: bound, but not listened on."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]
