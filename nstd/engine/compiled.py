"""Compiled functions whose caches can be given back."""

from collections.abc import Callable, Sequence
from typing import Any, cast

import tensorflow as tf


def compiled(function: Callable[..., Any], signature: Sequence[Any]) -> Callable[..., Any]:
    """Compile `function` for the arguments that `signature` describes; on a CPU it runs in the thread that calls it.

    oneDNN makes a kernel for every layer and every size of picture. TensorFlow keeps the last 1024 of them for each
    thread that computes, and these 300 MB are given back only when that thread ends. Called in the usual way, a
    compiled function runs in a thread of TensorFlow's own, which never ends; called by an operation, it runs here, as
    long as there is no control flow in it, such as `tf.cond`.
    """
    whole = tf.function(function, input_signature=signature, autograph=False)
    if tf.config.get_visible_devices("GPU"):
        return cast("Callable[..., Any]", whole)
    graph = whole.get_concrete_function()
    dtypes = [output.dtype for output in graph.outputs]

    def call(*arguments: Any) -> Any:  # noqa: ANN401  whatever `function` takes and returns
        tensors = tf.nest.flatten(arguments) + graph.captured_inputs
        outputs = tf.raw_ops.StatefulPartitionedCall(args=tensors, Tout=dtypes, f=graph)
        return tf.nest.pack_sequence_as(graph.structured_outputs, outputs)

    return call
