"""One request after the other, from images to a painting, on an engine that stays warm."""

import functools
import hashlib
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import tensorflow as tf

from nstd import __version__
from nstd.config.settings import EngineSettings, Limits
from nstd.engine.device import claim_device, memory_bytes
from nstd.engine.engine import Engine
from nstd.engine.gpu_memory import gpu_memory
from nstd.engine.pixels import Picture
from nstd.engine.styles import Style
from nstd.engine.transfer import Transfer
from nstd.errors import CheckpointError, InputError, StyleError
from nstd.images.decode import decode_fitted, decode_scaled, probe_image
from nstd.images.encode import check_picture, encode_image
from nstd.images.resize import size_of
from nstd.job import EngineFacts, ImageFacts, Painting, Phases, StyleFacts
from nstd.memory import GIB
from nstd.network import Precision
from nstd.spool.durable import trouble
from nstd.weights.store import Weights
from nstd.worker.checkpoint import Checkpoint, Identity, Provenance
from nstd.worker.failure import failure_of
from nstd.worker.files import Disk, Files
from nstd.worker.keeper import Keeper, recall
from nstd.worker.messages import (
    Blame,
    Done,
    Event,
    Failed,
    Interrupted,
    Noted,
    Request,
    Resumed,
    Source,
    StartedOver,
    Stepped,
    StyleSource,
)
from nstd.worker.shortage import explained


class Painter:
    """Hold the engine and paint what is requested.

    Args:
        settings: of the engine.
        limits: for content and style images.
        weights: of the network that `settings` names.
        files: what the requests' paths lead to.

    Attributes:
        facts: what computes here, for the result log.

    Raises:
        ConfigError: the machine has no such device.
    """

    def __init__(self, settings: EngineSettings, limits: Limits, weights: Weights, files: Files | None = None) -> None:
        device = claim_device(settings.device, settings.precision, settings.gpu_memory_gib)
        self._files = files or Disk()
        self._limits = limits
        self._style_sizes: dict[str, tuple[int, int]] = {}
        self._engine = Engine(weights.network, weights.arrays, device.precision)
        if device.name != "cpu":
            self._engine.check_device(device.name, weights.arrays)
        self._memory = gpu_memory(device.name) if device.name != "cpu" else None
        self._limit_bytes = settings.gpu_memory_gib * GIB
        self._size: tuple[int, int] | None = None
        self.facts = EngineFacts(
            network=weights.network,
            weights_source=weights.source,
            weights_sha256=weights.sha256,
            device=device.name,
            device_model=device.model,
            precision=device.precision,
            precision_reason=device.reason,
            nstd_version=__version__,
            tensorflow_version=tf.__version__,
        )

    def run(self, request: Request, is_stopped: Callable[[], bool] = lambda: False) -> Iterator[Event]:
        """Paint, from the checkpoint if there is one; yield what happens.

        Args:
            request: what to paint.
            is_stopped: asked after every step whether to stop there.

        Yields:
            At last `Done`, once the picture is committed, or `Interrupted`, once the checkpoint is.

        Raises:
            InputError: the photo cannot be read.
            StyleError: a style image cannot be read.
            SpoolError: the machine cannot read or write a file.
            EngineError: the computation went wrong.
        """
        started_at, lap, self._size = _now(), _stopwatch(), None
        content, content_size = decode_fitted(
            self._files.image(request.content.path),
            self._limits,
            request.preset.size_px,
            name=request.content.name,
        )
        self._size = size_of(content)
        beginning = Checkpoint(
            identity=self._identity(request),
            provenance=Provenance(**self.facts.model_dump(include={*Provenance.model_fields})),
            started_at=started_at,
            decode_seconds=lap(),
        )
        transfer, beginning, word = self._begin(request, content, beginning)
        if word:
            yield word
        recalled = word if isinstance(word, Resumed) else Resumed(number=0, seconds=0)
        with Keeper(request.interim, beginning, written=recalled.number, files=self._files) as keeper:
            told = len(transfer.notes) if isinstance(word, Resumed) else 0
            is_whole = yield from _steps(transfer, keeper, is_stopped, told)
            yield from keeper.stop(transfer)
        if not is_whole:
            yield Interrupted()
            return
        optimise = recalled.seconds + lap() - transfer.style_seconds
        output = self._commit(transfer.best, request)
        seconds = Phases(
            queued=0,
            decode=beginning.decode_seconds,
            style_targets=transfer.style_seconds,
            optimise=optimise,
            encode=lap(),
        )
        painting = self._account(
            request, beginning, transfer, content_size=content_size, seconds=seconds, output=output
        )
        yield Done(painting=painting)

    def _account(
        self,
        request: Request,
        beginning: Checkpoint,
        transfer: Transfer,
        *,
        content_size: tuple[int, int],
        seconds: Phases,
        output: ImageFacts,
    ) -> Painting:
        """Tell all of a finished picture."""
        return Painting(
            started_at=beginning.started_at,
            finished_at=_now(),
            preset=request.preset,
            content=ImageFacts(**_facts(request.content, content_size)),
            styles=tuple(
                StyleFacts(**_facts(style, self._style_size(style)), weight=style.weight) for style in request.styles
            ),
            engine=self.facts,
            levels=tuple(transfer.levels),
            loss=transfer.loss,
            stop_reason=transfer.levels[-1].stop_reason,
            notes=tuple(transfer.notes),
            seconds=seconds,
            provenance_changes=beginning.changes,
            output=output,
        )

    def failure(self, error: Exception, request: Request) -> Failed:
        """Say who must act on what `run` has raised, and on a GPU without memory what would fit.

        Args:
            error: that.
            request: the request that it came of.
        """
        failed = failure_of(error, on_gpu=self.facts.device != "cpu")
        if failed.blame is not Blame.MEMORY:
            return failed
        size = self._size or (request.preset.size_px, request.preset.size_px)
        in_float32 = self.facts.precision == Precision.FLOAT32
        return explained(failed, size, self._memory, limit_bytes=self._limit_bytes, in_float32=in_float32)

    def _identity(self, request: Request) -> Identity:
        return Identity(
            network=self.facts.network,
            weights_sha256=self.facts.weights_sha256,
            content_sha256=request.content.sha256,
            styles=tuple((style.sha256, style.weight) for style in request.styles),
            preset=request.preset,
        )

    def _begin(
        self, request: Request, content: Picture, beginning: Checkpoint
    ) -> tuple[Transfer, Checkpoint, Resumed | StartedOver | None]:
        """Prepare the painting, from its checkpoint if that can be; say how it began, and what to tell of it.

        The state that it starts from is nowhere else: it would be held for as long as the painting goes on.
        """
        styles = [self._style(source) for source in request.styles]
        transfer = functools.partial(
            self._engine.transfer, content, styles, request.preset, spare_memory=request.spare_memory
        )
        try:
            recalled = recall(request.interim.checkpoint, beginning.identity, self._files) if request.interim else None
            if recalled is None:
                return transfer(), beginning, None
            checkpoint, arrays = recalled
            state = self._engine.state(request.preset, checkpoint.progress, arrays, spare_memory=request.spare_memory)
        except CheckpointError as error:
            return transfer(), beginning, StartedOver(reason=str(error))
        progress, differs = checkpoint.progress, checkpoint.provenance.changes_to(beginning.provenance)
        beginning = checkpoint.resumed_by(beginning.provenance, beginning.decode_seconds)
        word = Resumed(number=progress.evaluations, seconds=progress.seconds, differs=differs)
        return transfer(state), beginning, word

    def _style(self, source: StyleSource) -> Style:
        def read(width: int, height: int) -> Picture:
            with _blaming_style():
                return decode_scaled(self._files.image(source.path), self._limits, (width, height), name=source.name)

        return Style(source.sha256, source.weight, source.name, self._style_size(source), read)

    def _style_size(self, source: StyleSource) -> tuple[int, int]:
        if source.sha256 not in self._style_sizes:
            with _blaming_style():
                size = probe_image(self._files.image(source.path), self._limits, name=source.name)
            self._style_sizes[source.sha256] = size
        return self._style_sizes[source.sha256]

    def _commit(self, picture: Picture, request: Request) -> ImageFacts:
        data = encode_image(picture, request.preset.format, request.preset.jpeg_quality)
        with trouble("write the picture"):
            self._files.commit(request.picture, data)
            written = self._files.read(request.picture)
        width, height = size_of(picture)
        check_picture(written, request.preset.format, (width, height))
        return ImageFacts(
            name=request.picture.name,
            bytes=len(written),
            sha256=hashlib.sha256(written).hexdigest(),
            width_px=width,
            height_px=height,
        )


def _steps(
    transfer: Transfer, keeper: Keeper, is_stopped: Callable[[], bool], told: int
) -> Generator[Event, None, bool]:
    """Paint; yield what happens, and return whether the picture is whole.

    Args:
        transfer: the painting.
        keeper: of its checkpoints and previews.
        is_stopped: asked after every step whether to stop there.
        told: how many of the painting's notes are known already.
    """
    for step in transfer.steps():
        yield from (Noted(note=note) for note in transfer.notes[told:])
        told = len(transfer.notes)
        yield Stepped(**step._asdict(), device_memory_bytes=memory_bytes())
        if is_stopped():
            return False
        yield from keeper.advance(transfer, level_ended=len(transfer.levels) > step.level)
    return True


@contextmanager
def _blaming_style() -> Iterator[None]:
    try:
        yield
    except InputError as error:
        msg = f"style image {error}"
        raise StyleError(msg) from error


def _facts(source: Source, size: tuple[int, int]) -> dict[str, str | int]:
    width, height = size
    return {
        "name": source.name,
        "bytes": source.bytes,
        "sha256": source.sha256,
        "width_px": width,
        "height_px": height,
    }


def _stopwatch(clock: Callable[[], float] = time.monotonic) -> Callable[[], float]:
    """Return a function that tells the seconds since its last call."""
    last = clock()

    def lap() -> float:
        nonlocal last
        before, last = last, clock()
        return last - before

    return lap


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
