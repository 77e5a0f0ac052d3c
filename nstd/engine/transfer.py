"""Neural style transfer from coarse to fine: the loop that paints."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from nstd.engine.balance import TermWeights
from nstd.engine.descent import Descent
from nstd.engine.objective import Targets
from nstd.engine.pixels import Picture, deprocess, preprocess
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
        cache: of the styles' statistics, for this network in this precision.
        clock: seconds, for the durations in the log and for the time budget.

    Attributes:
        loss: summary of the last level.
        levels: what happened on each finished level.
        style_seconds: time spent on the style images and their statistics.

    Reference:
        Gatys et al. 2016, section 2; coarse to fine as in Gatys et al. 2017, section 6.
    """

    loss: LossSummary

    def __init__(
        self,
        descent: Descent,
        content: Picture,
        styles: Sequence[Style],
        settings: TransferSettings,
        *,
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
        self.levels: list[LevelLog] = []
        self.style_seconds = 0.0
        self._best: Any = None
        self._weights: TermWeights | None = None

    @property
    def best(self) -> Picture:
        """The picture with the lowest total loss so far on the level that is painted, `[H, W, 3]`, RGB, 0..255.

        Raises:
            EngineError: no step was done yet.
        """
        if self._best is None:
            raise EngineError("there is no picture before the first step")
        return _without_margin(deprocess(self._best), self._margin)

    def steps(self) -> Iterator[Step]:
        """Paint; yield after every evaluation.

        Raises:
            EngineError: the loss is not finite.
        """
        schedule = self._settings.schedule(max(size_of(self._content)))
        stopping = Stopping(self._settings, self._clock)
        total = sum(iterations + 1 for _, iterations in schedule)
        work = [(iterations + 1) * fraction**2 for fraction, iterations in schedule]
        number, done = 0, 0.0
        before: Picture | None = None
        for level, (fraction, iterations) in enumerate(schedule):
            content = _scaled(self._content, fraction)
            due = sum(work[: level + 1]) / sum(work)
            for losses in self._paint_level(content, self._start(content, before), iterations, stopping, due):
                number, done = number + 1, done + fraction**2
                yield Step(number, total, min(1.0, max(done / sum(work), stopping.spent)), level, losses)
            before, done = content, due * sum(work)

    def _paint_level(
        self, content: Picture, start: Picture, iterations: int, stopping: Stopping, due: float
    ) -> Iterator[Losses]:
        started = self._clock()
        targets, weights = self._aims(_with_margin(content, self._margin))
        canvas = self._descent.start(preprocess(_with_margin(start, self._margin)), iterations)
        history: list[Losses] = []
        reason = None
        while reason is None:
            canvas, terms = self._descent.step(canvas, targets, weights)
            history.append(_finite(self._objective.losses(len(history), terms)))
            # Not the canvas itself: it holds the optimiser's memory.
            self._best = canvas.best
            reason = stopping.reason(history, iterations, due)
            yield history[-1]
        self._conclude(content, history, reason, self._clock() - started)

    def _conclude(self, content: Picture, history: list[Losses], reason: StopReason, seconds: float) -> None:
        width, height = size_of(content)
        self.levels.append(
            LevelLog(width_px=width, height_px=height, history=tuple(history), stop_reason=reason, seconds=seconds)
        )
        best = min(history, key=lambda losses: losses.total)
        self.loss = LossSummary(initial=history[0].total, best=best.total, final=history[-1].total, best_step=best.step)

    def _aims(self, content: Picture) -> tuple[Targets, TermWeights]:
        """Return what a level aims at; the photo's own losses, which weigh the terms, are those of the first level."""
        started = self._clock()
        style = self._style_targets(content.shape[0] * content.shape[1])
        self.style_seconds += self._clock() - started
        image = preprocess(content)
        if self._weights is not None:
            return Targets(self._objective.content_targets(image), style), self._weights
        photo = self._objective.photo(image)
        self._weights = self._objective.weights(self._settings, photo, style)
        return Targets(photo.content, style), self._weights

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
        """Return what a level starts from, given the content images of this level and of the one before."""
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
