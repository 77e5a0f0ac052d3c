"""Neural style transfer from coarse to fine: the loop that paints."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple, cast

import numpy as np

from nstd.engine.balance import TermWeights
from nstd.engine.descent import Canvas, Descent
from nstd.engine.objective import Targets
from nstd.engine.pixels import Picture, deprocess, preprocess
from nstd.engine.state import Progress, State
from nstd.engine.stopping import Stopping
from nstd.engine.styles import StatisticsCache, Style
from nstd.errors import EngineError
from nstd.images.resize import MIN_SIDE_PX, fitted_size, resize_image, same_pixels_size, size_of
from nstd.job import LevelLog, Losses, LossSummary, StopReason
from nstd.preset import Init, Padding, TransferSettings

MARGIN_PX: Final = 16
"""The network pads with zeros, which it sees as a grey edge, and the optimiser paints that as a frame.

So, with `padding: mirror`, every level is painted with its border mirrored outwards by this much, and the margin is
cut off.
"""


class Step(NamedTuple):
    """One evaluation's report.

    Attributes:
        number: evaluations so far on all levels, this one included; it ends at `total`, or before.
        progress: share of the whole work that is done, 0 to 1, a level's evaluations weighing as many pixels as it has;
            or of the time budget, where that is more.
        level: index of the level, 0 is the coarsest.
        losses: of this evaluation.
    """

    number: int
    total: int
    progress: float
    level: int
    losses: Losses


class Transfer:
    """Paint one content image in the manner of the style images.

    Iterate over `steps()`; whoever stops iterating stops the painting. The attributes hold what was done so far.

    Args:
        descent: built for the layers and the optimiser of `settings`.
        content: `[H, W, 3]` float32, RGB, 0..255; the result has its size.
        styles: style images of any size.
        settings: how to paint.
        start: the `state` of another transfer with the same arguments, to go on from; the picture will be the one that
            the other would have painted, on a CPU to the last bit.
        cache: of the styles' statistics, for this network in this precision.
        clock: seconds, for the durations in the log and for the time budget.

    Attributes:
        levels: what happened on each finished level.
        style_seconds: time spent on the style images and their statistics.

    Reference:
        Gatys et al. 2016, section 2; coarse to fine as in Gatys et al. 2017, section 6.
    """

    def __init__(
        self,
        descent: Descent,
        content: Picture,
        styles: Sequence[Style],
        settings: TransferSettings,
        *,
        start: State | None = None,
        cache: StatisticsCache | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._descent = descent
        self._objective = descent.objective
        self._content = content
        self._styles = styles
        self._settings = settings
        self._cache = cache or StatisticsCache()
        self._clock = clock
        self._margin = MARGIN_PX if settings.padding is Padding.MIRROR else 0
        self._canvas: Canvas | None = None
        self._weights: TermWeights | None = None
        progress = Progress()
        if start:
            progress, self._canvas, self._weights = start
        self.levels = list(progress.levels)
        self._history = list(progress.history)
        self.style_seconds = progress.style_seconds
        self._began, self._level_began = clock() - progress.seconds, clock() - progress.level_seconds
        self._stopping = Stopping(settings, clock, progress.seconds)

    @property
    def best(self) -> Picture:
        """The picture with the lowest total loss so far on the level that is painted, `[H, W, 3]`, RGB, 0..255.

        Raises:
            EngineError: no step was done yet.
        """
        return _without_margin(deprocess(self._painted().best), self._margin)

    @property
    def loss(self) -> LossSummary:
        """Summary of the last finished level."""
        history = self.levels[-1].history
        best = min(history, key=lambda losses: losses.total)
        return LossSummary(initial=history[0].total, best=best.total, final=history[-1].total, best_step=best.step)

    @property
    def state(self) -> State:
        """All that was done so far; at another step it is another value.

        Raises:
            EngineError: no step was done yet.
        """
        now = self._clock()
        progress = Progress(
            levels=tuple(self.levels),
            history=tuple(self._history),
            level_seconds=now - self._level_began,
            style_seconds=self.style_seconds,
            seconds=now - self._began,
        )
        return State(progress, self._painted(), cast("TermWeights", self._weights))

    def steps(self) -> Iterator[Step]:
        """Paint; yield after every evaluation. After the last one of a level, `levels` has that level.

        Raises:
            EngineError: the loss is not finite.
        """
        schedule = self._settings.schedule(max(size_of(self._content)))
        total = sum(iterations + 1 for _, iterations in schedule)
        work = [(iterations + 1) * fraction**2 for fraction, iterations in schedule]
        while (level := len(self.levels)) < len(schedule):
            fraction, iterations = schedule[level]
            content = _scaled(self._content, fraction)
            before = _scaled(self._content, schedule[level - 1][0]) if level else None
            number = sum(len(finished.history) for finished in self.levels)
            done, due = sum(work[:level]), sum(work[: level + 1]) / sum(work)
            for losses in self._paint_level(content, before, iterations, due):
                progress = (done + (losses.step + 1) * fraction**2) / sum(work)
                progress = min(1.0, max(progress, self._stopping.spent))
                yield Step(number + losses.step + 1, total, progress, level, losses)

    def _paint_level(self, content: Picture, before: Picture | None, iterations: int, due: float) -> Iterator[Losses]:
        """Paint a level, given the content images of this level and of the one before."""
        if self._history:
            canvas = self._painted()
        else:
            self._level_began = self._clock()
            start = _with_margin(self._start(content, before), self._margin)
            canvas = self._descent.start(preprocess(start), iterations)
        targets, self._weights = self._aims(_with_margin(content, self._margin))
        reason = None
        while reason is None:
            canvas, terms = self._descent.step(canvas, targets, self._weights)
            losses = _finite(self._objective.losses(len(self._history), terms))
            self._canvas = canvas
            self._history.append(losses)
            reason = self._stopping.reason(self._history, iterations, due)
            if reason:
                self._conclude(content, reason)
            yield losses

    def _conclude(self, content: Picture, reason: StopReason) -> None:
        width, height = size_of(content)
        self.levels.append(
            LevelLog(
                width_px=width,
                height_px=height,
                history=tuple(self._history),
                stop_reason=reason,
                seconds=self._clock() - self._level_began,
            )
        )
        self._canvas, self._history = self._descent.finish(self._painted()), []

    def _painted(self) -> Canvas:
        if self._canvas is None:
            raise EngineError("there is no picture before the first step")
        return self._canvas

    def _aims(self, content: Picture) -> tuple[Targets, TermWeights]:
        """Return what a level aims at; the photo's own losses, which weigh the terms, are those of the first level."""
        started = self._clock()
        style = self._style_targets(content.shape[0] * content.shape[1])
        self.style_seconds += self._clock() - started
        image = preprocess(content)
        if self.levels and self._weights is not None:
            return Targets(self._objective.content_targets(image), style), self._weights
        photo = self._objective.photo(image)
        return Targets(photo.content, style), self._objective.weights(self._settings, photo, style)

    def _style_targets(self, pixels: int) -> list[Any]:
        """Average the style images' statistics, each taken at the generated image's number of pixels, or in scale."""
        shares = np.array([style.share for style in self._styles])
        pixels = max(MIN_SIDE_PX**2, round(pixels * self._settings.style_scale**2))
        statistics = [self._statistics(style, pixels) for style in self._styles]
        return self._objective.style_targets(statistics, shares / shares.sum())

    def _statistics(self, style: Style, pixels: int) -> list[Any]:
        def measure() -> list[Any]:
            image = style.read()
            resized = resize_image(image, *same_pixels_size(*size_of(image), pixels))
            return list(self._objective.style_statistics(preprocess(resized)))

        return self._cache.get((style.identity, pixels, self._objective.style_structure), measure)

    def _start(self, content: Picture, before: Picture | None) -> Picture:
        """Return what a level starts from."""
        if before is not None:
            return self._refined(content, before)
        match self._settings.init:
            case Init.CONTENT:
                return content
            case Init.STYLE:
                return _covering(self._styles[0].read(), *size_of(content))
            case Init.NOISE:
                noise = np.random.default_rng(self._settings.seed).normal(127.5, 32, content.shape)
                return noise.clip(0, 255).astype(np.float32)

    def _refined(self, content: Picture, before: Picture) -> Picture:
        """Enlarge the best picture of the level before; where painting began with the photo, with its finest detail."""
        size = size_of(content)
        enlarged = resize_image(self.best, *size)
        if self._settings.init is not Init.CONTENT:
            return enlarged
        return (enlarged + content - resize_image(before, *size)).clip(0, 255)


def _finite(losses: Losses) -> Losses:
    if not math.isfinite(losses.total):
        msg = f"the loss became {losses.total} at step {losses.step}: the weights of its terms are too far apart"
        raise EngineError(msg)
    return losses


def _scaled(image: Picture, fraction: float) -> Picture:
    width, height = size_of(image)
    return resize_image(image, *fitted_size(width, height, round(max(width, height) * fraction)))


def _with_margin(image: Picture, margin: int) -> Picture:
    return np.pad(image, ((margin, margin), (margin, margin), (0, 0)), mode="symmetric")


def _without_margin(image: Picture, margin: int) -> Picture:
    height, width, _ = image.shape
    return np.ascontiguousarray(image[margin : height - margin, margin : width - margin])


def _covering(image: Picture, width: int, height: int) -> Picture:
    """Scale `image` until it covers the size, and cut out the middle."""
    scale = max(width / image.shape[1], height / image.shape[0])
    covering = resize_image(image, *(math.ceil(side * scale) for side in size_of(image)))
    top, left = (covering.shape[0] - height) // 2, (covering.shape[1] - width) // 2
    return np.ascontiguousarray(covering[top : top + height, left : left + width])
