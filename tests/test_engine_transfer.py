import itertools
import math
import re

import numpy as np
import pytest

from nstd.engine.stopping import WINDOW
from nstd.engine.styles import Style
from nstd.engine.transfer import Transfer
from nstd.errors import EngineError
from nstd.history import Losses, StopReason
from nstd.images.palette import palette_of
from nstd.images.resize import resize_image, size_of
from nstd.manner import Manner
from nstd.transfer_settings import Init, Optimizer, Padding, StyleStatistics, TransferSettings

QUICK = {"levels": (1,), "iterations": (3,)}
MANY = {"levels": (1,), "iterations": (40,)}
TEXTURE = {"manner": Manner.TEXTURE}
"""Whose losses compare over a whole level."""


@pytest.fixture
def pair(picture, style):
    return picture("photos/astronaut.jpg", 64), [style("swirls", 96)]


def style_of(losses: Losses) -> dict[str, float]:
    """The style's losses, by layer."""
    return {row: loss for row, loss in losses.terms.items() if row.split(".")[0] in [*StyleStatistics]}


def paint(engine, pair, **settings) -> Transfer:
    transfer = engine.transfer(*pair, TransferSettings(**settings))
    for _ in transfer.steps():
        pass
    return transfer


@pytest.mark.parametrize(("optimizer", "steps"), [(Optimizer.LBFGS, 40), (Optimizer.ADAM, 60)])
def test_a_real_pair_loses_nine_tenths_of_its_loss(engine, pair, optimizer, steps):
    transfer = paint(engine, pair, optimizer=optimizer, strength=1, levels=(0.5, 1), iterations=(steps,), **TEXTURE)
    assert transfer.levels[0].history[0].total / transfer.loss.best > 10
    assert transfer.loss.initial / transfer.loss.best > 10
    assert transfer.best.shape == pair[0].shape
    assert transfer.best.dtype == np.float32
    assert np.ptp(transfer.best) > 100


def test_a_real_pair_loses_most_of_its_wasserstein_loss(engine, pair):
    transfer = paint(engine, pair, style_statistics=StyleStatistics.WASSERSTEIN, strength=1, **MANY, **TEXTURE)
    first, best = transfer.levels[0].history[0], transfer.levels[0].history[transfer.loss.best_step]
    assert transfer.loss.initial / transfer.loss.best > 5
    assert all(best.terms[row] < loss / 4 for row, loss in style_of(first).items())


def test_picture_keeps_the_photo_and_takes_the_styles_colours(engine, pair, picture):
    best = paint(engine, pair, levels=(0.5, 1), iterations=(30,)).best
    photo, style = pair[0], picture("styles/swirls.jpg", 96)
    grey = [image.mean(axis=2) for image in (best, photo)]
    assert np.corrcoef(grey[0].ravel(), grey[1].ravel())[0, 1] > 0.4

    def distance(image):
        return np.linalg.norm(image.reshape(-1, 3).mean(axis=0) - style.reshape(-1, 3).mean(axis=0))

    assert distance(best) < 0.7 * distance(photo)


def test_a_stopped_painting_has_the_picture_of_one_with_as_few_steps(engine, pair):
    stopped = engine.transfer(*pair, TransferSettings(levels=(0.5, 1), iterations=(2, 6)))
    sizes = [stopped.best.shape[0] for _ in itertools.islice(stopped.steps(), 3 + 4)]
    assert sizes == [32] * 3 + [64] * 4
    short = paint(engine, pair, levels=(0.5, 1), iterations=(2, 3))
    np.testing.assert_array_equal(stopped.best, short.best)


def test_there_is_no_picture_before_the_first_step(engine, pair):
    with pytest.raises(EngineError, match="there is no picture before the first step"):
        _ = engine.transfer(*pair, TransferSettings()).best


def test_every_evaluation_is_reported(engine, pair):
    transfer = engine.transfer(*pair, TransferSettings(levels=(0.5, 1), iterations=(2, 3)))
    steps = list(transfer.steps())
    assert [(s.number, s.total, s.level, s.losses.step) for s in steps] == [
        (1, 7, 0, 0), (2, 7, 0, 1), (3, 7, 0, 2), (4, 7, 1, 0), (5, 7, 1, 1), (6, 7, 1, 2), (7, 7, 1, 3),
    ]  # fmt: skip
    # Three evaluations at a quarter of the pixels, four at all of them: 4.75 full-size evaluations.
    assert [round(s.progress * 4.75, 6) for s in steps] == [0.25, 0.5, 0.75, 1.75, 2.75, 3.75, 4.75]
    assert [level.history for level in transfer.levels] == [
        tuple(s.losses for s in group) for _, group in itertools.groupby(steps, key=lambda s: s.level)
    ]
    assert [(level.width_px, level.height_px) for level in transfer.levels] == [(32, 32), (64, 64)]


def test_best_picture_is_the_one_of_the_lowest_loss(engine, pair):
    # A learning rate this size overshoots in the end, so that best and last differ.
    transfer = paint(engine, pair, init=Init.STYLE, levels=(1,), iterations=(12,), **TEXTURE)
    totals = [losses.total for losses in transfer.levels[-1].history]
    assert transfer.loss.best == min(totals)
    assert transfer.loss.best_step == totals.index(min(totals))
    assert (transfer.loss.initial, transfer.loss.final) == (totals[0], totals[-1])


@pytest.mark.parametrize(("manner", "content"), [(Manner.TEXTURE, "content"), (Manner.PAINT, "self_similarity")])
def test_start_from_the_photo_is_the_photo(engine, pair, manner, content):
    start = paint(engine, pair, manner=manner, levels=(1,), iterations=(1,))
    assert start.levels[0].history[0].terms[f"{content}.block4_conv2"] == pytest.approx(0, abs=1e-3)


def test_start_from_the_style_has_nearly_its_statistics(engine, pair):
    from_style, from_photo = (
        paint(engine, pair, init=init, **QUICK, **TEXTURE).levels[0].history[0] for init in (Init.STYLE, Init.CONTENT)
    )
    assert all(from_style.terms[row] < 0.5 * loss for row, loss in style_of(from_photo).items())
    assert from_style.terms["gram.block1_conv1"] < 0.05 * from_photo.terms["gram.block1_conv1"]
    assert from_style.terms["content.block4_conv2"] > 0


def test_noise_follows_the_seed(engine, pair):
    pictures = [paint(engine, pair, init=Init.NOISE, seed=seed, **QUICK).best for seed in (1, 1, 2)]
    assert pictures[0].tobytes() == pictures[1].tobytes()
    assert np.abs(pictures[0] - pictures[2]).mean() > 10


@pytest.mark.parametrize(
    "settings", [{"optimizer": o} for o in Optimizer] + [{"style_statistics": StyleStatistics.WASSERSTEIN}]
)
def test_two_runs_give_the_same_bytes(engine, pair, settings):
    first, second = (paint(engine, pair, levels=(0.5, 1), iterations=(4,), **settings).best for _ in range(2))
    assert first.tobytes() == second.tobytes()


@pytest.mark.parametrize("kind", list(StyleStatistics))
def test_several_styles_are_mixed_by_weight(engine, picture, style, kind):
    photo = picture("photos/coffee.jpg", 64)

    def style_loss(**shares):
        styles = [style(name.rstrip("_"), 64, share) for name, share in shares.items()]
        losses = paint(engine, (photo, styles), style_statistics=kind, strength="raw", **QUICK).levels[0].history[0]
        return np.array(list(style_of(losses).values()))

    alone = style_loss(swirls=1)
    np.testing.assert_allclose(style_loss(swirls=3), alone, rtol=1e-5)
    np.testing.assert_allclose(style_loss(swirls=2, swirls_=5), alone, rtol=1e-4)
    mixed, other = style_loss(swirls=1, glass=1), style_loss(glass=1)
    # The squared distance to the mean of two points is at most the mean of the squared distances.
    assert (mixed < (alone + other) / 2).all()


def test_strength_zero_is_the_photo(engine, pair):
    photo = paint(engine, pair, levels=(1,), iterations=(20,), strength=0).best
    np.testing.assert_allclose(photo, pair[0], atol=0.01)


@pytest.mark.parametrize("manner", list(Manner))
def test_with_more_strength_there_is_less_of_the_photo_and_more_of_the_style(engine, pair, manner):
    def lost(strength: float) -> tuple[float, float]:
        """Return what is lost of the photo, and what is wanting of the style, as if both counted alike."""
        transfer = paint(engine, pair, strength=strength, manner=manner, **MANY)
        best = transfer.levels[0].history[transfer.loss.best_step]
        style = sum(style_of(best).values())
        content = sum(loss for row, loss in best.terms.items() if row.split(".")[0] in ("content", "self_similarity"))
        return content / (1 - strength) ** 2, style / strength**2

    (photo, style), (stronger_photo, stronger_style) = lost(0.25), lost(0.75)
    assert photo < 0.7 * stronger_photo
    assert style > 1.2 * stronger_style


def test_strength_starts_from_the_same_loss_for_every_pair(engine, picture, style):
    def first(photo: str, *styles: str) -> Losses:
        pair = picture(f"photos/{photo}.jpg", 64), [style(name, 64) for name in styles]
        return paint(engine, pair, strength=0.5, **QUICK).levels[0].history[0]

    totals = [first("coffee", "swirls").total, first("rocket", "glass").total, first("coffee", "dots", "glass").total]
    np.testing.assert_allclose(totals, 1e4 / 4, rtol=1e-3)


@pytest.mark.parametrize("padding", list(Padding))
@pytest.mark.parametrize(("scale", "side"), [(1, 64), (2, 128)])
def test_style_images_are_read_at_the_pictures_size_times_their_scale(*, engine, picture, padding, scale, side):
    sizes = []
    style = reading_style(picture("styles/swirls.jpg", 96)[:96, :96], sizes)
    paint(engine, (picture("photos/astronaut.jpg", 64), [style]), style_scale=scale, padding=padding, **QUICK)
    assert sizes == [(side, side)]


@pytest.mark.parametrize(("palette", "share"), [(0, 0), (0.5, 0.5), (1, 1)])
def test_a_painting_begins_with_as_much_of_the_styles_palette_as_is_asked_for(engine, picture, palette, share):
    photo, painting = picture("photos/coffee.jpg", 96), picture("styles/swirls.jpg", 96)
    transfer = engine.transfer(photo, [Style.of(painting, "swirls")], TransferSettings(palette=palette, **QUICK))
    next(transfer.steps())
    before, wanted, found = (palette_of(image).mean for image in (photo, painting, transfer.best))
    np.testing.assert_allclose(found, before + share * (wanted - before), atol=0.02)


def test_palettes_of_styles_are_mixed_by_weight_and_measured_once(engine, picture):
    photo, sizes = picture("photos/coffee.jpg", 64), []
    greys = [np.full([64, 64, 3], value, np.float32) for value in (40, 200)]
    styles = [reading_style(grey, sizes)._replace(share=share) for grey, share in zip(greys, (3, 1), strict=True)]
    dark, light = (palette_of(grey).mean for grey in greys)
    for _ in range(2):
        transfer = engine.transfer(photo, styles, TransferSettings(palette=1, **QUICK))
        next(transfer.steps())
        np.testing.assert_allclose(palette_of(transfer.best).mean, 0.75 * dark + 0.25 * light, atol=0.02)
    assert sizes.count((128, 128)) == 2


def reading_style(image, sizes: list[tuple[int, int]]) -> Style:
    """Note the sizes at which an image is read."""
    return Style(
        object(), 1, "swirls.jpg", size_of(image), lambda *size: sizes.append(size) or resize_image(image, *size)
    )


@pytest.mark.parametrize(("side", "notes"), [(48, 1), (58, 0), (96, 0)])
def test_a_style_image_that_must_be_enlarged_is_told(engine, picture, side, notes):
    style = reading_style(picture("styles/swirls.jpg", 96)[:side, :side], [])
    transfer = paint(engine, (picture("photos/astronaut.jpg", 64), [style]), **QUICK)
    expected = ["the style image swirls.jpg has 48 x 48 px and is enlarged to 64 x 64: it has no strokes that fine"]
    assert transfer.notes == expected[:notes]


def test_finer_levels_start_with_the_photos_finest_detail(engine, picture, style):
    photo = picture("photos/astronaut.jpg", 192)

    def detail(init: Init) -> float:
        settings = TransferSettings(levels=(0.5, 1), iterations=(3, 1), init=init)
        transfer = engine.transfer(photo, [style("swirls", 192)], settings)
        *_, first = itertools.islice(transfer.steps(), 4 + 1)
        assert first.level == 1
        start = transfer.best
        fine = [image - resize_image(resize_image(image, 96, 96), 192, 192) for image in (start, photo)]
        return float(np.corrcoef(fine[0].ravel(), fine[1].ravel())[0, 1])

    assert detail(Init.CONTENT) > 0.7
    assert abs(detail(Init.STYLE)) < 0.2


def test_style_images_are_read_once_for_their_size(engine, picture):
    reads = []
    styles = [reading_style(picture("styles/swirls.jpg", 70), reads)]
    settings = TransferSettings(padding=Padding.ZERO, **QUICK)
    for photo in ("coffee", "chelsea", "coffee"):
        list(engine.transfer(picture(f"photos/{photo}.jpg", 64)[:40], styles, settings).steps())
    assert len(reads) == 1
    list(engine.transfer(picture("photos/coffee.jpg", 64)[:32], styles, settings).steps())
    assert len(reads) == 2


def test_time_budget_ends_each_level_with_its_share(engine, pair):
    """The clock, which each look at moves on by a second, stands for slow steps."""
    settings = TransferSettings(levels=(0.5, 1), iterations=(100,), time_budget_seconds=100, tolerance=0)
    transfer = Transfer(engine.descent(settings), *pair, settings, clock=itertools.count().__next__)
    steps = list(transfer.steps())
    assert [level.stop_reason for level in transfer.levels] == [StopReason.TIME_BUDGET] * 2
    coarse, fine = (len(level.history) for level in transfer.levels)
    # A fifth of the work is on the coarse level.
    assert 0.15 < coarse / (coarse + fine) < 0.25
    progress = [step.progress for step in steps]
    assert progress == sorted(progress)
    assert progress[-1] > 0.95


def test_convergence_ends_a_level(engine, pair):
    (level,) = paint(engine, pair, levels=(1,), iterations=(100,), strength=0, **TEXTURE).levels
    assert (level.stop_reason, len(level.history)) == (StopReason.CONVERGED, WINDOW + 1)


def test_whoever_stops_iterating_stops_the_painting(engine, pair):
    transfer = engine.transfer(*pair, TransferSettings(levels=(1,), iterations=(1000,)))
    assert [step.number for step in itertools.islice(transfer.steps(), 3)] == [1, 2, 3]
    assert transfer.levels == []


def test_zeros_beyond_the_border_are_painted_as_a_frame(engine, picture, style):
    """What `padding: mirror` is for: the outermost pixels have another colour than those beside them."""
    pair = picture("photos/coffee.jpg", 128), [style("swirls", 128)]

    def ring(image, depth):
        inner = image[depth : len(image) - depth, depth : image.shape[1] - depth]
        return np.concatenate([inner[0], inner[-1], inner[:, 0], inner[:, -1]]).mean()

    def edge(padding: Padding) -> float:
        best = paint(engine, pair, levels=(1,), iterations=(30,), padding=padding).best
        return abs(ring(best, 0) - ring(best, 3))

    assert edge(Padding.ZERO) > 2 * edge(Padding.MIRROR)


def test_painting_leaves_the_network_as_it_was(engine, pair):
    network = engine._extractor._network  # noqa: SLF001  nobody else may touch its weights
    before = [weight.numpy().copy() for layer in network for weight in layer.weights]
    paint(engine, pair, **QUICK)
    after = [weight.numpy() for layer in network for weight in layer.weights]
    assert len(before) == 2 * 16, "a kernel and a bias for each convolution"
    for was, became in zip(before, after, strict=True):
        np.testing.assert_array_equal(became, was)


@pytest.mark.parametrize("weight", [1e36, 1e38])
def test_infinite_loss_is_an_error_and_no_picture(engine, pair, weight):
    transfer = engine.transfer(*pair, TransferSettings(style_weight=weight, strength="raw", **QUICK))
    with pytest.raises(EngineError, match=r"the loss became (inf|nan) at step 0 of level 1: the weights of its terms"):
        list(transfer.steps())
    with pytest.raises(EngineError, match="there is no picture"):
        _ = transfer.best


def test_thin_pictures_are_painted(engine, picture, style):
    strip = picture("photos/coffee.jpg", 128)[:16]
    best = paint(engine, (strip, [style("swirls", 64)]), levels=(0.25, 1), iterations=(2,)).best
    assert best.shape == strip.shape
    assert math.isfinite(best.sum())


class Failing:
    """A descent whose loss becomes something at some steps, counted from 0, and whose picture becomes NaN with it."""

    def __init__(self, descent, loss: float, *steps: int) -> None:
        self._descent, self._loss, self._steps, self._count = descent, loss, steps, itertools.count()

    def __getattr__(self, name):
        return getattr(self._descent, name)

    def step(self, canvas, aims):
        after, losses = self._descent.step(canvas, aims)
        if next(self._count) not in self._steps:
            return after, losses
        broken = after._replace(image=after.image * math.nan, best=canvas.best, least=canvas.least)
        return broken, losses * 0 + self._loss


@pytest.mark.parametrize(("loss", "word"), [(math.nan, "nan"), (math.inf, "inf"), (1e12, "1e\\+12")])
def test_a_loss_that_explodes_costs_the_optimisers_memory_and_not_the_picture(engine, pair, loss, word):
    settings = TransferSettings(levels=(0.5, 1), iterations=(4, 8))
    transfer = Transfer(Failing(engine.descent(settings), loss, 5 + 4), *pair, settings)
    steps = list(transfer.steps())
    (note,) = transfer.notes
    assert re.match(f"the loss became {word} at step 4 of level 2; the painting went on from its best picture", note)
    assert [step.number for step in steps] == list(range(1, 5 + 9 + 1))
    assert np.isfinite(transfer.best).all()
    history = transfer.levels[-1].history
    assert history[4].total == pytest.approx(min(losses.total for losses in history[:4]), rel=1e-5)
    assert transfer.loss.best < history[4].total
    assert transfer.state.progress.restarted_at == (1, 4)


def test_a_loss_that_explodes_twice_is_an_error(engine, pair):
    settings = TransferSettings(levels=(1,), iterations=(8,))
    transfer = Transfer(Failing(engine.descent(settings), math.nan, 3, 6), *pair, settings)
    with pytest.raises(EngineError, match="the loss became nan at step 5 of level 1: the weights of its terms"):
        list(transfer.steps())
    assert np.isfinite(transfer.best).all()


def test_a_restart_is_remembered_by_whoever_goes_on(engine, pair):
    settings = TransferSettings(levels=(1,), iterations=(8,))
    stopped = Transfer(Failing(engine.descent(settings), math.nan, 3), *pair, settings)
    list(itertools.islice(stopped.steps(), 4))
    resumed = Transfer(Failing(engine.descent(settings), math.nan, 1), *pair, settings, start=stopped.state)
    with pytest.raises(EngineError, match="the loss became nan at step 5"):
        list(resumed.steps())
    assert resumed.notes == stopped.notes


@pytest.mark.parametrize("done", [3, 4, 12, 3 + WINDOW, 3 + WINDOW + 4])
def test_a_painting_that_was_restarted_goes_on_with_the_same_bits(engine, pair, done):
    settings = TransferSettings(levels=(0.5, 1), iterations=(40,), tolerance=0.9, **TEXTURE)
    descent = engine.descent(settings)
    whole = Transfer(Failing(descent, math.nan, 3), *pair, settings)
    steps = list(whole.steps())
    first, second = (len(level.history) for level in whole.levels)
    assert (first, second) == (3 + WINDOW, 1 + WINDOW), (
        "both have converged, and the restart is no matter of the second"
    )
    stopped = Transfer(Failing(descent, math.nan, 3), *pair, settings)
    before = list(itertools.islice(stopped.steps(), done))
    still_fails = [0] if done == 3 else []
    resumed = Transfer(Failing(descent, math.nan, *still_fails), *pair, settings, start=stopped.state)
    assert before + list(resumed.steps()) == steps
    assert resumed.best.tobytes() == whole.best.tobytes()
