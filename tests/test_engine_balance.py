import numpy as np
import pytest

from nstd.engine.balance import Yardstick, term_weights
from nstd.preset import StyleStatistics, TransferSettings

LAYERS = [1.0, 3.0], [50.0, 5.0, 4.0]
YARDSTICK = Yardstick(np.float32([20, 10]), np.float32([2, 200, 1000]), np.float32(40))


def weights(**settings):
    return term_weights(TransferSettings(**settings), LAYERS, YARDSTICK)


def terms_of_the_photo(**settings) -> tuple[float, float, float]:
    """Losses that are as large as the yardstick, weighted: of content, style and total variation."""
    found = weights(**settings)
    return tuple(float(np.sum(factor * measure)) for factor, measure in zip(found, YARDSTICK, strict=True))


def test_raw_weights_count_as_they_are():
    found = weights(strength="raw", content_weight=2, style_weight=3, tv_weight=0.5)
    np.testing.assert_allclose(found.content, [2, 6])
    np.testing.assert_allclose(found.style, [150, 15, 12])
    assert float(found.tv) == 0.5


@pytest.mark.parametrize(
    ("strength", "content", "style"), [(0, 200, 0), (0.5, 50, 2500), (0.75, 12.5, 5625), (1, 0, 1e4)]
)
def test_strength_shares_out_the_terms_whatever_the_pair_is(strength, content, style):
    np.testing.assert_allclose(terms_of_the_photo(strength=strength, tv_weight=1), (content, style, 1e4), rtol=1e-5)


def test_layers_keep_their_weights_among_each_other():
    found = weights(strength=0.3)
    np.testing.assert_allclose(found.content / found.content[0], [1, 3], rtol=1e-5)
    np.testing.assert_allclose(found.style / found.style[0], [1, 0.1, 0.08], rtol=1e-5)


def test_weights_multiply_what_the_strength_gives():
    plain, more = terms_of_the_photo(strength=0.5), terms_of_the_photo(strength=0.5, content_weight=2, style_weight=3)
    np.testing.assert_allclose(more[:2], (2 * plain[0], 3 * plain[1]), rtol=1e-5)


@pytest.mark.parametrize("kind", list(StyleStatistics))
def test_photo_without_features_has_finite_weights(kind):
    """One colour everywhere has no spread, and a photo that is the style itself has no style loss."""
    nothing = Yardstick(*(np.zeros_like(measure) for measure in YARDSTICK))
    found = term_weights(TransferSettings(strength=0.5, tv_weight=1, style_statistics=kind), LAYERS, nothing)
    assert all(np.isfinite(factor).all() for factor in found)
