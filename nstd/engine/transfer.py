"""Neural style transfer from coarse to fine: the loop that paints."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, cast

from nstd.engine.beginning import first_picture, refined
from nstd.engine.descent import Canvas, Descent
from nstd.engine.margin import guide_with_margin, margin_px, with_margin, without_margin
from nstd.engine.objective import Aims
from nstd.engine.pixels import Picture, deprocess, preprocess
from nstd.engine.rounds import NO_IMAGE, Rounds
from nstd.engine.state import Progress, State
from nstd.engine.stopping import Stopping
from nstd.engine.styles import StatisticsCache, Style, measured_styles, palette_of_styles
from nstd.errors import EngineError
from nstd.history import LevelLog, Losses, LossSummary, StopReason
from nstd.images.palette import recoloured
from nstd.images.resize import enlarge_image, fitted_size, lacks_detail, resize_image, size_of
from nstd.transfer_settings import Init, TransferSettings

if TYPE_CHECKING:
    from nstd.engine.balance import Weights


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
        descent: built for the terms and the optimiser of `settings`.
        content: `[H, W, 3]` float32, RGB, 0..255; the result has its size.
        styles: style images of any size.
        settings: how to paint.
        start: the `state` of another transfer with the same arguments, to go on from; the picture will be the one that
            the other would have painted, on a CPU to the last bit.
        cache: of the styles' statistics, for this network in this precision.
        clock: seconds, for the durations in the log and for the time budget.

    Attributes:
        levels: what happened on each finished level.
        notes: what a person should know of the picture, in words.
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
        self._styles = styles
        self._settings = settings
        self._cache = cache or StatisticsCache()
        self._content = content
        if settings.palette:
            self._content = recoloured(content, palette_of_styles(styles, self._cache), settings.palette)
        self._clock = clock
        self._margin = margin_px(settings.padding)
        self._canvas: Canvas | None = None
        self._weights: Weights | None = None
        progress, subject = Progress(), NO_IMAGE
        if start:
            progress, self._canvas, self._weights, subject = start
        self.levels = list(progress.levels)
        self.notes = list(progress.notes)
        self._history = list(progress.history)
        self._rounds = Rounds(self._objective.matcher, settings, progress.rounds, subject)
        self._restarted_at = progress.restarted_at
        self.style_seconds = progress.style_seconds
        self._began, self._level_began = clock() - progress.seconds, clock() - progress.level_seconds
        self._stopping = Stopping(settings, clock, progress.seconds)
        if not start:
            self._note_small_styles()

    @property
    def best(self) -> Picture:
        """The picture with the lowest total loss so far on the level that is painted, `[H, W, 3]`, RGB, 0..255.

        Raises:
            EngineError: no step was done yet.
        """
        return without_margin(deprocess(self._painted().best), self._margin)

    @property
    def loss(self) -> LossSummary:
        """Summary of the last finished level."""
        level = self.levels[-1]
        history = level.history[level.rounds[-1] :]
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
            rounds=tuple(self._rounds.starts),
            notes=tuple(self.notes),
            restarted_at=self._restarted_at,
            level_seconds=now - self._level_began,
            style_seconds=self.style_seconds,
            seconds=now - self._began,
        )
        return State(progress, self._painted(), cast("Weights", self._weights), self._rounds.subject)

    def steps(self) -> Iterator[Step]:
        """Paint; yield after every evaluation. After the last one of a level, `levels` has that level.

        Raises:
            EngineError: the loss is not finite, or grew beyond all measure, and did so again from the best picture.
        """
        schedule = self._settings.schedule(max(size_of(self._content)))
        total = sum(iterations + 1 for _, iterations in schedule)
        work = [(iterations + 1) * fraction**2 for fraction, iterations in schedule]
        while (level := len(self.levels)) < len(schedule):
            fraction, iterations = schedule[level]
            content = _scaled(self._content, fraction)
            before = schedule[level - 1][0] if level else None
            number = sum(len(finished.history) for finished in self.levels)
            done, due = sum(work[:level]), sum(work[: level + 1]) / sum(work)
            for losses in self._paint_level(content, before, iterations, due):
                progress = (done + (losses.step + 1) * fraction**2) / sum(work)
                progress = min(1.0, max(progress, self._stopping.spent))
                yield Step(number + losses.step + 1, total, progress, level, losses)

    def _paint_level(self, content: Picture, before: float | None, iterations: int, due: float) -> Iterator[Losses]:
        """Paint a level, given its content image and the fraction of the level before."""
        if self._history:
            canvas = self._painted()
        else:
            self._level_began = self._clock()
            start = with_margin(self._start(content, before), self._margin)
            canvas = self._descent.start(preprocess(start), iterations)
        aims = self._aims(content)
        self._weights = aims.weights
        level = len(self.levels)
        restarted_level, restarted_after = self._restarted_at or (None, None)
        self._stopping.begin(
            (losses.total for losses in self._history),
            restarted_after if restarted_level == level else None,
            self._rounds.starts,
        )
        round_aims = reason = None
        while reason is None:
            if self._rounds.is_next_due(level, len(self._history), iterations):
                canvas, round_aims = self._next_round(canvas), None
            round_aims = round_aims or self._rounds.aims(level, aims)
            canvas, values = self._descent.step(canvas, round_aims)
            losses = self._objective.losses(len(self._history), values)
            if self._stopping.has_diverged(losses.total):
                canvas = self._restarted(canvas, losses, iterations)
                continue
            self._canvas = canvas
            self._history.append(losses)
            may_converge = not self._rounds.is_unmatched(level)
            reason = self._stopping.reason(losses.total, iterations, due, may_converge=may_converge)
            if reason:
                self._conclude(content, reason)
            yield losses

    def _restarted(self, canvas: Canvas, losses: Losses, iterations: int) -> Canvas:
        """Go on from the best picture with an optimiser that remembers nothing; once in a painting.

        Raises:
            EngineError: there is no such picture, or it was done before.
        """
        what = f"the loss became {losses.total:.4g} at step {losses.step} of level {len(self.levels) + 1}"
        if not self._history or self._restarted_at:
            msg = f"{what}: the weights of its terms are too far apart"
            raise EngineError(msg)
        self._restarted_at = len(self.levels), len(self._history)
        self._stopping.begin_anew()
        self.notes.append(f"{what}; the painting went on from its best picture, with a fresh optimiser")
        return self._descent.restart(canvas, max(1, iterations - losses.step))

    def _next_round(self, canvas: Canvas) -> Canvas:
        if self._history:
            canvas = self._descent.renewed(canvas)
            self._stopping.begin_round()
        self._rounds.begin(len(self._history), canvas.image)
        return canvas

    def _conclude(self, content: Picture, reason: StopReason) -> None:
        width, height = size_of(content)
        self.levels.append(
            LevelLog(
                width_px=width,
                height_px=height,
                history=tuple(self._history),
                rounds=tuple(self._rounds.starts),
                stop_reason=reason,
                seconds=self._clock() - self._level_began,
            )
        )
        self._canvas, self._history = self._descent.finish(self._painted()), []
        self._rounds.end()

    def _painted(self) -> Canvas:
        if self._canvas is None:
            raise EngineError("there is no picture before the first step")
        return self._canvas

    def _aims(self, content: Picture) -> Aims:
        """Return what a level aims at; the photo's own losses, which weigh the terms, are those of the first level."""
        width, height = size_of(content)
        started = self._clock()
        pixels = self._style_pixels(content)
        style = measured_styles(self._objective, self._styles, pixels, self._margin, self._cache)
        self.style_seconds += self._clock() - started
        image = preprocess(with_margin(content, self._margin))
        guides = self._objective.guides(guide_with_margin(width, height, self._margin))
        photo = self._objective.photo(image, guides, with_yardsticks=self._weights is None)
        terms = self._objective.aims(photo, style)
        weights = self._weights
        if weights is None:
            yardsticks = self._objective.yardsticks(photo, terms)
            weights = self._objective.weights(self._settings, yardsticks)
            if self._objective.lacks_content(self._settings, yardsticks):
                self.notes.append("the photo has next to no content: what is painted is mostly the style's")
        return Aims(guides, terms, weights)

    def _note_small_styles(self) -> None:
        pixels = self._style_pixels(self._content)
        for style in self._styles:
            (width, height), (wide, high) = style.size, style.size_for(pixels)
            if lacks_detail(width, height, wide * high):
                self.notes.append(
                    f"the style image {style.name} has {width} x {height} px and is enlarged to {wide} x {high}: "
                    "it has no strokes that fine"
                )

    def _style_pixels(self, content: Picture) -> int:
        width, height = size_of(content)
        return round(width * height * self._settings.style_scale**2)

    def _start(self, content: Picture, before: float | None) -> Picture:
        """Return what a level starts from; its finest detail is the photo's only where the painting began with it."""
        if before is None:
            return first_picture(self._settings.init, self._settings.seed, content, self._styles[0])
        if self._settings.init is Init.CONTENT:
            return refined(self.best, content, _scaled(self._content, before))
        return enlarge_image(self.best, *size_of(content))


def _scaled(image: Picture, fraction: float) -> Picture:
    width, height = size_of(image)
    return resize_image(image, *fitted_size(width, height, round(max(width, height) * fraction)))
