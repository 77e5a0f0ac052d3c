import numpy as np
import pytest
import tensorflow as tf

from nstd.engine.half import narrow, widen

IMAGE = tf.constant([[[[-123.5, 0.0, 90_112.0], [64.0, 3.0, -0.25]]]])


def test_what_goes_in_comes_out():
    # 90,112 is 11 * 2^13, beyond float16's 65,504; all of these have at most float16's 11 digits.
    narrowed, carrier = narrow(IMAGE)
    assert narrowed.dtype == tf.float16
    (wide,) = widen([narrowed], carrier)
    assert wide.dtype == tf.float32
    np.testing.assert_array_equal(wide, IMAGE)


@pytest.mark.parametrize("size", [0.0, 1e-33, 1e-12, 1.0, 70_000.0, 1e30])
def test_gradient_of_any_size_comes_back(size):
    upstream = tf.constant([[[[1.0, -0.5, 0.25], [1e-3, 0.0, 0.75]]]]) * size
    with tf.GradientTape() as tape:
        tape.watch(IMAGE)
        narrowed, carrier = narrow(IMAGE)
        (wide,) = widen([3 * narrowed], carrier)
    # Rounded twice, by at most half a unit in the last of float16's 11 digits.
    np.testing.assert_allclose(tape.gradient(wide, IMAGE, upstream), 3 * upstream, rtol=2**-10)


def test_gradients_by_several_layers_have_one_factor():
    with tf.GradientTape() as tape:
        tape.watch(IMAGE)
        narrowed, carrier = narrow(IMAGE)
        all_of_it, first = widen([narrowed, narrowed[:, :, :1]], carrier)
        value = 1e9 * tf.reduce_sum(all_of_it) + 2e9 * tf.reduce_sum(first)
    np.testing.assert_allclose(tape.gradient(value, IMAGE), [[[[3e9] * 3, [1e9] * 3]]], rtol=2**-10)


def test_endless_gradient_is_not_made_a_number():
    with tf.GradientTape() as tape:
        tape.watch(IMAGE)
        narrowed, carrier = narrow(IMAGE)
        (wide,) = widen([narrowed], carrier)
    assert not np.isfinite(tape.gradient(wide, IMAGE, np.inf * tf.ones_like(IMAGE))).any()
