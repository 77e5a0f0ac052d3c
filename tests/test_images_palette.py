import numpy as np
import pytest

from nstd.images.oklab import oklab_of, srgb_of
from nstd.images.palette import Palette, mixed, palette_of, recoloured


def random(seed: int, low: float, high: float) -> np.ndarray:
    return np.random.default_rng(seed).uniform(low, high, (40, 50, 3)).astype(np.float32)


@pytest.mark.parametrize(
    ("colour", "expected"),
    # Ottosson 2020: white, and sRGB's red and blue by his own conversion.
    [
        ((255, 255, 255), (1, 0, 0)),
        ((255, 0, 0), (0.62796, 0.22486, 0.12585)),
        ((0, 0, 255), (0.45201, -0.03246, -0.31153)),
        ((0, 0, 0), (0, 0, 0)),
    ],
)
def test_known_colours(colour, expected):
    np.testing.assert_allclose(oklab_of(np.array(colour, np.float32)), expected, atol=1e-4)


def test_there_and_back():
    image = random(1, 0, 255)
    np.testing.assert_allclose(srgb_of(oklab_of(image)), image, atol=0.01)


def test_a_photo_is_given_mean_and_covariance_of_the_style():
    photo, style = random(1, 60, 120), 0.8 * random(2, 100, 160)
    style[..., 0] += 20
    wanted = palette_of(style)
    found = palette_of(recoloured(photo, wanted, 1))
    np.testing.assert_allclose(found.mean, wanted.mean, atol=0.002)
    np.testing.assert_allclose(found.covariance, wanted.covariance, rtol=0.2, atol=1e-4)


def test_an_amount_goes_part_of_the_way_and_none_leaves_the_photo_as_it_is():
    photo, style = random(1, 60, 120), random(2, 100, 160)
    np.testing.assert_allclose(recoloured(photo, palette_of(style), 0), photo, atol=0.01)
    means = [palette_of(recoloured(photo, palette_of(style), amount)).mean[0] for amount in (0, 0.25, 1)]
    assert means[1] - means[0] == pytest.approx(0.25 * (means[2] - means[0]), rel=0.05)


def test_the_palette_of_several_styles_is_that_of_their_pixels():
    first, second = random(1, 0, 100), random(2, 100, 255)
    together = palette_of(np.concatenate([first, second, second, second]))
    by_shares = mixed([palette_of(first), palette_of(second)], [0.25, 0.75])
    np.testing.assert_allclose(by_shares.mean, together.mean, rtol=1e-6)
    np.testing.assert_allclose(by_shares.covariance, together.covariance, rtol=0.01)


def test_the_grain_of_a_flat_photo_does_not_become_colours():
    grain = np.random.default_rng(1).normal(128, 1, (40, 50, 3)).astype(np.float32)
    coloured = recoloured(grain, Palette(np.array([0.5, 0, 0]), np.diag([0.04, 0.01, 0.01])), 1)
    assert np.ptp(coloured, axis=(0, 1)).max() < 120
    assert coloured.std((0, 1)).max() < 20
