import numpy as np
import pytest
import tensorflow as tf

from nstd.engine.terms.gram import Gram
from nstd.engine.terms.sums import mean_of

TERM = Gram(("block1_conv1",))
POSITIONS = tf.constant([[[[1.0, 2.0], [3.0, 4.0]]]])


def gram_matrix(features: tf.Tensor, guide: tf.Tensor | None = None) -> tf.Tensor:
    return mean_of(TERM.measure(features, tf.ones([*features.shape[:3], 1]) if guide is None else guide))


def test_gram_matrix_of_two_positions_by_hand():
    # [[1*1 + 3*3, 1*2 + 3*4], [2*1 + 4*3, 2*2 + 4*4]] / 2 positions
    np.testing.assert_allclose(gram_matrix(POSITIONS), [[5, 7], [7, 10]])


def test_positions_count_by_their_guide():
    # (0.5 * [[1, 2], [2, 4]] + 0.25 * [[9, 12], [12, 16]]) / 0.75
    guided = gram_matrix(POSITIONS, tf.constant([[[[0.5], [0.25]]]]))
    np.testing.assert_allclose(guided, np.array([[2.75, 4], [4, 6]]) / 0.75, rtol=1e-6)


def test_gram_matrix_does_not_depend_on_the_number_of_positions():
    tile = np.random.default_rng(1).random((1, 3, 5, 4), np.float32)
    np.testing.assert_allclose(
        gram_matrix(tf.constant(tile)), gram_matrix(tf.constant(np.tile(tile, (1, 2, 3, 1)))), rtol=1e-5
    )


@pytest.mark.parametrize(("guide", "expected"), [((1.0, 1.0), [[3, 11], [7, 23]]), ((1.0, 0.0), [[6, 22], [0, 0]])])
def test_gradient_through_the_gram_matrix_counts_both_of_its_factors(guide, expected):
    upstream = tf.constant([[1.0, 2.0], [0.0, 5.0]])
    with tf.GradientTape() as tape:
        tape.watch(POSITIONS)
        value = tf.reduce_sum(upstream * gram_matrix(POSITIONS, tf.reshape(tf.constant(guide), [1, 1, 2, 1])))
    # guide * x (U + U^T) / sum of the guide, for U + U^T = [[2, 2], [2, 10]]
    np.testing.assert_allclose(tape.gradient(value, POSITIONS), [[expected]])


def test_gram_matrix_of_bfloat16_features_is_summed_in_float32():
    features = tf.cast(tf.fill([1, 64, 64, 1], 1.0), tf.bfloat16)
    gram = gram_matrix(features)
    assert gram.dtype == tf.float32
    np.testing.assert_array_equal(gram, [[1.0]])  # bfloat16 sums of ones stop at 256


def test_gram_loss_by_hand():
    gram = tf.constant([[5.0, 7.0], [7.0, 10.0]])
    target = tf.constant([[4.0, 7.0], [7.0, 7.0]])
    # 10 / 2^2 * (1 + 9) / 4
    assert float(TERM.distance(gram, target)) == pytest.approx(6.25)
