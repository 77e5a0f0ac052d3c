"""Who is to blame for what goes wrong in a worker; the whole of it is tested in test_worker_process."""

import pytest

from nstd.errors import ConfigError, EngineError, InputError, SpoolError, StyleError, WeightsError
from nstd.worker.failure import failure_of
from nstd.worker.messages import Blame


@pytest.mark.parametrize(
    ("error", "blame"),
    [
        (StyleError("x"), Blame.STYLE),
        (WeightsError("x"), Blame.OPERATOR),
        (ConfigError("x"), Blame.OPERATOR),
        (InputError("x"), Blame.INPUT),
        (SpoolError("x"), Blame.MACHINE),
        (EngineError("x"), Blame.ENGINE),
    ],
)
def test_own_errors_say_who_must_act(error, blame):
    failed = failure_of(error)
    assert (failed.blame, failed.message, failed.traceback) == (blame, "x", "")


@pytest.mark.usefixtures("weights")  # which sets the variables that TensorFlow reads
def test_memory_that_a_gpu_lacks_may_come_back_and_a_cpus_does_not():
    import tensorflow as tf  # noqa: PLC0415  only tests that compute pay for it

    exhausted = tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor\nmore", 8)
    on_gpu, on_cpu = failure_of(exhausted, on_gpu=True), failure_of(exhausted)
    assert (on_gpu.blame, on_gpu.message) == (Blame.MACHINE, "the GPU is out of memory: OOM when allocating tensor")
    assert on_cpu.blame is Blame.ENGINE


def test_anything_else_comes_with_its_traceback():
    failed = failure_of(ValueError("one\ntwo"))
    assert (failed.blame, failed.message, failed.traceback) == (
        Blame.ENGINE,
        "ValueError: one",
        "ValueError: one\ntwo\n",
    )
