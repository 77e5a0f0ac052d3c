"""The machine's own rate: the product of two square matrices, by TensorFlow.

python -m rivals.matmul SIDE PRECISION
"""

import os
import sys

from nstd.weights.store import cache_folder
from nstd.worker.environment import tensorflow_environment
from rivals.answering import answer_with_seconds

os.environ.update(tensorflow_environment(os.environ, cache_folder(os.environ)))

import tensorflow as tf


def main() -> None:
    """Answer."""
    side, precision = int(sys.argv[1]), sys.argv[2]
    matrix = tf.cast(tf.random.normal([side, side], seed=1), precision)
    product = tf.function(lambda: tf.matmul(matrix, matrix))
    answer_with_seconds({"precision": precision}, lambda: float(product()[0, 0]))


if __name__ == "__main__":
    main()
