"""A worker that paints by copying, for tests of everything but the painting; a photo's first word says what it does.

COPYING_WORKER_LOADS is a file whose first word says what it does while it loads, as long as the file is there;
COPYING_WORKER_LACKS is a device that it cannot load on.
"""

import ctypes
import os
import resource
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

from nstd.errors import SpoolError
from nstd.history import Losses
from nstd.job import ImageFacts, Painting
from nstd.network import Network
from nstd.spool.durable import measure, write_durably
from nstd.spool.jobs import timestamp
from nstd.worker.conversation import Conversation
from nstd.worker.messages import Blame, Done, Event, Failed, Interrupted, Ready, Request, Setup, Stepped

FOREVER = 1 << 30
BETWEEN_LOOKS_SECONDS = 0.02
PR_SET_PDEATHSIG = 1
GLUTTONY_BYTES = 1 << 50
FACTS = {
    "network": Network.VGG19,
    "weights_source": "none",
    "weights_sha256": "0" * 64,
    "device": "cpu",
    "precision": "float32",
    "precision_reason": "it only copies",
    "nstd_version": "0",
    "tensorflow_version": "0",
}
LOSSES = Losses(step=0, total=1.0, terms={"content": 1.0})


def main() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    # Those that fall on purpose leave no core file behind.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    setup = Setup.model_validate_json(sys.argv[1])
    if refusal := os.environ.get("COPYING_WORKER_FAILS"):
        sys.exit(refusal)
    conversation = Conversation(sys.stdin.buffer, sys.stdout.buffer)
    device = setup.engine.device
    if device == os.environ.get("COPYING_WORKER_LACKS"):
        conversation.send(Failed(blame=Blame.OPERATOR, message=f"engine.device: got {device}"))
        leave("no such device")
    load(conversation)
    conversation.send(Ready(engine=FACTS | {"device": device}))
    while True:
        request = conversation.receive()
        event = paint(request, conversation, setup)
        conversation.send(event)
        if isinstance(event, Failed) and event.is_last:
            leave("the GPU is lost")


def leave(message: str) -> NoReturn:
    sys.stderr.write(f"{message}\n")
    sys.stderr.flush()
    # The listening thread holds standard input, which an orderly end would wait for.
    os._exit(1)


def load(conversation: Conversation) -> None:
    order = Path(os.environ.get("COPYING_WORKER_LOADS", ""))
    while order.is_file():
        word, _, message = order.read_text().partition(" ")
        if word == "fail":
            leave(message)
        if word == "leave":
            conversation.send(Ready(engine=FACTS))
            leave(message)
        if word in MISDEEDS:
            MISDEEDS[word]()
        time.sleep(BETWEEN_LOOKS_SECONDS)


def paint(request: Request, conversation: Conversation, setup: Setup) -> Event:
    try:
        photo = request.content.path.read_bytes()
        if lack := lack_of_memory(request, setup, photo):
            return lack
        event = paint_photo(request, conversation, photo)
        return event.model_copy(update={"resident_bytes": GLUTTONY_BYTES}) if photo == b"glutton" else event
    except (OSError, SpoolError) as error:
        return Failed(blame=Blame.MACHINE, message=str(error))


def lack_of_memory(request: Request, setup: Setup, photo: bytes) -> Failed | None:
    """Fail `large` photos unless memory is spared, `huge` ones always, and `crowded` ones until a file is there."""
    word, _, rest = photo.partition(b" ")
    spares = request.spare_memory and setup.spare_memory and os.environ["TF_GPU_ALLOCATOR"] == "cuda_malloc_async"
    gate = Path(os.fsdecode(rest))  # whatever the photo holds
    if word == b"huge" or (word == b"large" and not spares) or (word == b"crowded" and not gate.exists()):
        message = f"the GPU is out of memory{' though it was spared' if spares else ''}"
        return Failed(blame=Blame.MEMORY, message=message, is_last=True, may_pass=word == b"crowded")
    return None


def paint_photo(request: Request, conversation: Conversation, photo: bytes) -> Event:
    word = photo.split(maxsplit=1)[0].decode(errors="replace") if photo else ""
    if word in FAILURES and not (word == "gpu" and Path(os.environ["GPU_IS_FREE"]).exists()):
        return Failed(**FAILURES[word])
    if word in MISDEEDS:
        MISDEEDS[word]()
    if word == "slow" and not work(conversation, FOREVER):
        return Interrupted()
    if word == "stuck" and not Path(photo.split()[1].decode()).exists():
        freeze()
    if word == "until" and not work(conversation, FOREVER, Path(photo.split()[1].decode())):
        return Interrupted()
    if word == "deaf" and is_interrupted_after(Path(photo.split()[1].decode()), conversation):
        return Interrupted()
    work(conversation, 2)
    return Done(painting=copied(request, photo))


def fall() -> None:
    sys.stderr.write("about to fall\n")
    sys.stderr.flush()
    ctypes.string_at(0)


def freeze() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def vanish() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def babble() -> None:
    os.write(sys.stdout.fileno(), b"\xff is no event\n")
    signal.pause()


def lie() -> None:
    """Say what is JSON, but nothing that the daemon knows."""
    os.write(sys.stdout.fileno(), b'{"type": "stepped", "number": -1}\n')
    signal.pause()


def drone() -> None:
    """Never come to the end of a line."""
    while True:
        os.write(sys.stdout.fileno(), b"d" * (1 << 16))


def chatter() -> None:
    """Print without end, and without the end of a line."""
    while True:
        os.write(sys.stderr.fileno(), b"c" * (1 << 16))


def devour() -> None:
    """Take memory until somebody objects."""
    taken = []
    while True:
        taken.append(bytearray(os.urandom(1 << 20)) * 16)


FAILURES = {
    "text": {"blame": Blame.INPUT, "message": "is not an image"},
    "bug": {"blame": Blame.ENGINE, "message": "ValueError: bug", "traceback": "Traceback: bug"},
    "poison": {
        "blame": Blame.ENGINE,
        "message": "InternalError: CUDA",
        "traceback": "Traceback: CUDA",
        "is_last": True,
    },
    "gpu": {"blame": Blame.MACHINE, "message": "the GPU is out of memory"},
}
MISDEEDS = {
    "segfault": fall,
    "abort": os.abort,
    "kill": vanish,
    "freeze": freeze,
    "hang": signal.pause,
    "devour": devour,
    "babble": babble,
    "lie": lie,
    "drone": drone,
    "chatter": chatter,
}


def is_interrupted_after(gate: Path, conversation: Conversation) -> bool:
    """Wait until a file is there, whatever is said; then tell whether that was stop."""
    while not gate.exists():
        time.sleep(BETWEEN_LOOKS_SECONDS)
    return conversation.stop.is_set()


def work(conversation: Conversation, steps: int, gate: Path | None = None) -> bool:
    """Report steps, at most until a file is there; return whether nobody said stop."""
    for number in range(1, steps + 1):
        conversation.send(Stepped(number=number, total=steps, progress=number / steps, level=0, losses=LOSSES))
        if steps == FOREVER and conversation.stop.wait(BETWEEN_LOOKS_SECONDS):
            return False
        if gate and gate.exists():
            break
    return True


def copied(request: Request, photo: bytes) -> Painting:
    write_durably(request.picture, b"painted " + photo)
    facts = measure(request.picture)
    image = {"bytes": facts.bytes, "sha256": facts.sha256, "width_px": 1, "height_px": 1}
    now = timestamp(datetime.now(UTC))
    content = request.content.model_dump(exclude={"path"})
    return Painting.model_validate(
        {
            "started_at": now,
            "finished_at": now,
            "preset": request.preset.model_dump(),
            "content": {**content, "width_px": 1, "height_px": 1},
            "styles": [],
            "engine": FACTS,
            "levels": [
                {
                    "width_px": 1,
                    "height_px": 1,
                    "history": [LOSSES.model_dump()],
                    "stop_reason": "iterations",
                    "seconds": 1,
                }
            ],
            "loss": {"initial": 1, "best": 1, "final": 1, "best_step": 0},
            "stop_reason": "iterations",
            "seconds": dict.fromkeys(("queued", "decode", "style_targets", "optimise", "encode"), 0),
            "output": ImageFacts(name=request.picture.name, **image).model_dump(),
        }
    )


if __name__ == "__main__":
    main()
