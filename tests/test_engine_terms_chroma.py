import numpy as np
import pytest
import tensorflow as tf

from nstd.engine.features import PIXELS, Features
from nstd.engine.pixels import preprocess
from nstd.engine.terms.chroma import SCALE, Chroma

TERM = Chroma()
SIDE = 48


def features(image: np.ndarray) -> Features:
    height, width, _ = image.shape
    return Features(preprocess(image.astype(np.float32)), {}, {PIXELS: tf.ones([1, height, width, 1])})


def noise(deviation: float, *, coloured: bool) -> np.ndarray:
    shape = (SIDE, SIDE, 3 if coloured else 1)
    return np.random.default_rng(1).normal(0, deviation, shape) * np.ones(3)


def grey(level: float = 128) -> np.ndarray:
    return np.full((SIDE, SIDE, 3), level)


def loss(image: np.ndarray, photo: np.ndarray, style: np.ndarray) -> float:
    aim = TERM.aim(features(photo), TERM.style(features(style)))
    return float(TERM.losses(TERM.sums(features(image), aim), aim)[0]) / SCALE


def test_it_counts_what_is_beyond_the_aim_by_hand():
    image = np.zeros((1, 4, 3))
    image[0, :, 0] = [0, 6, 0, 0]
    aims = tf.constant([[20.0, 10.0], [20.0, 0.0]])
    # Red's second differences across are -12 and 6, with a mean square of 90, of which (B + G - 2 R) / sqrt(6) has
    # four sixths and (B - G) / sqrt(2) nothing. There are none down.
    found = [float(TERM.losses(TERM.sums(features(image), aim), aim)[0]) for aim in aims]
    assert found[0] == pytest.approx(SCALE * (50 / 60) ** 2 / 2, rel=1e-4)
    assert found[1] == pytest.approx(SCALE * (2 * 60 / 50 - 1) / 2, rel=1e-4), "it is more than twice as much"


def test_noise_that_the_style_has_costs_nothing():
    style = grey() + noise(12, coloured=True)
    assert loss(grey() + noise(11.9, coloured=True), grey(), style) == 0
    assert loss(grey() + noise(18, coloured=True), grey(), style) > 0.5


def test_noise_of_the_photo_costs_as_much_as_any_other():
    photo = grey() + noise(12, coloured=True)
    assert loss(photo, photo, grey()) == loss(photo, grey(), grey()) > 0.5


def test_it_is_measured_by_half_as_much_again_as_the_style_has():
    style = grey() + noise(40, coloured=True)
    aim = TERM.aim(features(grey()), TERM.style(features(style)))
    yardstick = float(TERM.yardstick(features(grey()), aim)[0])
    noisier = grey() + noise(40 * 1.5**0.5, coloured=True)
    assert loss(noisier, grey(), style) == pytest.approx(yardstick / SCALE, rel=0.05)


def test_noise_of_lightness_and_what_is_smooth_cost_nothing():
    ramp = np.linspace(0, 255, SIDE)[:, np.newaxis, np.newaxis] * np.array([1.0, 0.3, 0.0])
    for image in (grey() + noise(40, coloured=False), np.broadcast_to(ramp, (SIDE, SIDE, 3))):
        assert loss(image, grey(), grey(60)) < 1e-6


def test_of_two_octaves_of_the_same_noise_the_finer_costs_more():
    fine = noise(10, coloured=True)
    coarse = noise(10, coloured=True)[: SIDE // 2, : SIDE // 2].repeat(2, axis=0).repeat(2, axis=1)
    assert loss(grey() + fine, grey(), grey()) > 2 * loss(grey() + coarse, grey(), grey())
