"""Checkpoints and previews beside a painting: when, and what if they cannot be written."""

import errno
import itertools
import os
import threading
from pathlib import Path

import pytest
from checkpoint_samples import BEGINNING, IDENTITY
from PIL import Image

from nstd.engine.state import Progress
from nstd.engine.transfer import Transfer
from nstd.errors import CheckpointError, SpoolError
from nstd.transfer_settings import TransferSettings
from nstd.worker import files as files_module
from nstd.worker.checkpoint import unpack
from nstd.worker.keeper import Keeper, recall
from nstd.worker.messages import Checkpointed, Hindered, Interim

SETTINGS = TransferSettings(levels=(0.5, 1), iterations=(1, 4))
EVALUATIONS = 2 + 5


class Clock:
    seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def interim(tmp_path):
    (tmp_path / "previews").mkdir()
    return Interim(
        checkpoint=tmp_path / "checkpoint",
        checkpoint_seconds=60,
        preview=tmp_path / "previews" / "job.jpg",
        preview_seconds=0,
    )


@pytest.fixture
def transfer(engine, picture, style):
    return Transfer(engine.descent(SETTINGS), picture("photos/astronaut.jpg", 64), [style("swirls", 96)], SETTINGS)


def painted(transfer, keeper, clock, seconds_a_step=0.0):
    """Paint, wait after every step for what the keeper does, and yield each step with what became of that."""
    for step in transfer.steps():
        clock.seconds += seconds_a_step
        words = list(keeper.advance(transfer, level_ended=len(transfer.levels) > step.level))
        yield step.number, [*words, *keeper.finish()]


def kept(interim):
    checkpoint, _ = recall(interim.checkpoint, IDENTITY)
    return checkpoint.progress.evaluations


def test_a_checkpoint_is_due_after_its_time_and_at_the_end_of_a_level(transfer, interim, clock):
    with Keeper(interim, BEGINNING, clock) as keeper:
        written = {number: words for number, words in painted(transfer, keeper, clock, 25) if words}
    assert {number: [(type(word), word.number) for word in words] for number, words in written.items()} == {
        number: [(Checkpointed, number)] for number in (2, 5, 7)
    }
    assert written[7][0].bytes == interim.checkpoint.stat().st_size
    assert kept(interim) == 7


def test_it_says_how_the_painting_began(transfer, interim, clock):
    with Keeper(interim, BEGINNING, clock) as keeper:
        list(itertools.islice(painted(transfer, keeper, clock), 2))
    checkpoint, arrays = recall(interim.checkpoint, IDENTITY)
    assert checkpoint.model_copy(update={"progress": Progress()}) == BEGINNING
    assert [array.tobytes() for array in arrays] == [array.tobytes() for array in transfer.state.arrays()]


def test_nothing_is_kept_where_that_is_not_wished(transfer, interim, clock):
    never = interim.model_copy(update={"checkpoint_seconds": 0})
    with Keeper(never, BEGINNING, clock) as keeper, Keeper(None, BEGINNING, clock) as none:
        for _, words in painted(transfer, keeper, clock, 1e6):
            assert words == [*none.advance(transfer, level_ended=True)] == []
        assert [*keeper.stop(transfer), *none.stop(transfer)] == []
    assert not interim.checkpoint.exists()


def test_a_stop_writes_the_last_step(transfer, interim, clock):
    with Keeper(interim, BEGINNING, clock) as keeper:
        steps = painted(transfer, keeper, clock)
        for _ in range(4):
            next(steps)
        assert kept(interim) == 2
        [word] = keeper.stop(transfer)
    assert (word.number, kept(interim)) == (4, 4)


def test_what_falls_due_while_something_is_written_follows(transfer, interim, clock):
    both = interim.model_copy(update={"preview_seconds": 10})
    with Keeper(both, BEGINNING, clock) as keeper:
        steps = transfer.steps()
        next(steps)
        clock.seconds += 60
        assert list(keeper.advance(transfer, level_ended=False)) == []
        assert list(keeper.finish()) == []
        assert both.preview.exists()
        assert not both.checkpoint.exists()
        list(keeper.advance(transfer, level_ended=False))
        assert [word.number for word in keeper.finish()] == [1]


def test_the_end_of_a_level_is_kept_though_something_is_written_just_then(transfer, interim, clock, monkeypatch):
    gate = threading.Event()
    write = files_module.write_durably

    def write_when_the_gate_is_open(*arguments):
        assert gate.wait(60)
        write(*arguments)

    monkeypatch.setattr(files_module, "write_durably", write_when_the_gate_is_open)
    with Keeper(interim, BEGINNING, clock) as keeper:
        steps = transfer.steps()
        next(steps)
        clock.seconds += 60
        words = list(keeper.advance(transfer, level_ended=False))
        next(steps)
        words += keeper.advance(transfer, level_ended=True)
        assert words == []
        gate.set()
        words = list(keeper.finish())
        next(steps)
        words += [*keeper.advance(transfer, level_ended=False), *keeper.finish()]
    assert [word.number for word in words] == [1, 3]


def test_a_preview_is_a_small_jpeg_of_the_best_picture_so_far(engine, picture, style, interim, clock):
    wide = picture("photos/coffee.jpg", 600)
    transfer = Transfer(engine.descent(SETTINGS), wide, [style("swirls", 96)], TransferSettings(iterations=(1,)))
    shown = interim.model_copy(update={"checkpoint_seconds": 0, "preview_seconds": 30})
    next(transfer.steps())
    with Keeper(shown, BEGINNING, clock) as keeper:
        list(keeper.advance(transfer, level_ended=False))
        list(keeper.finish())
        assert not shown.preview.exists()
        clock.seconds += 30
        list(keeper.advance(transfer, level_ended=False))
        list(keeper.finish())
    with Image.open(shown.preview) as image:
        assert image.format == "JPEG"
        assert max(image.size) <= 512
        assert image.size[0] / image.size[1] == pytest.approx(wide.shape[1] / wide.shape[0], rel=0.02)
    assert [path.name for path in shown.preview.parent.iterdir()] == ["job.jpg"]


def test_a_preview_is_no_larger_than_the_picture(transfer, interim, clock):
    shown = interim.model_copy(update={"preview_seconds": 1e-6})
    with Keeper(shown, BEGINNING, clock) as keeper:
        next(transfer.steps())
        clock.seconds += 1
        list(keeper.advance(transfer, level_ended=False))
        list(keeper.finish())
    with Image.open(shown.preview) as image:
        assert max(image.size) == 32


def test_trouble_is_told_once_and_the_painting_goes_on(transfer, interim, clock):
    lost = interim.model_copy(update={"checkpoint": interim.checkpoint.parent / "gone" / "checkpoint"})
    with Keeper(lost, BEGINNING, clock) as keeper:
        words = [word for _, words in painted(transfer, keeper, clock, 100) for word in words]
    [hindered] = words
    assert isinstance(hindered, Hindered)
    assert hindered.reason.startswith("cannot write a checkpoint: ")
    assert hindered.reason.endswith(": No such file or directory")
    assert len(transfer.levels) == 2


def test_a_preview_that_cannot_be_written_is_told_and_no_more(transfer, interim, clock):
    lost = interim.model_copy(update={"preview": interim.preview.parent / "gone" / "job.jpg", "preview_seconds": 1})
    with Keeper(lost, BEGINNING, clock) as keeper:
        words = [word for _, words in painted(transfer, keeper, clock, 10) for word in words]
    [reason] = [word.reason for word in words if isinstance(word, Hindered)]
    assert reason.startswith("cannot write a preview: ")
    assert kept(interim) == EVALUATIONS


def test_a_failed_write_leaves_the_checkpoint_before(transfer, interim, clock, monkeypatch):
    with Keeper(interim, BEGINNING, clock) as keeper:
        steps = painted(transfer, keeper, clock)
        for _ in range(3):
            next(steps)
        before = interim.checkpoint.read_bytes()

        def full(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("nstd.spool.durable.os.write", full)
        [word] = keeper.stop(transfer)
    assert word.reason.endswith("No space left on device")
    assert interim.checkpoint.read_bytes() == before
    assert [path.name for path in interim.checkpoint.parent.iterdir() if path.is_file()] == ["checkpoint"]


def test_without_a_checkpoint_there_is_nothing_to_recall(tmp_path):
    assert recall(tmp_path / "checkpoint", IDENTITY) is None


def test_a_checkpoint_that_cannot_be_read_is_of_no_use(tmp_path):
    with pytest.raises(CheckpointError, match="it cannot be read: Is a directory"):
        recall(tmp_path, IDENTITY)


def test_the_file_is_what_unpack_takes(transfer, interim, clock):
    with Keeper(interim, BEGINNING, clock) as keeper:
        list(itertools.islice(painted(transfer, keeper, clock), 2))
    assert unpack(interim.checkpoint.read_bytes(), IDENTITY)[0].progress.evaluations == 2


def test_neither_keeps_the_other_from_its_turn(transfer, interim, clock):
    """Where a step takes longer than the time between two checkpoints, a preview has its turn all the same."""
    both = interim.model_copy(update={"preview_seconds": 90})
    with Keeper(both, BEGINNING, clock) as keeper:
        written = [number for number, words in painted(transfer, keeper, clock, 61) if words]
        assert both.preview.exists()
    assert len(written) >= EVALUATIONS - 2


def test_what_nobody_foresaw_does_not_end_the_painting(transfer, interim, clock, monkeypatch):
    def fail(*_):
        raise MemoryError("no room")

    monkeypatch.setattr("nstd.worker.keeper.pack", fail)
    with Keeper(interim, BEGINNING, clock) as keeper:
        words = [word for _, words in painted(transfer, keeper, clock, 100) for word in words]
    assert [word.reason for word in words] == ["MemoryError: no room"]


def test_a_stop_writes_nothing_twice(transfer, interim, clock):
    with Keeper(interim, BEGINNING, clock) as keeper:
        list(painted(transfer, keeper, clock))
        assert list(keeper.stop(transfer)) == []


@pytest.mark.parametrize(
    ("number", "error", "message"),
    [
        (errno.EMFILE, SpoolError, "cannot read the checkpoint: Too many open files"),
        (errno.EIO, CheckpointError, "it cannot be read: Input/output error"),
    ],
)
def test_only_what_passes_is_waited_for(tmp_path, monkeypatch, number, error, message):
    def fail(_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "read_bytes", fail)
    with pytest.raises(error, match=message):
        recall(tmp_path / "checkpoint", IDENTITY)


def test_a_checkpoint_that_does_not_fit_into_the_memory_is_of_no_use(tmp_path, monkeypatch):
    def fail(_):
        raise MemoryError

    monkeypatch.setattr(Path, "read_bytes", fail)
    with pytest.raises(CheckpointError, match="it does not fit into the memory"):
        recall(tmp_path / "checkpoint", IDENTITY)
