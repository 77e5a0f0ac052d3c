"""What a GPU would do with the compiled step, from TensorFlow's own register of kernels, which needs no GPU.

An operation without a GPU kernel goes to the host, with all that it reads and writes; so do those arguments of a GPU
kernel that it keeps in host memory. Both may be a few numbers, such as shapes, and nothing else.
"""

import itertools
from collections.abc import Iterator

import pytest
import tensorflow as tf
from tensorflow.python.framework.kernels import get_registered_kernels_for_op

from nstd.engine import products
from nstd.engine.descent import Descent
from nstd.engine.evaluator import WholeEvaluator
from nstd.engine.extractor import Extractor
from nstd.engine.objective import Objective
from nstd.engine.optimizers import make_optimizer
from nstd.manner import ContentStatistics
from nstd.network import Network, Precision
from nstd.transfer_settings import Optimizer, Pooling, StyleStatistics, TransferSettings

PRECISIONS = [Precision.FLOAT32, Precision.BFLOAT16, Precision.FLOAT16]
FEW = 16
# They compute nothing: they are the graph's own, or are gone before it runs.
STRUCTURE = {
    "Placeholder", "Const", "NoOp", "StatefulPartitionedCall", "PartitionedCall", "Identity", "IdentityN",
    "ReadVariableOp",
}  # fmt: skip


@pytest.fixture(scope="module")
def extractors(weights):
    return {precision: Extractor(Network.VGG19, weights.arrays, precision) for precision in PRECISIONS}


def operations(function) -> Iterator[tf.Operation]:
    """Yield all operations of a function of open sizes, and of the functions that it calls."""
    graph = function.get_concrete_function().graph
    yield from graph.get_operations()
    for inner in graph._functions.values():  # noqa: SLF001  there is no other way to them
        yield from inner.graph.get_operations()


def traced(function, signature):
    return tf.function(function, input_signature=signature, autograph=False)


def is_small(tensor: tf.Tensor) -> bool:
    if tensor.op.type == "BroadcastGradientArgs":
        return True  # as many numbers as a tensor has dimensions, at most
    count = tensor.shape.num_elements()
    return count is not None and count <= FEW


def gpu_kernel(operation: tf.Operation):
    """Return the kernel that serves the operation's types, or None."""
    for kernel in get_registered_kernels_for_op(operation.type).kernel:
        if kernel.device_type == "GPU" and all(
            operation.get_attr(constraint.name).as_datatype_enum in constraint.allowed_values.list.type
            for constraint in kernel.constraint
        ):
            return kernel
    return None


def arguments(operation: tf.Operation, names: list[str]) -> Iterator[tf.Tensor]:
    """Yield the inputs and outputs that have these names in the operation's definition."""
    definition = operation.op_def
    for defined, tensors in ((definition.input_arg, operation.inputs), (definition.output_arg, operation.outputs)):
        rest = list(tensors)
        for argument in defined:
            count = operation.get_attr(argument.number_attr) if argument.number_attr else 1
            mine, rest = rest[:count], rest[count:]
            if argument.name in names:
                yield from mine


def on_the_host(function) -> dict[str, list[str]]:
    """Return the tensors that go through host memory and may be large, by the type of their operation."""
    found: dict[str, list[str]] = {}
    for operation in operations(function):
        if operation.type in STRUCTURE:
            continue
        kernel = gpu_kernel(operation)
        tensors = (
            [*operation.inputs, *operation.outputs]
            if kernel is None
            else arguments(operation, list(kernel.host_memory_arg))
        )
        large = [f"{tensor.name} {tensor.dtype.name} {tensor.shape}" for tensor in tensors if not is_small(tensor)]
        if large:
            found.setdefault(operation.type, []).extend(large)
    return found


@pytest.mark.parametrize(
    ("precision", "statistics", "pooling"),
    [
        *itertools.product(PRECISIONS, StyleStatistics, [Pooling.MAX]),
        *itertools.product(PRECISIONS, [StyleStatistics.GRAM], [Pooling.AVERAGE, Pooling.L2]),
    ],
)
def test_an_evaluation_stays_on_the_gpu(extractors, monkeypatch, precision, statistics, pooling):
    monkeypatch.setattr(products, "rounds_factors", lambda: True)
    settings = TransferSettings(
        manner="texture", style_statistics=statistics, pooling=pooling, tv_weight=1, nearest_weight=1
    )
    objective = Objective(extractors[precision], settings)
    evaluator = WholeEvaluator(objective)
    assert on_the_host(traced(evaluator.evaluate, evaluator.signature)) == {}


@pytest.mark.parametrize("precision", PRECISIONS)
def test_self_similarity_stays_on_the_gpu(extractors, precision):
    settings = TransferSettings(manner="texture", content_statistics=ContentStatistics.SELF_SIMILARITY)
    evaluator = WholeEvaluator(Objective(extractors[precision], settings))
    assert on_the_host(traced(evaluator.evaluate, evaluator.signature)) == {}


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_match_stays_on_the_gpu(extractors, precision):
    matcher = Objective(extractors[precision], TransferSettings(nearest_weight=1)).matcher
    assert on_the_host(traced(matcher.matched, matcher.signature)) == {}


@pytest.mark.parametrize("choice", Optimizer)
def test_an_update_stays_on_the_gpu(extractors, choice):
    objective = Objective(extractors[Precision.FLOAT32], TransferSettings())
    descent = Descent(WholeEvaluator(objective), make_optimizer(choice))
    assert on_the_host(traced(descent.updated, descent.update_signature)) == {}


def test_what_has_no_gpu_kernel_is_found():
    def counted(numbers: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(numbers, axis=0)

    assert list(on_the_host(traced(counted, [tf.TensorSpec([None, None], tf.int32)]))) == ["Sum"]
