"""What is kept of a picture while it is painted: checkpoints to go on from, and previews to look at."""

import errno
import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from nstd.engine.state import Progress
from nstd.engine.transfer import Transfer
from nstd.errors import CheckpointError, NstdError, SpoolError
from nstd.images.encode import encode_image
from nstd.images.resize import fitted_size, resize_image, size_of
from nstd.preset import OutputFormat
from nstd.spool.durable import trouble
from nstd.worker.checkpoint import Checkpoint, Identity, pack, unpack
from nstd.worker.files import Disk, Files
from nstd.worker.messages import Checkpointed, Hindered, Interim

_PREVIEW_PX: Final = 512
_PREVIEW_QUALITY: Final = 85
_PASSING: Final = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE, errno.ETIMEDOUT}

_DISK: Final = Disk()

Word = Checkpointed | Hindered


def recall(path: Path, identity: Identity, files: Files = _DISK) -> tuple[Checkpoint, list[NDArray[np.float32]]] | None:
    """Read the checkpoint of a painting, if there is one.

    Raises:
        CheckpointError: it cannot be read, or be of use; says why.
        SpoolError: it cannot be read just now.
    """
    try:
        return unpack(files.read(path), identity)
    except FileNotFoundError:
        return None
    except MemoryError as error:
        msg = "it does not fit into the memory"
        raise CheckpointError(msg) from error
    except OSError as error:
        if error.errno in _PASSING:
            msg = f"cannot read the checkpoint: {error.strerror}"
            raise SpoolError(msg) from error
        msg = f"it cannot be read: {error.strerror}"
        raise CheckpointError(msg) from error


class Keeper:
    """Write checkpoints and previews of one painting when they are due, in a thread beside it.

    One thing is written at a time, and what falls due meanwhile follows. Where that fails, it is told, and tried again
    when it is due again: the painting goes on.

    Args:
        interim: what to keep, where and how often; None for nothing.
        beginning: what each checkpoint tells, but for the progress.
        clock: seconds that never run backwards.
        written: evaluations in the checkpoint that lies there already.
        files: where it is kept.
    """

    def __init__(
        self,
        interim: Interim | None,
        beginning: Checkpoint,
        clock: Callable[[], float] = time.monotonic,
        *,
        written: int = 0,
        files: Files = _DISK,
    ) -> None:
        self._interim = interim
        self._beginning = beginning
        self._clock = clock
        self._files = files
        self._checkpoint = _Interval(interim.checkpoint_seconds if interim else 0, clock)
        self._preview = _Interval(interim.preview_seconds if interim else 0, clock)
        self._thread = ThreadPoolExecutor(1, "keeper")
        self._writing: Future[Checkpointed | None] | None = None
        self._level_ended = False
        self._written = written
        self._told: set[str] = set()

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """End; what is being written comes to its end first."""
        self._thread.shutdown()

    def advance(self, transfer: Transfer, *, level_ended: bool) -> Iterator[Word]:
        """Begin to write what is due after a step; yield what became of what was begun before.

        Args:
            transfer: the painting.
            level_ended: the step was the last one of a level, at which a checkpoint is always due.
        """
        self._level_ended |= level_ended and self._checkpoint.is_wanted
        if self._writing and not self._writing.done():
            return
        yield from self.finish()
        # What has been due for longer goes first, so that neither keeps the other from its turn.
        if self._level_ended or (self._checkpoint.is_due() and self._checkpoint.due <= self._preview.due):
            self._begin_checkpoint(transfer)
        elif self._preview.is_due():
            self._writing = self._thread.submit(self._show, transfer)

    def stop(self, transfer: Transfer) -> Iterator[Word]:
        """Write a checkpoint of the last step, unless there is one, and wait for it."""
        yield from self.finish()
        if self._checkpoint.is_wanted and self._written != transfer.state.progress.evaluations:
            self._begin_checkpoint(transfer)
            yield from self.finish()

    def finish(self) -> Iterator[Word]:
        """Wait for what is being written, and yield what became of it."""
        writing, self._writing = self._writing, None
        try:
            if writing and (word := writing.result()):
                self._written = word.number
                yield word
        except Exception as error:  # noqa: BLE001  whatever it is, the picture itself may still come about
            yield from self._hindered(error)

    def _hindered(self, error: Exception) -> Iterator[Hindered]:
        # By the system's own words, for the names of temporary files differ.
        kind = getattr(error.__cause__, "strerror", None) or str(error)
        if kind not in self._told:
            self._told.add(kind)
            yield Hindered(reason=str(error) if isinstance(error, NstdError) else f"{type(error).__name__}: {error}")

    def _begin_checkpoint(self, transfer: Transfer) -> None:
        self._level_ended = False
        progress, *_ = state = transfer.state
        # As arrays: the tensors would hold on to a GPU's memory until all is written.
        self._writing = self._thread.submit(self._commit, progress, state.arrays())

    def _commit(self, progress: Progress, arrays: list[NDArray[np.float32]]) -> Checkpointed:
        began = self._clock()
        checkpoint = self._beginning.model_copy(update={"progress": progress})
        try:
            pieces = [*pack(checkpoint, arrays)]
            with trouble("write a checkpoint"):
                self._files.commit(self._kept.checkpoint, *pieces)
        finally:
            self._checkpoint.begin()
        size = sum(len(piece) for piece in pieces)
        return Checkpointed(number=progress.evaluations, bytes=size, seconds=self._clock() - began)

    def _show(self, transfer: Transfer) -> None:
        try:
            best = transfer.best  # of the last finished step, whichever that is by now
            width, height = size_of(best)
            small = resize_image(best, *fitted_size(width, height, min(_PREVIEW_PX, max(width, height))))
            with trouble("write a preview"):
                self._files.replace(self._kept.preview, encode_image(small, OutputFormat.JPEG, _PREVIEW_QUALITY))
        finally:
            self._preview.begin()

    @property
    def _kept(self) -> Interim:
        if self._interim is None:  # pragma: no cover  nothing is ever due then
            raise AssertionError("nothing is to be kept")
        return self._interim


class _Interval:
    """Says when something is due that comes again and again; the time counts from when it was last done.

    Args:
        seconds: between two; 0 for never.
        clock: as above.

    Attributes:
        due: when; infinite for never.
        is_wanted: it is not never.
    """

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self.is_wanted = seconds > 0
        self._seconds = seconds or math.inf
        self._clock = clock
        self.begin()

    def begin(self) -> None:
        self.due = self._clock() + self._seconds

    def is_due(self) -> bool:
        return self._clock() >= self.due
