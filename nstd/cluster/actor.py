"""What runs in the cluster: a painter that stays warm, and whose files are at the daemon's.

Ray serves several of an actor's methods at once, in threads. What they return is bytes or arrays of them, which Ray
passes through its object store as they are.
"""

import errno
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Protocol

import ray

from nstd import __version__
from nstd.cluster.messages import Greeting, Parcel
from nstd.cluster.parcels import Bytes, Incoming, Outgoing
from nstd.errors import WeightsError
from nstd.job import EngineFacts
from nstd.record import Record
from nstd.spool.durable import Data
from nstd.weights.store import Weights, unpacked
from nstd.worker.environment import loading_tensorflow
from nstd.worker.failure import failure_of
from nstd.worker.files import Files
from nstd.worker.messages import Done, Event, Failed, Interrupted, Ready, Request, Setup, Stepped, to_line

_LISTENING_SECONDS: Final = 10.0
# The daemon shows progress about once a second, and has more than this one to listen to.
_BETWEEN_STEPS_SECONDS: Final = 0.5


class Paints(Protocol):
    """What an actor needs of a painter."""

    facts: EngineFacts

    def run(self, request: Request, is_stopped: Callable[[], bool]) -> Iterator[Event]:
        """Paint, and yield what happens."""

    def failure(self, error: Exception, request: Request) -> Failed:
        """Say what is to be told of an error."""


class Actor:
    """Paint one request after the other; whatever becomes of it is said to whoever listens."""

    def __init__(self) -> None:
        self._node = ray.util.get_node_ip_address()
        self._stop = threading.Event()
        self._outbox = Outbox()
        self._files = FilesByParcel(self._outbox.say)
        self._checkpoint = Incoming()
        self._painter: Paints | None = None

    def greet(self) -> bytes:
        """Say who this is."""
        node_id = ray.get_runtime_context().get_node_id()
        greeting = Greeting(node=self._node, node_id=node_id, pid=os.getpid(), nstd_version=__version__)
        return greeting.model_dump_json().encode()

    def load(self, setup_json: bytes, sha256: str, weights: Bytes) -> bytes:
        """Load the network.

        Args:
            setup_json: its cache has no meaning here.
            sha256: of the weights.
            weights: the stored file.

        Returns:
            `Ready` or `Failed`, as a line.
        """
        setup = Setup.model_validate_json(setup_json)
        try:
            self._painter = self._make_painter(setup, _verified(setup, sha256, weights), self._files)
        except Exception as error:  # noqa: BLE001  whatever it is, the daemon must hear of it
            return to_line(failure_of(error))
        device = self._painter.facts.device
        gpus = ray.get_runtime_context().get_accelerator_ids().get("GPU", [])
        if device != "cpu" and gpus:
            device = f"gpu:{gpus[0]}"  # a worker sees only its own, as the first
        return to_line(Ready(engine=self._painter.facts, place=f"{self._node} {device}"))

    def take(self, number: int, piece: Bytes) -> None:
        """Take a piece of the checkpoint with which the next request begins; they come in their order, from 0."""
        if number == 0:
            self._checkpoint = Incoming()
        self._checkpoint.add(piece)

    def paint(self, request_json: bytes, checkpoint_sha256: str, content: Bytes, *styles: Bytes) -> None:
        """Begin a request, whose paths are mere names.

        Args:
            request_json: the request.
            checkpoint_sha256: of the one to go on from, which has been taken before; empty for none.
            content: the photo's file.
            styles: the style images' files, in the order of the request.

        Raises:
            SpoolError: the checkpoint is not what was sent.
        """
        if (painter := self._painter) is None:  # pragma: no cover  `load` comes first
            raise AssertionError("there is no network")
        request = Request.model_validate_json(request_json)
        files = {request.content.path: content.tobytes()}
        files |= {style.path: image.tobytes() for style, image in zip(request.styles, styles, strict=True)}
        if checkpoint_sha256 and request.interim:
            files[request.interim.checkpoint] = self._checkpoint.whole(checkpoint_sha256)
        self._checkpoint = Incoming()
        self._files.take(files)
        self._stop.clear()
        # With a job's thread goes what TensorFlow keeps for the sizes of its pictures.
        threading.Thread(target=self._work, args=(painter, request), name="job", daemon=True).start()

    def stop(self) -> None:
        """Give up the running request at its next step."""
        self._stop.set()

    def listen(self) -> bytes:
        """Wait for what there is to say, for some seconds at most; return it as lines."""
        return self._outbox.listen(_LISTENING_SECONDS)

    def fetch(self, number: int) -> Bytes:
        """Return a piece of the parcel that was announced last."""
        return self._files.piece(number)

    def settle(self, code: int, reason: str) -> None:
        """Take note that the parcel has been written, or of the error's number and words."""
        self._files.settle(code, reason)

    def _make_painter(self, setup: Setup, weights: Weights, files: Files) -> Paints:
        spare_memory = setup.spare_memory and not setup.engine.gpu_memory_gib
        with loading_tensorflow(Path(tempfile.gettempdir()) / "nstd", spare_memory=spare_memory):
            from nstd.worker.painter import Painter  # noqa: PLC0415  TensorFlow takes seconds

        return Painter(setup.engine, setup.limits, weights, files)

    def _work(self, painter: Paints, request: Request) -> None:
        try:
            for event in painter.run(request, self._stop.is_set):
                if isinstance(event, Done | Interrupted):
                    self._outbox.say(event.measured())
                    return
                self._outbox.say(event)
        except Exception as error:  # noqa: BLE001  as above
            # If it is the last word, the daemon hangs up when it has heard it, and with that this process ends.
            self._outbox.say(painter.failure(error, request).measured())


class Outbox:
    """What there is to say, until somebody listens; of steps that come too fast, only the latest is said.

    Args:
        clock: seconds that never run backwards.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lines: list[bytes] = []
        self._latest: bytes = b""
        self._stepped_at = -float("inf")
        self._news = threading.Condition()

    def say(self, saying: Record) -> None:
        """Say something."""
        line = to_line(saying)
        with self._news:
            if isinstance(saying, Stepped) and self._clock() < self._stepped_at + _BETWEEN_STEPS_SECONDS:
                self._latest = line
                return
            if isinstance(saying, Stepped):
                self._stepped_at, self._latest = self._clock(), b""
            self._lines += [self._latest, line]
            self._latest = b""
            self._news.notify()

    def listen(self, seconds: float) -> bytes:
        """Wait until something has been said, for so long at most; return all of it."""
        with self._news:
            self._news.wait_for(lambda: self._lines, seconds)
            lines, self._lines = self._lines, []
        return b"".join(lines)


class FilesByParcel:
    """Files that come with a request, and files that go to the daemon, which must have written them before it goes on.

    Args:
        announce: tells the driver of a parcel.
    """

    def __init__(self, announce: Callable[[Parcel], None]) -> None:
        self._announce = announce
        self._files: dict[Path, bytes] = {}
        self._outgoing: Outgoing | None = None
        self._settled: threading.Event = threading.Event()
        self._trouble: tuple[int, str] = (0, "")

    def take(self, files: dict[Path, bytes]) -> None:
        """Have these files, and no others."""
        self._files = files

    def image(self, path: Path) -> bytes:
        """Return an image file's bytes."""
        return self._files[path]

    def read(self, path: Path) -> bytes:
        """Return a whole file, which may be large, and is not read again."""
        try:
            return self._files.pop(path)
        except KeyError:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path)) from None

    def commit(self, path: Path, *pieces: Data) -> None:
        """Have the daemon commit a file."""
        self._send(path, pieces, for_good=True)
        if len(pieces) == 1:  # a picture, which is to be checked
            self._files[path] = bytes(pieces[0])

    def replace(self, path: Path, data: bytes) -> None:
        """Have the daemon replace a file."""
        self._send(path, (data,), for_good=False)

    def piece(self, number: int) -> Bytes:
        """Return a piece of what is being sent."""
        if self._outgoing is None:  # pragma: no cover  nobody asks then
            raise AssertionError("nothing is being sent")
        return self._outgoing.piece(number)

    def settle(self, code: int, reason: str) -> None:
        """Let whoever sends go on."""
        self._trouble = code, reason
        self._settled.set()

    def _send(self, path: Path, pieces: tuple[Data, ...], *, for_good: bool) -> None:
        self._outgoing = Outgoing(pieces)
        self._settled.clear()
        self._announce(self._outgoing.parcel(path, for_good=for_good))
        self._settled.wait()
        self._outgoing = None
        code, reason = self._trouble
        if code:
            raise OSError(code, reason, path.name)


def _verified(setup: Setup, sha256: str, content: Bytes) -> Weights:
    name = Path(f"{setup.engine.network}.npz")
    weights = unpacked(setup.engine.network, name, content.tobytes())
    if weights.sha256 != sha256:
        msg = f"{name}: has arrived with the SHA-256 {weights.sha256}, expected {sha256}"
        raise WeightsError(msg)
    return weights
