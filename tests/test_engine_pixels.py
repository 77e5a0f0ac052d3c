import numpy as np

from nstd.engine.pixels import deprocess, preprocess


def test_network_input_is_bgr_without_the_mean():
    pixel = np.float32([[[10, 20, 30]]])
    # 30 - 103.939, 20 - 116.779, 10 - 123.68
    np.testing.assert_allclose(preprocess(pixel).numpy(), [[[[-73.939, -96.779, -113.68]]]], rtol=1e-6)


def test_every_8_bit_value_survives_the_round_trip():
    values = np.arange(256, dtype=np.float32)
    picture = np.stack([values, values[::-1], np.roll(values, 7)], axis=-1)[np.newaxis]
    there_and_back = deprocess(preprocess(picture))
    np.testing.assert_array_equal(np.rint(there_and_back), picture)
    np.testing.assert_allclose(there_and_back, picture, atol=2e-5)


def test_what_left_the_range_is_clipped():
    too_far = preprocess(np.float32([[[-5, 128, 300]]]))
    np.testing.assert_allclose(deprocess(too_far), [[[0, 128, 255]]], atol=2e-5)
