import numpy as np
import pytest
import tensorflow as tf
from engine_samples import Problem, mixed, problem_of

from nstd.engine.evaluator import WholeEvaluator
from nstd.engine.extractor import Extractor
from nstd.engine.margin import guide_with_margin
from nstd.engine.objective import Aims, Objective
from nstd.engine.pixels import preprocess
from nstd.network import Network, Precision
from nstd.transfer_settings import Pooling, StyleStatistics, TransferSettings

SETTINGS = TransferSettings(
    manner="texture",
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
def evaluator(extractor) -> WholeEvaluator:
    return WholeEvaluator(Objective(extractor, SETTINGS))


@pytest.fixture(scope="module")
def pair(picture) -> tuple[tf.Tensor, tf.Tensor]:
    return tuple(preprocess(picture(name, 64)) for name in ("photos/chelsea.jpg", "styles/swirls.jpg"))


@pytest.fixture(scope="module")
def problem(evaluator, pair) -> Problem:
    return problem_of(evaluator.objective, *pair)


@pytest.fixture
def image(picture) -> tf.Tensor:
    """Upside down, and with coloured noise, so that no term is content with it."""
    flipped = picture("photos/chelsea.jpg", 64)[::-1]
    noise = np.random.default_rng(0).normal(0, 20, flipped.shape)
    return preprocess((flipped + noise).astype(np.float32))


@pytest.mark.parametrize("pooling", list(Pooling))
def test_gradient_agrees_with_finite_differences(extractor, problem, image, pooling):
    evaluator = WholeEvaluator(Objective(extractor, SETTINGS.model_copy(update={"pooling": pooling})))
    aims = problem.aims(SETTINGS)
    _, gradient = evaluator(image, aims)
    rng = np.random.default_rng(5)
    # Along the gradient, and along random directions made to have a part of it.
    unit = gradient / tf.norm(gradient)
    for direction in [unit, *(_mixed(unit, rng) for _ in range(3))]:
        step = 0.5
        ahead, _ = evaluator(image + step * direction, aims)
        behind, _ = evaluator(image - step * direction, aims)
        slope = float(ahead[0] - behind[0]) / (2 * step)
        assert slope == pytest.approx(float(tf.reduce_sum(gradient * direction)), rel=1e-2)


def _mixed(unit: tf.Tensor, rng: np.random.Generator) -> tf.Tensor:
    noise = rng.normal(size=unit.shape).astype(np.float32)
    mixed = unit + noise / np.linalg.norm(noise)
    return mixed / tf.norm(mixed)


def test_terms_add_up_to_the_total(evaluator, problem, image):
    values, _ = evaluator(image, problem.aims(SETTINGS))
    losses = evaluator.objective.losses(7, values)
    assert losses.step == 7
    content = [f"content.{layer}" for layer in SETTINGS.content_layers]
    style = [f"gram.{layer}" for layer in SETTINGS.style_layers]
    assert list(losses.terms) == [*content, *style, "variation", "chroma"]
    assert min(losses.terms.values()) > 0
    assert losses.total == pytest.approx(sum(losses.terms.values()), rel=1e-5)


def test_every_weight_scales_its_own_term(evaluator, problem, image):
    def losses(**changes: float) -> dict[str, float]:
        settings = SETTINGS.model_copy(update=changes)
        return evaluator.objective.losses(0, evaluator(image, problem.aims(settings))[0]).terms

    plain = losses()
    heavier = SETTINGS.style_layers | {"block3_conv1": 2 * SETTINGS.style_layers["block3_conv1"]}
    for changes, name, factor in [
        ({"content_weight": 4}, "content", 2),
        ({"tv_weight": 0.3}, "variation", 3),
        ({"chroma_weight": 0.5}, "chroma", 0.5),
        ({"style_layers": heavier}, "gram.block3_conv1", 2),
    ]:
        expected = {row: loss * (factor if row.startswith(name) else 1) for row, loss in plain.items()}
        assert losses(**changes) == pytest.approx(expected)


def test_one_graph_serves_all_sizes(evaluator, pair, picture):
    for side in (33, 48, 64):
        square = preprocess(picture("photos/coffee.jpg", 64)[:40, :side])
        losses, gradient = evaluator(square, problem_of(evaluator.objective, square, pair[1]).aims(SETTINGS))
        assert float(losses[0]) > 0
        assert gradient.shape == square.shape


def test_a_margin_counts_in_no_loss(extractor, pair):
    """Only its innermost pixels matter, which the first convolution sees from inside."""
    settings = TransferSettings(
        manner="texture", style_layers={"block1_conv1": 1}, content_layers={"block1_conv1": 1}, tv_weight=1
    )
    objective = Objective(extractor, settings)
    evaluator, (photo, style) = WholeEvaluator(objective), pair
    _, height, width, _ = photo.shape
    guides = objective.guides(guide_with_margin(width - 32, height - 32, 16))
    seen = objective.photo(photo, guides, with_yardsticks=True)
    terms = objective.aims(seen, mixed(objective, style))
    aims = Aims(guides, terms, objective.weights(settings, objective.yardsticks(seen, terms)))
    matters = guide_with_margin(width - 30, height - 30, 15)
    image = tf.where(matters > 0, photo[:, ::-1], 255 - photo)
    other = tf.where(matters > 0, photo[:, ::-1], 0.0)
    losses, gradient = evaluator(image, aims)
    np.testing.assert_array_equal(evaluator(other, aims)[0], losses)
    assert not (gradient * (1 - matters)).numpy().any()
    assert (gradient[:, 16:-16, 16:-16] != 0).numpy().all()


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


def test_wasserstein_gradient_agrees_with_finite_differences(extractor, pair, image):
    settings = SETTINGS.model_copy(update={"style_statistics": StyleStatistics.WASSERSTEIN})
    evaluator = WholeEvaluator(Objective(extractor, settings))
    aims = problem_of(evaluator.objective, *pair).aims(settings)
    _, gradient = evaluator(image, aims)
    unit = gradient / tf.norm(gradient)
    # The step is long because the loss is computed to some 1e-5 of itself.
    ahead, behind = (evaluator(image + step * unit, aims)[0][0] for step in (4.0, -4.0))
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
    assert float(rough[0][0]) == pytest.approx(float(exact[0][0]), rel=of_loss)
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
    first, second = (WholeEvaluator(Objective(each, settings)) for each in (extractor, other))
    aims = problem_of(first.objective, photo, style).aims(settings)
    for evaluator in (first, second):
        yield evaluator(photo[:, ::-1], aims)
