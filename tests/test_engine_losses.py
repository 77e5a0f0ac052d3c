import numpy as np
import pytest
import tensorflow as tf

from nstd.engine.losses import content_loss, gram_matrix, style_loss, total_variation_loss


def test_gram_matrix_of_two_positions_by_hand():
    features = tf.constant([[[[1.0, 2.0], [3.0, 4.0]]]])
    # [[1*1 + 3*3, 1*2 + 3*4], [2*1 + 4*3, 2*2 + 4*4]] / 2 positions
    np.testing.assert_allclose(gram_matrix(features), [[5, 7], [7, 10]])


def test_gram_matrix_does_not_depend_on_the_number_of_positions():
    tile = np.random.default_rng(1).random((1, 3, 5, 4), np.float32)
    np.testing.assert_allclose(
        gram_matrix(tf.constant(tile)), gram_matrix(tf.constant(np.tile(tile, (1, 2, 3, 1)))), rtol=1e-5
    )


def test_gradient_through_the_gram_matrix_counts_both_of_its_factors():
    features, upstream = tf.constant([[[[1.0, 2.0], [3.0, 4.0]]]]), tf.constant([[1.0, 2.0], [0.0, 5.0]])
    with tf.GradientTape() as tape:
        tape.watch(features)
        value = tf.reduce_sum(upstream * gram_matrix(features))
    # x (U + U^T) / 2 positions, for U + U^T = [[2, 2], [2, 10]]
    np.testing.assert_allclose(tape.gradient(value, features), [[[[3, 11], [7, 23]]]])


def test_gram_matrix_of_bfloat16_features_is_summed_in_float32():
    features = tf.cast(tf.fill([1, 64, 64, 1], 1.0), tf.bfloat16)
    gram = gram_matrix(features)
    assert gram.dtype == tf.float32
    np.testing.assert_array_equal(gram, [[1.0]])  # bfloat16 sums of ones stop at 256


def test_content_loss_by_hand():
    features = tf.constant([[[[1.0, 2.0], [3.0, 4.0]]]])
    target = tf.constant([[[[0.0, 2.0], [3.0, 1.0]]]])
    # 0.3 * (1 + 0 + 0 + 9) / 4
    assert float(content_loss(features, target)) == pytest.approx(0.75)


def test_style_loss_by_hand():
    gram = tf.constant([[5.0, 7.0], [7.0, 10.0]])
    target = tf.constant([[4.0, 7.0], [7.0, 7.0]])
    # 10 / 2^2 * (1 + 9) / 4
    assert float(style_loss(gram, target)) == pytest.approx(6.25)


def test_total_variation_loss_by_hand():
    image = tf.reshape(tf.constant([[0.0, 1.0, 3.0], [0.0, 2.0, 3.0]]), [1, 2, 3, 1])
    # across: (1 + 4 + 4 + 1) / 4; down: (0 + 1 + 0) / 3
    assert float(total_variation_loss(image)) == pytest.approx(2.5 + 1 / 3)


def test_losses_vanish_at_their_targets():
    features = tf.random.normal([1, 4, 5, 6], seed=3)
    gram = gram_matrix(features)
    assert float(content_loss(features, features)) == 0
    assert float(style_loss(gram, gram)) == 0
    assert float(total_variation_loss(tf.ones([1, 4, 4, 3]))) == 0
