import threading
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf

from nstd.engine.compiled import compiled

NUMBER = tf.TensorSpec([])


class Both(NamedTuple):
    total: tf.Tensor
    parts: list[tf.Tensor]


@pytest.mark.skipif(bool(tf.config.get_visible_devices("GPU")), reason="on a GPU TensorFlow's own threads do the work")
def test_compiled_function_runs_in_the_thread_that_calls_it():
    def thread(number: tf.Tensor) -> tf.Tensor:
        return tf.numpy_function(lambda _: np.int64(threading.get_ident()), [number], tf.int64)

    call = compiled(thread, [NUMBER])
    assert call(tf.constant(1.0)) == threading.get_ident()
    with ThreadPoolExecutor(1) as other:
        found = other.submit(call, tf.constant(1.0)).result()
        assert found == other.submit(threading.get_ident).result() != threading.get_ident()


def test_arguments_and_results_keep_their_structure():
    double = tf.Variable(2.0)
    call = compiled(
        lambda both, scale: Both(both.total * scale * double, both.parts[::-1]), [Both(NUMBER, [NUMBER] * 2), NUMBER]
    )
    result = call(Both(tf.constant(3.0), [tf.constant(5.0), tf.constant(7.0)]), tf.constant(10.0))
    assert isinstance(result, Both)
    assert [float(x) for x in (result.total, *result.parts)] == [60, 7, 5]


def test_variables_are_read_at_every_call():
    variable = tf.Variable(2.0)
    call = compiled(lambda number: number * variable, [NUMBER])
    assert float(call(tf.constant(3.0))) == 6
    variable.assign(5.0)
    assert float(call(tf.constant(3.0))) == 15
