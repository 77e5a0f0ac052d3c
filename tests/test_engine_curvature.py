import itertools

import numpy as np
import pytest
import tensorflow as tf

from nstd.engine.curvature import BANDS, Bands, apply_initial, band_products, bands_of, image_of, spectrum

SIZES = [(16, 16), (17, 24), (24, 17), (1, 2), (15, 15)]


@pytest.fixture
def noise():
    return lambda height, width, seed=0: tf.random.stateless_normal([1, height, width, 3], [seed, 0])


def bands(image: tf.Tensor) -> Bands:
    return bands_of(*image.shape[1:3])


def wave(frequency: float) -> tf.Tensor:
    """A grey wave across 32 x 32 px, with so many periods a pixel."""
    across = np.cos(2 * np.pi * frequency * np.arange(32))
    return tf.constant(np.broadcast_to(across[:, np.newaxis], (1, 32, 32, 3)), tf.float32)


@pytest.mark.parametrize("size", SIZES)
def test_image_comes_back_from_its_spectrum(noise, size):
    image = noise(*size)
    np.testing.assert_allclose(image_of(spectrum(image), tf.shape(image)), image, atol=1e-5)


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_bands_are_octaves_of_the_radial_frequency(height, width):
    masks = bands_of(height, width).masks.numpy()
    radius = np.hypot(np.fft.fftfreq(height)[:, np.newaxis], np.fft.rfftfreq(width))
    edges = [0, 1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1]
    by_hand = [(radius >= low) & (radius < high) for low, high in itertools.pairwise(edges)]
    np.testing.assert_array_equal(masks, by_hand)


@pytest.mark.parametrize("size", SIZES)
def test_products_of_all_bands_are_the_products_of_the_images(noise, size):
    """Parseval's theorem, for odd and even sides; the factor is the number of pixels."""
    step, change = noise(*size), noise(*size, seed=1)
    along, square = tf.reduce_sum(band_products(step, change, bands(step)), axis=[1, 2]).numpy() / np.prod(size)
    assert along == pytest.approx(float(tf.reduce_sum(step * change)), rel=1e-3, abs=1e-3)
    assert square == pytest.approx(float(tf.reduce_sum(change**2)), rel=1e-4)


def test_initial_matrix_is_a_number_where_all_bands_agree(noise):
    step, gradient = noise(20, 21), noise(20, 21, seed=1)
    applied = apply_initial(gradient, band_products(step, 4 * step, bands(step)), bands(step))
    np.testing.assert_allclose(applied, gradient / 4, atol=1e-5)


def test_each_band_has_its_own_curvature():
    coarse, fine = wave(1 / 32), wave(3 / 8)
    both = bands(coarse)
    products = band_products(coarse + fine, coarse + 4 * fine, both)
    np.testing.assert_allclose(apply_initial(coarse, products, both), coarse, atol=1e-4)
    np.testing.assert_allclose(apply_initial(fine, products, both), fine / 4, atol=1e-4)


def test_band_far_from_the_others_is_held_back():
    coarse, fine = wave(1 / 32), wave(3 / 8)
    both = bands(coarse)
    products = band_products(coarse + fine, coarse + 1000 * fine, both)
    # Together: (1 + 1000) / (1 + 1000^2), which is all but 1 / 1000.
    np.testing.assert_allclose(
        apply_initial(coarse, products, both), coarse * 30 * 1001 / 1_000_001, rtol=1e-3, atol=1e-6
    )


def test_each_colour_has_its_own_curvature():
    light, hue = tf.ones([1, 8, 8, 3]), tf.ones([1, 8, 8, 1]) * [1.0, -1.0, 0.0]
    both = bands(light)
    products = band_products(light + hue, light + 3 * hue, both)
    assert products.shape == (2, 3, BANDS)
    np.testing.assert_allclose(apply_initial(hue, products, both), hue / 3, atol=1e-5)
