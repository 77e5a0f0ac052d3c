import os
import select
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from nstd.config.settings import EngineSettings, Limits
from nstd.network import Network
from nstd.preset import Preset
from nstd.spool.durable import measure
from nstd.weights.store import load_weights
from nstd.worker.line import LineReader
from nstd.worker.messages import (
    Blame,
    Checkpointed,
    Done,
    Event,
    Failed,
    Interim,
    Interrupted,
    Ready,
    Request,
    Resumed,
    Setup,
    Source,
    StartedOver,
    Stepped,
    StyleSource,
)
from nstd.worker.process import WorkerProcess

ASSETS = Path(__file__).parent.parent / "nstd" / "assets"
QUICK = {"size_px": 64, "levels": (1,), "iterations": (2,)}
ENDLESS = QUICK | {"iterations": (100_000,), "tolerance": 0}
DEADLINE_SECONDS = 300


def events_until(worker: WorkerProcess, *kinds: type) -> list[Event]:
    """Read events until one of these kinds has come."""
    found: list[Event] = []
    while not (found and isinstance(found[-1], kinds)):
        ready, _, _ = select.select([worker.events], [], [], DEADLINE_SECONDS)
        assert ready, f"the worker says nothing more after {found}: {worker.read_chatter()}"
        found.extend(worker.read_events())
        assert not worker.events.closed, worker.read_chatter()
    return found


def wait_for_the_end(worker: WorkerProcess) -> list[Event]:
    found: list[Event] = []
    while not worker.events.closed:
        ready, _, _ = select.select([worker.events], [], [], DEADLINE_SECONDS)
        assert ready, "the worker does not end"
        found.extend(worker.read_events())
    return found


def source(path: Path) -> dict[str, object]:
    facts = measure(path)
    return {"name": path.name, "path": path, "bytes": facts.bytes, "sha256": facts.sha256}


@pytest.fixture
def request_for(tmp_path: Path) -> Callable[..., Request]:
    """Return a function that requests the painting of a photo."""

    def make(content: Path = ASSETS / "photos/chelsea.jpg", **settings: object) -> Request:
        style = ASSETS / "styles/swirls.jpg"
        return Request(
            preset=Preset.model_validate({"styles": [style]} | QUICK | settings),
            content=Source(**source(content)),
            styles=(StyleSource(**source(style), weight=1),),
            picture=tmp_path / "picture.png",
        )

    return make


@pytest.fixture(scope="module")
def setup(cache: Path) -> Setup:
    return Setup(engine=EngineSettings(), limits=Limits(), cache=cache)


@pytest.fixture
def start(setup: Setup) -> Iterator[Callable[..., WorkerProcess]]:
    started: list[WorkerProcess] = []

    def start_one(setup: Setup = setup) -> WorkerProcess:
        started.append(WorkerProcess(setup))
        return started[-1]

    yield start_one
    for worker in started:
        worker.kill()
        worker.close()


@pytest.fixture(scope="module")
def warm(setup: Setup) -> Iterator[WorkerProcess]:
    """A worker that serves several tests, as it serves several jobs."""
    worker = WorkerProcess(setup)
    *_, ready = events_until(worker, Ready)
    assert ready.engine.weights_sha256 == load_weights(Network.VGG19, setup.cache).sha256
    yield worker
    assert worker.close() == "exited with status 0"


def test_what_ends_a_job_does_not_end_the_worker(warm, request_for, tmp_path):
    worker = warm
    worker.request(request_for())
    *steps, done = events_until(worker, Done)
    assert [(step.number, step.total, step.level) for step in steps] == [(1, 3, 0), (2, 3, 0), (3, 3, 0)]
    assert done.painting.output.sha256 == measure(tmp_path / "picture.png").sha256
    with Image.open(tmp_path / "picture.png") as picture:
        assert picture.size == (64, 43)

    (tmp_path / "text.jpg").write_text("not a picture")
    worker.request(request_for(tmp_path / "text.jpg"))
    [refused] = events_until(worker, Failed)
    assert (refused.blame, refused.traceback) == (Blame.INPUT, "")
    assert refused.message.startswith("text.jpg: is not an image that nstd can read")

    worker.request(request_for(style_weight=1e37))
    [broken] = events_until(worker, Failed)
    assert (broken.blame, broken.message[:23]) == (Blame.ENGINE, "the loss became inf at ")

    worker.request(request_for(**ENDLESS))
    events_until(worker, Stepped)
    worker.stop()
    assert isinstance(events_until(worker, Interrupted)[-1], Interrupted)

    worker.request(request_for())
    assert [type(event) for event in events_until(worker, Done)] == [Stepped, Stepped, Stepped, Done]


@pytest.fixture
def resumable(request_for, tmp_path) -> Callable[..., Request]:
    """Return a function that requests a painting whose checkpoint is written when it is stopped."""
    (tmp_path / "previews").mkdir()
    interim = Interim(
        checkpoint=tmp_path / "checkpoint",
        checkpoint_seconds=3600,
        preview=tmp_path / "previews" / "job.jpg",
        preview_seconds=0,
    )

    def make(**settings: object) -> Request:
        return request_for(iterations=(40,), tolerance=0, **settings).model_copy(update={"interim": interim})

    return make


def stop_after(worker: WorkerProcess, request: Request) -> Checkpointed:
    worker.request(request)
    events_until(worker, Stepped)
    worker.stop()
    return next(event for event in events_until(worker, Interrupted) if isinstance(event, Checkpointed))


def test_a_stopped_job_goes_on_from_its_checkpoint(warm, resumable, tmp_path):
    warm.request(resumable())
    peaceful = events_until(warm, Done)[-1].painting
    written = stop_after(warm, resumable(seed=1))  # another painting
    assert written.bytes == (tmp_path / "checkpoint").stat().st_size
    (tmp_path / "checkpoint").unlink()

    written = stop_after(warm, resumable())
    warm.request(resumable())
    resumed, *steps, done = events_until(warm, Done)
    assert isinstance(resumed, Resumed)
    assert resumed.number == written.number
    assert next(step.number for step in steps if isinstance(step, Stepped)) == written.number + 1
    assert done.painting.output.sha256 == peaceful.output.sha256
    assert done.painting.seconds.optimise > resumed.seconds > 0


def test_a_job_goes_on_in_another_precision_and_says_so(start, setup, resumable, tmp_path):
    """As after a driver's update, or on another GPU: what was done is not thrown away."""
    engine = {precision: EngineSettings(device="cpu", precision=precision) for precision in ("float32", "bfloat16")}
    first, second = (start(setup.model_copy(update={"engine": settings})) for settings in engine.values())
    first.request(resumable())
    whole = events_until(first, Done)[-1].painting
    (tmp_path / "checkpoint").unlink()
    written = stop_after(first, resumable())
    second.request(resumable())
    events_until(second, Ready)
    resumed, *_, done = events_until(second, Done)
    assert (resumed.number, resumed.differs) == (written.number, ("precision: float32, then bfloat16",))
    painting = done.painting
    assert painting.provenance_changes == resumed.differs
    assert (painting.engine.precision, len(painting.levels[0].history)) == ("bfloat16", 41)
    assert painting.loss.best == pytest.approx(whole.loss.best, rel=0.05)
    assert whole.provenance_changes == ()


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (lambda data: data[: len(data) // 2], "it is damaged or cut off: "),
        (lambda data: data[:5000] + bytes([data[5000] ^ 1]) + data[5001:], "it is damaged or cut off: "),
        (lambda _: b"", "it is not an nstd checkpoint of this version "),
        (None, "it is of another painting: its preset.seed is 1 (expected 0)"),
    ],
    ids=["truncated", "flipped", "empty", "foreign"],
)
def test_a_checkpoint_that_is_of_no_use_starts_the_job_over_and_says_why(warm, resumable, tmp_path, harm, reason):
    stop_after(warm, resumable(seed=0 if harm else 1))
    checkpoint = tmp_path / "checkpoint"
    if harm:
        checkpoint.write_bytes(harm(checkpoint.read_bytes()))
    warm.request(resumable())
    over, first, *_ = events_until(warm, Done)
    assert isinstance(over, StartedOver)
    assert over.reason.startswith(reason)
    assert first.number == 1


def test_a_job_that_spares_memory_goes_on_from_the_checkpoint_of_one_that_did_not(warm, resumable, tmp_path):
    warm.request(resumable())
    usual = events_until(warm, Done)[-1].painting
    (tmp_path / "checkpoint").unlink()
    stop_after(warm, resumable())
    warm.request(resumable().model_copy(update={"spare_memory": True}))
    resumed, *_, done = events_until(warm, Done)
    assert isinstance(resumed, Resumed)
    assert done.painting.loss.best == pytest.approx(usual.loss.best, rel=0.2)
    assert done.resident_bytes > 100 << 20


def test_a_job_whose_last_step_was_kept_only_writes_its_picture(warm, resumable, tmp_path):
    warm.request(resumable())
    whole = events_until(warm, Done)[-1].painting
    (tmp_path / "picture.png").unlink()
    warm.request(resumable())
    resumed, done = events_until(warm, Done)
    assert resumed.number == 41
    assert done.painting.output.sha256 == whole.output.sha256
    assert done.painting.styles == whole.styles


def test_damaged_style_image_is_not_the_photos_fault(warm, request_for, tmp_path):
    damaged = tmp_path / "damaged.jpg"
    damaged.write_bytes((ASSETS / "styles/swirls.jpg").read_bytes()[:5000])
    style = StyleSource(**source(damaged), weight=1)
    warm.request(request_for().model_copy(update={"styles": (style,)}))
    [failed] = events_until(warm, Failed)
    assert failed.blame is Blame.STYLE
    assert failed.message.startswith("style image damaged.jpg: the file is cut off or damaged")


def test_machine_in_trouble_is_not_the_photos_fault(warm, request_for, tmp_path):
    warm.request(request_for().model_copy(update={"picture": tmp_path / "missing" / "picture.png"}))
    failed = events_until(warm, Failed)[-1]
    assert failed.blame is Blame.MACHINE
    assert failed.message.startswith("cannot write the picture: ")


def test_worker_sees_the_gpu_that_is_named_and_no_other(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    device = "MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f"
    setup = Setup(engine=EngineSettings(device=device), limits=Limits(), cache=tmp_path)
    worker = WorkerProcess(setup, command=("sh", "-c", "echo $CUDA_VISIBLE_DEVICES >&2"))
    wait_for_the_end(worker)
    assert worker.read_chatter() == [device]
    worker.close()


def test_missing_weights_end_the_worker_with_the_command_to_run(start, setup, request_for, tmp_path, monkeypatch):
    monkeypatch.setenv("NSTD_CACHE", str(tmp_path))
    worker = start(setup.model_copy(update={"cache": tmp_path}))
    worker.request(request_for())
    [failed] = wait_for_the_end(worker)
    assert failed == Failed(
        blame=Blame.OPERATOR,
        message=f"vgg19 weights are missing: nothing at {tmp_path}/weights/vgg19.npz; run 'nstd weights pull'",
    )
    assert worker.close() == "exited with status 78"


def test_only_the_daemon_is_stopped_by_signals(warm, request_for):
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(warm.pid, number)
    warm.request(request_for())
    assert isinstance(events_until(warm, Done)[-1], Done)


def test_worker_ends_at_once_when_the_daemon_is_gone(start, request_for):
    worker = start()
    worker.request(request_for(**ENDLESS))
    events_until(worker, Stepped)
    assert worker.close(timeout_seconds=DEADLINE_SECONDS) == "exited with status 0"


def test_killed_worker_is_told_from_one_that_left(start, request_for):
    worker = start()
    worker.request(request_for(**ENDLESS))
    events_until(worker, Stepped)
    worker.kill()
    wait_for_the_end(worker)
    worker.request(request_for())
    assert worker.close() == "was killed by SIGKILL"


def test_worker_that_does_not_leave_is_killed(start):
    worker = start()
    os.kill(worker.pid, signal.SIGSTOP)
    assert worker.close(timeout_seconds=0.1) == "was killed by SIGKILL"


def test_chatter_of_the_libraries_does_not_disturb_the_events(warm, request_for, tmp_path):
    """libtiff complains about a damaged file on its own."""
    whole = tmp_path / "whole.tif"
    with Image.open(ASSETS / "photos/chelsea.jpg") as photo:
        photo.save(whole, compression="tiff_lzw")
    damaged = tmp_path / "damaged.tif"
    data = bytearray(whole.read_bytes())
    data[200:1200] = b"\xff" * 1000
    damaged.write_bytes(data)
    warm.request(request_for(damaged))
    assert events_until(warm, Failed)[-1].blame is Blame.INPUT
    warm.read_chatter()
    assert any("code not yet in table" in line for line in warm.last_lines)


def test_lines_are_read_whole_however_they_come():
    reading, writing = (os.fdopen(end, mode, buffering=0) for end, mode in zip(os.pipe(), ("rb", "wb"), strict=True))
    reader = LineReader(reading, longest_bytes=100)
    assert reader.read() == []
    writing.write(b"one\ntw")
    assert reader.read() == [b"one"]
    writing.write(b"o\n\nthree")
    assert reader.read() == [b"two", b""]
    assert not reader.closed
    writing.close()
    assert reader.read() == []
    assert reader.closed
    reader.close()


def test_line_that_is_too_long_comes_in_pieces():
    reading, writing = (os.fdopen(end, mode, buffering=0) for end, mode in zip(os.pipe(), ("rb", "wb"), strict=True))
    reader = LineReader(reading, longest_bytes=4)
    writing.write(b"12345678")
    assert reader.read() == [b"1234"]
    writing.write(b"9\n1234\n12345\n")
    assert reader.read() == [b"5678", b"9", b"1234", b"1234", b"5"]
    writing.close()
    reader.close()
