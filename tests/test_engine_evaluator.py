from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf

from nstd.config.settings import Precision
from nstd.engine.balance import TermWeights
from nstd.engine.compiled import compiled
from nstd.engine.extractor import Extractor
from nstd.engine.objective import Objective, Targets
from nstd.engine.pixels import preprocess
from nstd.preset import Network, Pooling, StyleStatistics, TransferSettings

SETTINGS = TransferSettings(
    content_layers={"block2_conv2": 1, "block4_conv2": 0.5},
    content_weight=2,
    style_weight=3,
    tv_weight=0.1,
    strength="raw",
)


@pytest.fixture(scope="module")
def extractor(weights) -> Extractor:
    return Extractor(Network.VGG19, weights.arrays, Precision.FLOAT32)


@pytest.fixture(scope="module")
def objective(extractor) -> Objective:
    return Objective(extractor, SETTINGS)


class Aims(NamedTuple):
    """What a pair aims at; `weights` are those of any settings for it."""

    targets: Targets
    weights: Callable[[TransferSettings], TermWeights]


def aims_of(objective: Objective, content: tf.Tensor, style: tf.Tensor) -> Aims:
    photo = objective.photo(content)
    targets = Targets(photo.content, objective.style_targets([objective.style_statistics(style)], [1.0]))
    return Aims(targets, lambda settings: objective.weights(settings, photo, targets.style))


@pytest.fixture(scope="module")
def aims(objective, picture) -> Aims:
    content, style = (preprocess(picture(name, 64)) for name in ("photos/chelsea.jpg", "styles/swirls.jpg"))
    return aims_of(objective, content, style)


@pytest.fixture
def image(picture) -> tf.Tensor:
    return preprocess(np.ascontiguousarray(picture("photos/chelsea.jpg", 64)[::-1]))


@pytest.mark.parametrize("pooling", list(Pooling))
def test_gradient_agrees_with_finite_differences(extractor, aims, image, pooling):
    objective = Objective(extractor, SETTINGS.model_copy(update={"pooling": pooling}))
    targets, factors = aims.targets, aims.weights(SETTINGS)
    _, gradient = objective.evaluate(image, targets, factors)
    rng = np.random.default_rng(5)
    # Along the gradient, and along random directions made to have a part of it.
    unit = gradient / tf.norm(gradient)
    for direction in [unit, *(_mixed(unit, rng) for _ in range(3))]:
        step = 0.5
        ahead, _ = objective.evaluate(image + step * direction, targets, factors)
        behind, _ = objective.evaluate(image - step * direction, targets, factors)
        slope = float(ahead.total - behind.total) / (2 * step)
        assert slope == pytest.approx(float(tf.reduce_sum(gradient * direction)), rel=1e-2)


def _mixed(unit: tf.Tensor, rng: np.random.Generator) -> tf.Tensor:
    noise = rng.normal(size=unit.shape).astype(np.float32)
    mixed = unit + noise / np.linalg.norm(noise)
    return mixed / tf.norm(mixed)


def test_terms_add_up_to_the_total(objective, aims, image):
    terms, _ = objective.evaluate(image, aims.targets, aims.weights(SETTINGS))
    losses = objective.losses(7, terms)
    assert losses.step == 7
    assert list(losses.style) == list(SETTINGS.style_layers)
    assert min(losses.content, losses.tv, *losses.style.values()) > 0
    assert losses.total == pytest.approx(losses.content + sum(losses.style.values()) + losses.tv, rel=1e-5)


def test_every_weight_scales_its_own_term(objective, aims, image):
    def losses(**changes: float):
        settings = SETTINGS.model_copy(update=changes)
        return objective.losses(0, objective.evaluate(image, aims.targets, aims.weights(settings))[0])

    plain = losses()
    assert losses(content_weight=4).content == pytest.approx(2 * plain.content)
    assert losses(tv_weight=0.3).tv == pytest.approx(3 * plain.tv)
    heavier = SETTINGS.style_layers | {"block3_conv1": 2 * SETTINGS.style_layers["block3_conv1"]}
    doubled = losses(style_layers=heavier).style
    assert doubled == pytest.approx(plain.style | {"block3_conv1": 2 * plain.style["block3_conv1"]})


def test_one_graph_serves_all_sizes(objective, aims, picture):
    factors = aims.weights(SETTINGS)
    evaluate = compiled(objective.evaluate, objective.signature)
    for side in (33, 48, 64):
        square = preprocess(picture("photos/coffee.jpg", 64)[:40, :side])
        terms, gradient = evaluate(square, Targets(objective.photo(square).content, aims.targets.style), factors)
        assert float(terms.total) > 0
        assert gradient.shape == square.shape


def test_steps_are_shared_by_settings_with_the_same_layers(engine, picture, style):
    photo, styles = picture("photos/coffee.jpg", 32), [style("swirls", 32)]
    first, second, *others = (
        engine.transfer(photo, styles, settings)._descent  # noqa: SLF001  that it is one object is the point
        for settings in (
            TransferSettings(style_layers={"block1_conv1": 1, "block2_conv1": 2}),
            TransferSettings(style_layers={"block2_conv1": 5, "block1_conv1": 1}, content_weight=3),
            TransferSettings(style_layers={"block2_conv1": 1}),
            TransferSettings(style_layers={"block1_conv1": 1, "block2_conv1": 2}, pooling=Pooling.L2),
        )
    )
    assert first is second
    assert len({id(descent) for descent in (first, *others)}) == 3


def test_objectives_are_not_shared_by_kinds_of_statistics():
    kinds = [Objective.structure(TransferSettings(style_statistics=kind)) for kind in StyleStatistics]
    assert len(set(kinds)) == len(kinds)


def test_wasserstein_gradient_agrees_with_finite_differences(extractor, picture, image):
    settings = SETTINGS.model_copy(update={"style_statistics": StyleStatistics.WASSERSTEIN})
    objective = Objective(extractor, settings)
    content, style = (preprocess(picture(name, 64)) for name in ("photos/chelsea.jpg", "styles/swirls.jpg"))
    targets, weights = aims_of(objective, content, style)
    factors = weights(settings)
    _, gradient = objective.evaluate(image, targets, factors)
    unit = gradient / tf.norm(gradient)
    # The step is long because the loss is computed to some 1e-5 of itself.
    ahead, behind = (objective.evaluate(image + step * unit, targets, factors)[0].total for step in (4.0, -4.0))
    assert float(ahead - behind) / 8 == pytest.approx(float(tf.norm(gradient)), rel=2e-2)


# bfloat16 keeps 8 binary digits and float16 11. The gradient is further off than the loss, as a feature near zero that
# falls on the other side of the ReLU takes its whole gradient along.
@pytest.mark.parametrize(
    ("precision", "pooling", "of_loss", "of_gradient"),
    [
        (Precision.BFLOAT16, Pooling.MAX, 0.02, 0.1),
        (Precision.FLOAT16, Pooling.MAX, 0.003, 0.05),
        (Precision.FLOAT16, Pooling.L2, 0.003, 0.05),
    ],
)
def test_short_numbers_give_nearly_the_same_loss(
    *, weights, extractor, picture, precision, pooling, of_loss, of_gradient
):
    settings = SETTINGS.model_copy(update={"pooling": pooling})
    rounding = Extractor(Network.VGG19, weights.arrays, precision)
    exact, rough = evaluated_in_both(extractor, rounding, settings, picture)
    assert float(rough[0].total) == pytest.approx(float(exact[0].total), rel=of_loss)
    assert rough[1].dtype == tf.float32
    assert float(tf.norm(rough[1] - exact[1]) / tf.norm(exact[1])) < of_gradient


@pytest.mark.parametrize("factor", [1e-25, 1e20])
def test_float16_gives_the_gradient_of_any_size_of_loss(weights, extractor, picture, factor):
    settings = TransferSettings(content_weight=factor, style_weight=factor, strength="raw")
    half = Extractor(Network.VGG19, weights.arrays, Precision.FLOAT16)
    (_, exact), (_, rough) = evaluated_in_both(extractor, half, settings, picture)
    # In the largest value's measure, as the squares of the others leave float32.
    scale = tf.reduce_max(tf.abs(exact))
    assert float(tf.norm((rough - exact) / scale) / tf.norm(exact / scale)) < 0.05


def evaluated_in_both(extractor: Extractor, other: Extractor, settings: TransferSettings, picture):
    photo, style = (preprocess(picture(name, 48)) for name in ("photos/chelsea.jpg", "styles/swirls.jpg"))
    first, second = Objective(extractor, settings), Objective(other, settings)
    targets, weights = aims_of(first, photo, style)
    for objective in (first, second):
        yield compiled(objective.evaluate, objective.signature)(photo[:, ::-1], targets, weights(settings))
