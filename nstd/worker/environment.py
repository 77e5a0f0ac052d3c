"""The variables under which TensorFlow and Keras are loaded."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from nstd.worker.messages import Setup

_STDERR: Final = 2
# As much as CUDA's cache may hold. By default it holds 256 MiB, which all of TensorFlow's kernels may exceed.
_KERNELS_BYTES: Final = (1 << 32) - 1
_UUIDS: Final = ("GPU-", "MIG-")


def worker_environment(environ: Mapping[str, str], setup: Setup) -> dict[str, str]:
    """Return the variables to set for a worker: those for TensorFlow, and the GPU that it sees, if one is named.

    By its number a GPU is chosen among those that CUDA_VISIBLE_DEVICES shows, see `nstd.engine.device`; by its UUID
    CUDA itself must choose it, and for a part of one (MIG) there is no other way.

    Args:
        environ: the environment so far.
        setup: the worker's.
    """
    spare_memory = setup.spare_memory and not setup.engine.gpu_memory_gib
    variables = tensorflow_environment(environ, setup.cache, spare_memory=spare_memory)
    if setup.engine.device.startswith(_UUIDS):
        variables["CUDA_VISIBLE_DEVICES"] = setup.engine.device
    return variables


def tensorflow_environment(environ: Mapping[str, str], cache: Path, *, spare_memory: bool = False) -> dict[str, str]:
    """Return the variables to set, so that a user's own Keras settings cannot change the arithmetic.

    Args:
        environ: the environment so far; what the user set about log levels and CUDA's cache is kept.
        cache: a folder for what the libraries store.
        spare_memory: let CUDA manage a GPU's memory, which leaves fewer gaps; it knows of no limit.
    """
    allocator = {"TF_GPU_ALLOCATOR": environ.get("TF_GPU_ALLOCATOR", "cuda_malloc_async")} if spare_memory else {}
    return allocator | {
        # TensorFlow fails to load without a home, and a service has none.
        "HOME": environ.get("HOME", str(cache)),
        "KERAS_BACKEND": "tensorflow",
        "KERAS_HOME": str(cache / "keras"),
        # One operation at a time, on all cores: two at once only get in each other's way.
        "TF_NUM_INTEROP_THREADS": environ.get("TF_NUM_INTEROP_THREADS", "1"),
        # TensorFlow has a cache of its own before this one, which would only keep the kernels of finished jobs.
        "ONEDNN_PRIMITIVE_CACHE_CAPACITY": environ.get("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "0"),
        # TensorFlow would take a bounded share of a GPU's memory at once; see `nstd.engine.device`.
        "TF_FORCE_GPU_ALLOW_GROWTH": environ.get("TF_FORCE_GPU_ALLOW_GROWTH", "true"),
        # For a GPU that is newer than its kernels CUDA compiles them, for up to half an hour, and a service has no home
        # to keep them in.
        "CUDA_CACHE_PATH": environ.get("CUDA_CACHE_PATH", str(cache / "cuda")),
        "CUDA_CACHE_MAXSIZE": environ.get("CUDA_CACHE_MAXSIZE", str(_KERNELS_BYTES)),
        "TF_CPP_MIN_LOG_LEVEL": environ.get("TF_CPP_MIN_LOG_LEVEL", "2"),
        "GRPC_VERBOSITY": environ.get("GRPC_VERBOSITY", "ERROR"),
    }


@contextmanager
def loading_tensorflow(cache: Path, *, spare_memory: bool = False) -> Iterator[None]:
    """Set these variables in this process, and keep quiet while TensorFlow is imported and finds its devices.

    Args:
        cache: a folder for what the libraries store.
        spare_memory: see `tensorflow_environment`.
    """
    os.environ.update(tensorflow_environment(os.environ, cache, spare_memory=spare_memory))
    with _without_chatter():
        yield


@contextmanager
def _without_chatter() -> Iterator[None]:
    """Close standard error to C++: what TensorFlow prints while it loads comes before any log level counts."""
    try:
        kept = os.dup(_STDERR)
    except OSError:  # it is closed already
        yield
        return
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), _STDERR)
        yield
    finally:
        os.dup2(kept, _STDERR)
        os.close(kept)
