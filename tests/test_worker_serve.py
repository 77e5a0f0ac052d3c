"""What a worker does when its device fails, by a painter that raises."""

import os
from pathlib import Path

import pytest

from nstd.config.settings import EngineSettings, Limits
from nstd.engine.gpu_memory import GpuMemory
from nstd.errors import EngineError, InputError
from nstd.memory import GIB
from nstd.preset import Preset
from nstd.weights.store import Weights
from nstd.worker.messages import Blame, Event, Failed, Ready, Request, Setup, Source

REQUEST = Request(
    preset=Preset.model_validate({"styles": ["a.jpg"], "size_px": 8000}),
    content=Source(name="a.jpg", path=Path("a.jpg"), bytes=1, sha256="0" * 64),
    styles=(),
    picture=Path("picture.png"),
)


class Conversation:
    """Requests without end, and what was said."""

    def __init__(self) -> None:
        self.said: list[Event] = []
        self.stop = type("Stop", (), {"is_set": staticmethod(lambda: False)})

    def receive(self) -> Request:
        return REQUEST

    def send(self, event: Event) -> None:
        self.said.append(event)


@pytest.fixture
def serve_on_gpu(weights: Weights, monkeypatch: pytest.MonkeyPatch, cache: Path):
    """Return a function that serves with a painter that seems to be on a GPU, and raises one error after the other."""
    from nstd.worker import serve  # noqa: PLC0415  only tests that compute pay for TensorFlow
    from nstd.worker.painter import Painter  # noqa: PLC0415

    def run(*errors: Exception, memory: GpuMemory | None = None) -> tuple[int, list[Event]]:
        painter = Painter(EngineSettings(device="cpu"), Limits(), weights)
        painter.facts = painter.facts.model_copy(update={"device": "gpu:0", "precision": "float16"})
        painter._memory = memory  # noqa: SLF001  no driver is here
        raised = iter(errors)

        def paint(*_: object) -> None:
            raise next(raised)

        painter.run = paint
        monkeypatch.setattr(serve, "Painter", lambda *_: painter)
        conversation = Conversation()
        status = serve.serve(Setup(engine=EngineSettings(), limits=Limits(), cache=cache), conversation)
        assert isinstance(conversation.said[0], Ready)
        return status, conversation.said[1:]

    return run


def test_foreseen_errors_do_not_end_it_and_one_that_nobody_foresaw_does(serve_on_gpu):
    status, said = serve_on_gpu(InputError("a"), EngineError("the loss became nan"), ValueError("b"))
    assert status == os.EX_SOFTWARE
    assert [(one.blame, one.is_last) for one in said] == [
        (Blame.INPUT, False),
        (Blame.ENGINE, False),
        (Blame.ENGINE, True),
    ]
    assert all(one.resident_bytes > 100 << 20 for one in said)


def test_out_of_memory_ends_it_with_what_would_fit(serve_on_gpu):
    import tensorflow as tf  # noqa: PLC0415

    exhausted = tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor", 8)
    status, [failed] = serve_on_gpu(exhausted, memory=GpuMemory(23 * GIB, 24 * GIB))
    assert status == os.EX_SOFTWARE
    assert isinstance(failed, Failed)
    assert (failed.blame, failed.is_last, failed.may_pass) == (Blame.MEMORY, True, False)
    assert failed.message == (
        "the GPU is out of memory: OOM when allocating tensor; a picture of 8000 x 8000 px takes about 132.0 GiB, and "
        "there are 24.0 of the GPU's 24.0 GiB for it: size_px: 3360 would fit"
    )


def test_network_that_cannot_be_loaded_ends_it_as_before(tmp_path):
    from nstd.worker import serve  # noqa: PLC0415

    conversation = Conversation()
    setup = Setup(engine=EngineSettings(), limits=Limits(), cache=tmp_path)
    assert serve.serve(setup, conversation) == os.EX_CONFIG
    [failed] = conversation.said
    assert failed.blame is Blame.OPERATOR
