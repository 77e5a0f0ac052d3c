"""What runs in a cluster, without one."""

import errno
import hashlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from daemon_world import eventually

from nstd.cluster.actor import Actor, FilesByParcel, Outbox
from nstd.cluster.messages import SAYINGS, Parcel
from nstd.config.settings import EngineSettings, Limits
from nstd.history import Losses
from nstd.worker.messages import Blame, Checkpointed, Failed, Setup, Stepped

LOSSES = Losses(step=0, total=1.0, terms={"content": 1.0})
SEVERAL_STEPS_SECONDS = 0.1


class Clock:
    seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def step(number: int) -> Stepped:
    return Stepped(number=number, total=9, progress=number / 9, level=0, losses=LOSSES)


def heard(outbox: Outbox) -> list[object]:
    return [SAYINGS.validate_json(line) for line in outbox.listen(0).splitlines()]


def test_of_steps_that_come_too_fast_the_latest_is_said(clock):
    outbox = Outbox(clock)
    for number in (1, 2, 3):
        outbox.say(step(number))
    assert heard(outbox) == [step(1)]
    clock.seconds += 1
    outbox.say(step(4))
    assert heard(outbox) == [step(4)]


def test_step_that_was_held_back_is_said_before_whatever_else(clock):
    outbox = Outbox(clock)
    for number in (1, 2, 3):
        outbox.say(step(number))
    kept = Checkpointed(number=3, bytes=1, seconds=0)
    outbox.say(kept)
    assert heard(outbox) == [step(1), step(3), kept]


def test_who_listens_hears_at_once(clock):
    outbox = Outbox(clock)
    with ThreadPoolExecutor(1) as pool:
        listening = pool.submit(outbox.listen, 60)
        outbox.say(step(1))
        assert SAYINGS.validate_json(listening.result(30)) == step(1)
    began = time.monotonic()
    assert outbox.listen(SEVERAL_STEPS_SECONDS) == b""
    assert time.monotonic() - began >= SEVERAL_STEPS_SECONDS


@pytest.fixture
def parcels() -> list[Parcel]:
    return []


@pytest.fixture
def files(parcels) -> FilesByParcel:
    return FilesByParcel(parcels.append)


def test_file_is_committed_when_the_driver_has_written_it(files, parcels):
    with ThreadPoolExecutor(1) as pool:
        committing = pool.submit(files.commit, Path("checkpoint"), b"one", memoryview(b"two"))
        [parcel] = eventually(lambda: list(parcels), "a parcel")
        sha256 = hashlib.sha256(b"onetwo").hexdigest()
        assert parcel == Parcel(path="checkpoint", pieces=1, sha256=sha256, for_good=True)
        assert files.piece(0).tobytes() == b"onetwo"
        assert not committing.done()
        files.settle(0, "")
        committing.result(30)


def test_what_keeps_the_driver_from_writing_is_the_error_here(files, parcels):
    with ThreadPoolExecutor(1) as pool:
        replacing = pool.submit(files.replace, Path("preview"), b"a picture")
        assert eventually(lambda: list(parcels), "a parcel")[0].for_good is False
        files.settle(errno.ENOSPC, "No space left on device")
        with pytest.raises(OSError, match="No space left on device: 'preview'") as caught:
            replacing.result(30)
    assert caught.value.errno == errno.ENOSPC


def test_picture_can_be_read_back_and_a_checkpoint_only_once(files, parcels):
    files.take({Path("checkpoint"): b"state", Path("content"): b"cat"})
    assert files.read(Path("checkpoint")) == b"state"
    with pytest.raises(FileNotFoundError):
        files.read(Path("checkpoint"))
    assert [files.image(Path("content")) for _ in range(2)] == [b"cat", b"cat"]
    settling = threading.Thread(target=lambda: (eventually(lambda: parcels, "a parcel"), files.settle(0, "")))
    settling.start()
    files.commit(Path("picture.png"), b"a painting")
    settling.join()
    assert files.read(Path("picture.png")) == b"a painting"


@pytest.mark.parametrize("harm", ["another", "damaged"])
def test_weights_that_are_not_those_that_were_sent_are_refused(weights, harm, monkeypatch):
    monkeypatch.setattr("ray.util.get_node_ip_address", lambda: "192.0.2.7")
    content, sha256 = np.fromfile(weights.path, np.uint8), weights.sha256
    if harm == "another":
        sha256 = "0" * 64
    else:
        content[1000] ^= 1
    setup = Setup(engine=EngineSettings(), limits=Limits(), cache=Path())
    said = SAYINGS.validate_json(Actor().load(setup.model_dump_json().encode(), sha256, content))
    assert isinstance(said, Failed)
    assert said.blame is Blame.OPERATOR
    expected = {
        "another": f"vgg19.npz: has arrived with the SHA-256 {weights.sha256}, expected {'0' * 64}",
        "damaged": f"the SHA-256 of its {len(content)} bytes is not the one it ends with",
    }
    assert said.message == expected[harm]


def test_what_fails_on_a_gpu_is_said_with_what_the_process_holds(monkeypatch):
    """The daemon then hangs up, which ends the actor."""
    monkeypatch.setattr("ray.util.get_node_ip_address", lambda: "192.0.2.7")
    failed = Failed(blame=Blame.MEMORY, message="the GPU is out of memory", is_last=True)

    class Painter:
        def run(self, *_: object) -> None:
            raise ValueError

        def failure(self, error: Exception, _request: object) -> Failed:
            assert isinstance(error, ValueError)
            return failed

    actor = Actor()
    actor._work(Painter(), None)  # noqa: SLF001  in a thread it would be the same
    said = SAYINGS.validate_json(actor.listen())
    assert said.resident_bytes > 1 << 20
    assert said == failed.model_copy(update={"resident_bytes": said.resident_bytes})
