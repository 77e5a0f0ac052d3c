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


@pytest.fixture
def errors(weights):  # noqa: ARG001  which sets the variables that TensorFlow reads
    """TensorFlow's exceptions."""
    import tensorflow as tf  # noqa: PLC0415  only tests that compute pay for it

    return tf.errors


def test_memory_that_a_gpu_lacks_is_told_and_ends_the_worker_and_a_cpus_does_not(errors):
    exhausted = errors.ResourceExhaustedError(None, None, "OOM when allocating tensor\nmore", 8)
    on_gpu, on_cpu = failure_of(exhausted, on_gpu=True), failure_of(exhausted)
    assert (on_gpu.blame, on_gpu.message) == (Blame.MEMORY, "the GPU is out of memory: OOM when allocating tensor")
    assert (on_gpu.is_last, on_gpu.traceback) == (True, "")
    assert (on_cpu.blame, on_cpu.is_last) == (Blame.ENGINE, False)


@pytest.mark.parametrize(
    "words",
    [
        "CUDA_ERROR_OUT_OF_MEMORY: out of memory",
        "Failed to allocate request for 2.00GiB",
        "Failed to create cuBLAS handle: CUBLAS_STATUS_ALLOC_FAILED",
        "failed to create cublas handle: CUBLAS_STATUS_NOT_INITIALIZED",
        "Could not create cudnn handle: CUDNN_STATUS_NOT_INITIALIZED",
        "Could not create cudnn handle: CUDNN_STATUS_INTERNAL_ERROR",
        "cudaErrorMemoryAllocation",
    ],
)
def test_lack_of_memory_is_known_by_the_words_of_cudas_libraries(errors, words):
    for kind in (errors.InternalError, errors.UnknownError):
        failed = failure_of(kind(None, None, words), on_gpu=True)
        assert (failed.blame, failed.message) == (Blame.MEMORY, f"the GPU is out of memory: {words}")
    assert failure_of(ValueError(words), on_gpu=True).blame is Blame.ENGINE


def test_any_other_error_of_cudas_libraries_is_no_lack_of_memory(errors):
    failed = failure_of(errors.InternalError(None, None, "convolution: CUDNN_STATUS_INTERNAL_ERROR"), on_gpu=True)
    assert (failed.blame, failed.is_last) == (Blame.ENGINE, True)


def test_unforeseen_error_on_a_gpu_ends_the_worker(errors):
    for error in (errors.InternalError(None, None, "CUDA_ERROR_ILLEGAL_ADDRESS"), ValueError("x")):
        failed = failure_of(error, on_gpu=True)
        assert (failed.blame, failed.is_last) == (Blame.ENGINE, True)
        assert failed.traceback
        assert not failure_of(error).is_last


@pytest.mark.parametrize("kind", [StyleError, InputError, SpoolError, EngineError])
def test_foreseen_error_does_not_end_the_worker_on_a_gpu_either(kind):
    assert not failure_of(kind("x"), on_gpu=True).is_last


def test_anything_else_comes_with_its_traceback():
    failed = failure_of(ValueError("one\ntwo"))
    assert (failed.blame, failed.message, failed.traceback) == (
        Blame.ENGINE,
        "ValueError: one",
        "ValueError: one\ntwo\n",
    )
