"""Positions of a layer that stand for all, and what is there."""

from typing import Final

import tensorflow as tf

_COUNTS: Final = 0.5
_LEAST: Final = 1e-8


def drawn(guide: tf.Tensor, count: int, seed: tf.Tensor) -> tf.Tensor:
    """Draw positions of those that count, `[N]` int64: one of each of `count` stretches of equal length, row by row."""
    inside = tf.where(tf.reshape(guide, [-1]) > _COUNTS)[:, 0]
    there = tf.size(inside)
    size = tf.minimum(count, there)
    # Counted in floats, as GPUs have no use for integers of 32 bits.
    before = tf.cumsum(tf.ones([size]), exclusive=True)
    offsets = tf.random.stateless_uniform([size], seed, alg="philox")
    chosen = tf.cast((before + offsets) * tf.cast(there / size, tf.float32), tf.int64)
    return tf.gather(inside, tf.minimum(chosen, tf.cast(there - 1, tf.int64)))


def at(features: tf.Tensor, positions: tf.Tensor) -> tf.Tensor:
    """Return features `[1, h, w, C]` at positions, `[N, C]` float32."""
    return tf.cast(tf.gather(tf.reshape(features, [-1, features.shape[-1]]), positions), tf.float32)


def directions(features: tf.Tensor, mean: tf.Tensor) -> tf.Tensor:
    """Return in which direction features `[N, C]` lie from the mean; nowhere for one that is there."""
    apart = features - mean
    return apart * tf.math.rsqrt(tf.maximum(tf.reduce_sum(apart**2, axis=1, keepdims=True), _LEAST))
