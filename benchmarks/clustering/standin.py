"""A painter whose evaluations take a fixed time and nothing of the processor; a photo's words say what it does.

`steps N SECONDS`: so many evaluations, each of that time. `until FILE`: evaluations until there is that file. `heavy
FILE MB`: the same, with checkpoints of that size. `cut FILE MB`: the same, but the second of them ends the process on
its way. `weigh MB`: one evaluation, with a checkpoint of that size. `kill`: end the process. `bug`: fail. `text`:
refuse.
"""

import hashlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from nstd import __version__
from nstd.errors import InputError
from nstd.history import Losses
from nstd.job import EngineFacts, FileFacts, Painting
from nstd.network import Network
from nstd.spool.durable import trouble
from nstd.worker.failure import failure_of
from nstd.worker.files import Files
from nstd.worker.messages import Checkpointed, Done, Event, Failed, Hindered, Interrupted, Request, Resumed, Stepped

_PIECE = 3 * 4 * 512 * 512  # pixels of 512 x 512 in float32, as a real checkpoint has many
_NUMBER_BYTES = 12
_WITHOUT_END = 100_000
_UNHURRIED_SECONDS = 0.1
LOSSES = Losses(step=0, total=1.0, terms={"content": 1.0})
FACTS = EngineFacts(
    network=Network.VGG19,
    weights_source="none",
    weights_sha256="0" * 64,
    device="cpu",
    precision="float32",
    precision_reason="it only counts",
    nstd_version=__version__,
    tensorflow_version="0",
)


def fall_if_told(moment: str) -> None:
    """End the process if there is a file of that name in the folder STANDIN_FALLS; note when, in `falls` beside it.

    Before that, wait for as long as there is a file of that name with `-slow` after it.
    """
    folder = Path(os.environ.get("STANDIN_FALLS", "/nowhere"))
    while (folder / f"{moment}-slow").exists():
        time.sleep(_UNHURRIED_SECONDS)
    if (folder / moment).exists():
        with (folder / "falls").open("a") as falls:
            falls.write(f"{time.monotonic()}\n")
        os.kill(os.getpid(), signal.SIGKILL)


class StandIn:
    """Count steps, keep checkpoints, and paint by copying.

    Args:
        files: what the requests' paths lead to.
    """

    facts = FACTS

    def __init__(self, files: Files) -> None:
        self._files = files
        self._weight_bytes = 0
        self._is_to_be_cut = False
        self._kept = 0

    def sent(self, number: int) -> None:
        """Take note of a piece that has been fetched; it may be the last one."""
        if self._is_to_be_cut and number and self._kept:
            os.kill(os.getpid(), signal.SIGKILL)

    def run(self, request: Request, is_stopped: Callable[[], bool]) -> Iterator[Event]:
        """Do what the photo says."""
        photo = self._bytes_of(request.content.path)
        for style in request.styles:
            self._bytes_of(style.path)
        word, *numbers = photo.split()
        if word == b"kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if word == b"bug":
            raise ValueError("bug")
        if word == b"text":
            raise InputError("is not an image")
        if word == b"weigh" and request.interim:
            yield Stepped(number=1, total=1, progress=1, level=0, losses=LOSSES)
            self._files.commit(request.interim.checkpoint, *[bytes(_PIECE)] * round(int(numbers[0]) * 1e6 / _PIECE))
            yield Done(painting=self._painting(request, photo))
            return
        self._weight_bytes = round(float(numbers[1]) * 1e6) if word in {b"heavy", b"cut"} else 0
        self._is_to_be_cut, self._kept = word == b"cut", 0
        if word in {b"until", b"heavy", b"cut"}:
            end = Path(os.fsdecode(numbers[0]))
            yield from self._steps(request, _WITHOUT_END, _UNHURRIED_SECONDS, is_stopped, end.exists)
        else:
            total, seconds = (int(numbers[0]), float(numbers[1])) if word == b"steps" else (2, 0.0)
            yield from self._steps(request, total, seconds, is_stopped)
        if not is_stopped():
            yield Done(painting=self._painting(request, photo))

    def failure(self, error: Exception, _request: Request) -> Failed:
        """Say who must act on what `run` has raised."""
        return failure_of(error)

    def _steps(
        self,
        request: Request,
        total: int,
        seconds: float,
        is_stopped: Callable[[], bool],
        is_over: Callable[[], bool] = lambda: False,
    ) -> Iterator[Event]:
        done = self._recall(request)
        if done:
            self._is_to_be_cut = False
            yield Resumed(number=done, seconds=done * seconds)
        due = time.monotonic() + self._checkpoint_seconds(request)
        for number in range(done + 1, total + 1):
            time.sleep(seconds)
            yield Stepped(number=number, total=total, progress=number / total, level=0, losses=LOSSES)
            if is_stopped() or time.monotonic() >= due:
                yield self._keep(request, number)
                due = time.monotonic() + self._checkpoint_seconds(request)
            if is_stopped():
                yield Interrupted()
                return
            if is_over():
                return

    def _bytes_of(self, path: Path) -> bytes:
        found = self._files.image(path)
        return found.read_bytes() if isinstance(found, Path) else found

    def _checkpoint_seconds(self, request: Request) -> float:
        return (request.interim.checkpoint_seconds if request.interim else 0) or float("inf")

    def _recall(self, request: Request) -> int:
        try:
            return int(self._files.read(request.interim.checkpoint)[:_NUMBER_BYTES]) if request.interim else 0
        except FileNotFoundError:
            return 0

    def _keep(self, request: Request, number: int) -> Event:
        if request.interim is None:
            return Hindered(reason="nobody wants it")
        padded = b"%*d" % (_NUMBER_BYTES, number) + bytes(self._weight_bytes)
        try:
            self._files.commit(request.interim.checkpoint, padded[:6], padded[6:])
        except OSError as error:
            return Hindered(reason=str(error))
        self._kept += 1
        return Checkpointed(number=number, bytes=len(padded), seconds=0)

    def _painting(self, request: Request, photo: bytes) -> Painting:
        picture = b"painted " + photo
        with trouble("write the picture"):
            self._files.commit(request.picture, picture)
        now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        size = {"width_px": 1, "height_px": 1}
        level = {**size, "history": [LOSSES.model_dump()], "stop_reason": "iterations", "seconds": 1}
        content = {name: getattr(request.content, name) for name in FileFacts.model_fields}
        output = {"name": request.picture.name, "bytes": len(picture), "sha256": hashlib.sha256(picture).hexdigest()}
        return Painting.model_validate(
            {
                "started_at": now,
                "finished_at": now,
                "preset": request.preset.model_dump(),
                "content": content | size,
                "styles": [],
                "engine": FACTS,
                "levels": [level],
                "loss": {"initial": 1, "best": 1, "final": 1, "best_step": 0},
                "stop_reason": "iterations",
                "seconds": dict.fromkeys(("queued", "decode", "style_targets", "optimise", "encode"), 0),
                "output": output | size,
            }
        )
