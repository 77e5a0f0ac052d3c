"""Sums over positions, of which means are made when all positions are there."""

from typing import Any, NamedTuple

import tensorflow as tf


class Sums(NamedTuple):
    """Values that were added up over positions, each times its guide.

    Attributes:
        weight: scalar, the sum of the guide.
        values: tensors.
    """

    weight: tf.Tensor
    values: Any


def mean_of(sums: Sums) -> Any:  # noqa: ANN401  as its values
    """Divide sums by their weight; where nothing counts, the mean is 0."""
    return tf.nest.map_structure(lambda value: tf.math.divide_no_nan(value, sums.weight), sums.values)


def squares(difference: tf.Tensor, guide: tf.Tensor) -> Sums:
    """Add up the squares of `[1, h, w, C]` by their guide `[1, h, w, 1]`; the mean is over channels, too."""
    return Sums(difference.shape[-1] * tf.reduce_sum(guide), tf.reduce_sum(guide * tf.square(difference)))


def first_moment(features: tf.Tensor, guide: tf.Tensor) -> tf.Tensor:
    """Add up features `[1, h, w, C]` by their guide `[1, h, w, 1]`: `[C]` float32."""
    return tf.reshape(tf.matmul(_flat(guide), _flat(features), transpose_a=True), [-1])


def second_moment(features: tf.Tensor, guide: tf.Tensor) -> tf.Tensor:
    """Add up the products of channels, of features `[1, h, w, C]` by their guide `[1, h, w, 1]`: `[C, C]` float32.

    Reference:
        Gatys et al. 2016, eq. 3; with the guide, Gatys et al. 2017, eq. 4.
    """
    positions = _flat(features)
    # Both factors are the same but for the guide, so one of them can carry the gradient of both: one product instead of
    # two and their sum. The mirrored term is zero and brings the other's share. (A custom gradient would be kept by
    # TensorFlow for good, with the whole graph it is used in.)
    products = tf.matmul(tf.stop_gradient(positions * _flat(guide)), positions, transpose_a=True)
    mirrored = tf.transpose(products)
    return products + (mirrored - tf.stop_gradient(mirrored))


def _flat(tensor: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.reshape(tensor, [-1, tensor.shape[-1]]), tf.float32)
