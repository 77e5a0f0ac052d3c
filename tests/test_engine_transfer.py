import itertools
import math

import numpy as np
import pytest

from nstd.engine.transfer import Transfer
from nstd.errors import EngineError
from nstd.preset import Init, Optimizer, Padding, StyleStatistics, TransferSettings

QUICK = {"levels": (1,), "iterations": (3,)}
MANY = {"levels": (1,), "iterations": (40,)}


@pytest.fixture
def pair(picture):
    return picture("photos/astronaut.jpg", 64), [(picture("styles/swirls.jpg", 96), 1.0)]


def paint(engine, pair, **settings) -> Transfer:
    transfer = engine.transfer(*pair, TransferSettings(**settings))
    for _ in transfer.steps():
        pass
    return transfer


@pytest.mark.parametrize(("optimizer", "iterations"), [(Optimizer.LBFGS, (40, 40)), (Optimizer.ADAM, (60, 60))])
def test_a_real_pair_loses_nine_tenths_of_its_loss(engine, pair, optimizer, iterations):
    transfer = paint(engine, pair, optimizer=optimizer, iterations=iterations)
    assert transfer.levels[0].history[0].total / transfer.loss.best > 10
    assert transfer.loss.initial / transfer.loss.best > 10
    assert transfer.best.shape == pair[0].shape
    assert transfer.best.dtype == np.float32
    assert np.ptp(transfer.best) > 100


def test_a_real_pair_loses_most_of_its_wasserstein_loss(engine, pair):
    transfer = paint(engine, pair, style_statistics=StyleStatistics.WASSERSTEIN, style_weight=20, **MANY)
    first, best = transfer.levels[0].history[0], transfer.levels[0].history[transfer.loss.best_step]
    assert transfer.loss.initial / transfer.loss.best > 5
    assert all(best.style[layer] < first.style[layer] / 4 for layer in first.style)


def test_picture_keeps_the_photo_and_takes_the_styles_colours(engine, pair, picture):
    best = paint(engine, pair, iterations=(30, 30)).best
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
    transfer = paint(engine, pair, init=Init.STYLE, levels=(1,), iterations=(12,), optimizer=Optimizer.LBFGS)
    totals = [losses.total for losses in transfer.levels[-1].history]
    assert transfer.loss.best == min(totals)
    assert transfer.loss.best_step == totals.index(min(totals))
    assert (transfer.loss.initial, transfer.loss.final) == (totals[0], totals[-1])


def test_start_from_the_photo_is_the_photo(engine, pair):
    start = paint(engine, pair, levels=(1,), iterations=(1,))
    assert start.levels[0].history[0].content == pytest.approx(0, abs=1e-3)


def test_start_from_the_style_has_nearly_its_statistics(engine, pair):
    from_style, from_photo = (
        paint(engine, pair, init=init, **QUICK).levels[0].history[0] for init in (Init.STYLE, Init.CONTENT)
    )
    assert all(from_style.style[layer] < 0.5 * from_photo.style[layer] for layer in from_photo.style)
    assert from_style.style["block1_conv1"] < 0.05 * from_photo.style["block1_conv1"]
    assert from_style.content > 0


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
def test_several_styles_are_mixed_by_weight(engine, picture, kind):
    photo, swirls, glass = (
        picture(name, 64) for name in ("photos/coffee.jpg", "styles/swirls.jpg", "styles/glass.jpg")
    )

    def style_loss(*styles):
        losses = paint(engine, (photo, styles), style_statistics=kind, **QUICK).levels[0].history[0]
        return np.array(list(losses.style.values()))

    alone = style_loss((swirls, 1.0))
    np.testing.assert_allclose(style_loss((swirls, 3.0)), alone, rtol=1e-5)
    np.testing.assert_allclose(style_loss((swirls, 2.0), (swirls, 5.0)), alone, rtol=1e-4)
    mixed, other = style_loss((swirls, 1.0), (glass, 1.0)), style_loss((glass, 1.0))
    # The squared distance to the mean of two points is at most the mean of the squared distances.
    assert (mixed < (alone + other) / 2).all()


def test_whoever_stops_iterating_stops_the_painting(engine, pair):
    transfer = engine.transfer(*pair, TransferSettings(levels=(1,), iterations=(1000,)))
    assert [step.number for step in itertools.islice(transfer.steps(), 3)] == [1, 2, 3]
    assert transfer.levels == []


def test_zeros_beyond_the_border_are_painted_as_a_frame(engine, picture):
    """What `padding: mirror` is for: the outermost pixels have another colour than those beside them."""
    pair = picture("photos/coffee.jpg", 128), [(picture("styles/swirls.jpg", 128), 1.0)]

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
    transfer = engine.transfer(*pair, TransferSettings(style_weight=weight, **QUICK))
    with pytest.raises(EngineError, match=r"the loss became (inf|nan) at step 0: the weights of its terms"):
        list(transfer.steps())
    with pytest.raises(EngineError, match="there is no picture"):
        _ = transfer.best


def test_thin_pictures_are_painted(engine, picture):
    strip = picture("photos/coffee.jpg", 128)[:16]
    best = paint(engine, (strip, [(picture("styles/swirls.jpg", 64), 1.0)]), levels=(0.25, 1), iterations=(2,)).best
    assert best.shape == strip.shape
    assert math.isfinite(best.sum())
