import numpy as np
import pytest

from nstd.engine.beginning import cored, first_picture, refined
from nstd.engine.styles import Style
from nstd.images.resize import enlarge_image, resize_image
from nstd.transfer_settings import Init


def grain(side: int, deviation: float) -> np.ndarray:
    noise = np.random.default_rng(side).normal(0, deviation, (side, side, 1))
    return np.repeat(noise, 3, axis=2).astype(np.float32)


@pytest.mark.parametrize("deviation", [0.5, 5.0, 20.0])
def test_grain_is_left_out_whatever_its_size(deviation):
    noise = grain(128, deviation)
    assert np.abs(cored(noise)).mean() < 0.01 * np.abs(noise).mean()


def test_texture_of_a_part_is_left_out_as_grain_is_and_a_fine_line_elsewhere_is_kept():
    detail = grain(256, 1.0)
    detail[:, :128] *= 12
    detail[:, 192] += 60
    kept = cored(detail)
    assert np.abs(kept[:, :112]).mean() < 0.03 * np.abs(detail[:, :112]).mean()
    assert kept[:, 192].mean() == pytest.approx(60, rel=0.1)


def test_edges_keep_their_height():
    edges = grain(128, 1.0)
    edges[:, 64] += 100
    kept = cored(edges)[:, 64].mean()
    assert kept == pytest.approx(100, rel=0.01)


def test_hues_of_an_edge_are_kept_with_its_lightness():
    detail = np.zeros((8, 8, 3), np.float32)
    detail[2, 2] = (30, -6, 12)
    np.testing.assert_allclose(cored(detail), detail)


def test_a_plain_band_stays_plain():
    assert not cored(np.zeros((8, 8, 3), np.float32)).any()


def test_a_level_begins_with_the_painting_and_the_photos_edges(picture):
    photo = picture("photos/astronaut.jpg", 192)
    small = resize_image(photo, 96, 96)
    painted = np.ascontiguousarray(small[::-1])
    start = refined(painted, photo, small)
    octave = photo - enlarge_image(small, 192, 192)
    added = start - enlarge_image(painted, 192, 192)
    inside = (start > 0).all(axis=2) & (start < 255).all(axis=2)
    lightness = np.abs(octave.mean(axis=2))
    edges, calm = inside & (lightness > 40), inside & (lightness < 2)
    assert np.corrcoef(added[edges].ravel(), octave[edges].ravel())[0, 1] > 0.95
    assert np.abs(added[edges]).mean() > 0.7 * np.abs(octave[edges]).mean()
    assert np.abs(added[calm]).mean() < 0.1 * np.abs(octave[calm]).mean()


@pytest.mark.parametrize("size", [(40, 64), (64, 40), (30, 30)])
def test_a_style_image_covers_what_is_to_be_painted(picture, size):
    style = Style.of(picture("styles/swirls.jpg", 96), "swirls")
    content = np.zeros((*size[::-1], 3), np.float32)
    assert first_picture(Init.STYLE, 0, content, style).shape == content.shape
