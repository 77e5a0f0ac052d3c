import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image

from nstd.images.resize import MIN_SIDE_PX, fitted_size, resize_image, same_pixels_size

SIDES = st.integers(16, 20_000)


@pytest.mark.parametrize(
    ("size", "long_side_px", "fitted"),
    [
        ((1024, 768), 512, (512, 384)),
        ((768, 1024), 512, (384, 512)),
        ((100, 100), 512, (512, 512)),
        ((451, 300), 512, (512, 341)),  # 340.58
        ((512, 340), 512, (512, 340)),
        ((10_000, 16), 512, (512, 16)),  # would be 0.8 px high
        ((16, 10_000), 512, (16, 512)),
    ],
)
def test_long_side_is_fitted_and_aspect_kept(size: tuple[int, int], long_side_px: int, fitted: tuple[int, int]) -> None:
    assert fitted_size(*size, long_side_px) == fitted


@given(SIDES, SIDES, st.integers(32, 16_384))
def test_long_side_is_exact_for_every_size(width: int, height: int, long_side_px: int) -> None:
    fitted = fitted_size(width, height, long_side_px)

    assert max(fitted) == long_side_px
    assert min(fitted) >= MIN_SIDE_PX


@pytest.mark.parametrize(
    ("size", "pixels", "expected"),
    [
        ((512, 384), 512 * 384, (512, 384)),
        ((1280, 1014), 512 * 384, (498, 395)),  # 498.2 x 394.6
        ((1014, 1280), 512 * 384, (395, 498)),
        ((20, 20), 65_536, (256, 256)),
        ((20_000, 16), 65_536, (4096, 16)),  # would be 7 px high
    ],
)
def test_style_is_brought_to_the_number_of_pixels(
    size: tuple[int, int], pixels: int, expected: tuple[int, int]
) -> None:
    assert same_pixels_size(*size, pixels) == expected


@given(SIDES, SIDES, st.integers(256, 100_000_000))
def test_number_of_pixels_is_held_whatever_the_aspect(width: int, height: int, pixels: int) -> None:
    scaled = same_pixels_size(width, height, pixels)

    assert min(scaled) >= MIN_SIDE_PX
    assert abs(scaled[0] * scaled[1] - pixels) <= min(scaled) / 2


@given(SIDES, SIDES, st.integers(65_536, 100_000_000))
def test_aspect_is_kept_as_far_as_whole_pixels_allow(width: int, height: int, pixels: int) -> None:
    short_side = min(width, height) * (pixels / (width * height)) ** 0.5
    assume(short_side >= MIN_SIDE_PX)

    scaled = same_pixels_size(width, height, pixels)

    assert abs(scaled[0] / scaled[1] * height / width - 1) <= 1.6 / short_side


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(1).uniform(0, 255, (height, width, 3)).astype(np.float32)


def test_same_size_is_the_same_picture() -> None:
    image = noise(20, 30)

    assert resize_image(image, 30, 20) is image


@pytest.mark.parametrize("size", [(60, 45), (17, 33), (200, 10)])
def test_resampling_agrees_with_8_bit_lanczos_but_is_not_rounded(size: tuple[int, int]) -> None:
    image = np.rint(100 + noise(40, 50) / 5)  # far from 0 and 255, where 8 bits clip between the two passes
    in_8_bits = Image.fromarray(image.astype(np.uint8)).resize(size, Image.Resampling.LANCZOS)

    resized = resize_image(image, *size)

    assert resized.shape == (size[1], size[0], 3)
    assert resized.dtype == np.float32
    assert np.abs(resized - np.asarray(in_8_bits)).max() < 1.5
    assert not np.array_equal(resized, np.rint(resized))


def test_channels_keep_their_places() -> None:
    image = np.full((16, 16, 3), (10.25, 20.5, 200.75), np.float32)

    assert resize_image(image, 40, 24) == pytest.approx(np.full((24, 40, 3), (10.25, 20.5, 200.75)), abs=1e-3)


def test_overshoot_beside_an_edge_is_clipped() -> None:
    image = np.zeros((32, 32, 3), np.float32)
    image[:, 16:] = 255

    resized = resize_image(image, 64, 64)

    assert resized.min() == 0
    assert resized.max() == 255
    assert image.max() == 255
