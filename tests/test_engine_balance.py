import numpy as np
import pytest

from nstd.engine.balance import is_scarce, term_weights
from nstd.engine.terms import terms_of
from nstd.transfer_settings import StyleStatistics, TransferSettings

LAYERS = {
    "manner": "texture",
    "content_layers": {"block4_conv1": 1.0, "block4_conv2": 3.0},
    "style_layers": {"block1_conv1": 50.0, "block2_conv1": 5.0, "block3_conv1": 4.0},
    "tv_weight": 1.0,
}
YARDSTICKS = {
    "content": [200e3, 100e3],
    "gram": [2, 200, 1000],
    "wasserstein": [2, 200, 1000],
    "variation": [400],
    "chroma": [1],
    "nearest": [1e4] * 7,
}


def weights(yardsticks=YARDSTICKS, **settings):
    transfer = TransferSettings(**LAYERS | settings)
    measured = {name: np.float32(values) for name, values in yardsticks.items()}
    return term_weights(terms_of(transfer), transfer, measured)


def terms_of_the_photo(**settings) -> dict[str, float]:
    """Losses that are as large as the yardsticks, weighted."""
    return {name: float(np.sum(factor * YARDSTICKS[name])) for name, factor in weights(**settings).items()}


def test_raw_weights_count_as_they_are():
    found = weights(strength="raw", content_weight=2, style_weight=3, tv_weight=0.5)
    np.testing.assert_allclose(found["content"], [2, 6])
    np.testing.assert_allclose(found["gram"], [150, 15, 12])
    np.testing.assert_allclose(found["variation"], [0.5])


@pytest.mark.parametrize(
    ("strength", "content", "style"), [(0, 200, 0), (0.5, 50, 2500), (0.75, 12.5, 5625), (1, 0, 1e4)]
)
def test_strength_shares_out_the_terms_whatever_the_pair_is(strength, content, style):
    found = terms_of_the_photo(strength=strength)
    assert found == pytest.approx({"content": content, "gram": style, "variation": 1e4, "chroma": style})


def test_content_counts_more_beside_a_style_loss_of_lower_power():
    found = terms_of_the_photo(strength=0.5, style_statistics=StyleStatistics.WASSERSTEIN)
    assert found == pytest.approx({"content": 500, "wasserstein": 2500, "variation": 1e4, "chroma": 2500})


def test_layers_keep_their_weights_among_each_other():
    found = weights(strength=0.3)
    np.testing.assert_allclose(found["content"] / found["content"][0], [1, 3], rtol=1e-5)
    np.testing.assert_allclose(found["gram"] / found["gram"][0], [1, 0.1, 0.08], rtol=1e-5)


def test_weights_multiply_what_the_strength_gives():
    plain, more = terms_of_the_photo(strength=0.5), terms_of_the_photo(strength=0.5, content_weight=2, style_weight=3)
    assert more == pytest.approx(plain | {"content": 2 * plain["content"], "gram": 3 * plain["gram"]})


def test_a_photo_with_next_to_no_content_is_measured_by_the_floor():
    settings = TransferSettings(**LAYERS)
    content, *_ = terms_of(settings)
    rows = content.row_weights(settings)
    least = np.dot(rows, content.floor)
    for share, scarce in [(1.01, False), (0.99, True), (0.0, True)]:
        yardstick = np.float32([share * least / sum(rows)] * len(rows))
        assert is_scarce(content, settings, yardstick) is scarce
        found = weights(YARDSTICKS | {"content": yardstick}, strength=0.5)["content"]
        assert np.dot(found, content.floor) == pytest.approx(50 / max(1, share), rel=1e-4)


def test_a_photo_that_is_smooth_already_is_not_smoothed_the_more():
    flat, ordinary = weights(YARDSTICKS | {"variation": [0.1]}), weights()
    assert 1 < flat["variation"] / ordinary["variation"] < 5


@pytest.mark.parametrize("kind", list(StyleStatistics))
def test_photo_without_features_has_finite_weights(kind):
    """One colour everywhere has no spread, and a photo that is the style itself has no style loss."""
    nothing = {name: np.zeros_like(values) for name, values in YARDSTICKS.items()}
    found = weights(nothing, style_statistics=kind)
    assert all(np.isfinite(factor).all() for factor in found.values())


@pytest.mark.parametrize("statistics", StyleStatistics)
def test_nearest_neighbours_come_beside_what_is_there(statistics):
    without = terms_of_the_photo(style_statistics=statistics)
    found = terms_of_the_photo(style_statistics=statistics, nearest_weight=1)
    assert found.pop("nearest") == pytest.approx(2500)
    assert found == pytest.approx(without)
