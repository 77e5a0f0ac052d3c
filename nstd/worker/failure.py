"""Who must act on what goes wrong in a worker."""

import re
import traceback
from typing import Final

from nstd.errors import ConfigError, EngineError, InputError, SpoolError, StyleError
from nstd.worker.messages import Blame, Failed

_BLAME: Final = {
    StyleError: Blame.STYLE,
    ConfigError: Blame.OPERATOR,
    InputError: Blame.INPUT,
    SpoolError: Blame.MACHINE,
    EngineError: Blame.ENGINE,
}

# CUDA's libraries say it in these words where it is not TensorFlow's own allocator that finds no memory. On a GPU that
# is full not even the handles of cuDNN and cuBLAS can be made.
_LACKS_MEMORY: Final = re.compile(
    "out of memory|OUT_OF_MEMORY|failed to allocate|ALLOC_FAILED|MemoryAllocation|"
    "handle: (CUDNN_STATUS_(NOT_INITIALIZED|INTERNAL_ERROR)|CUBLAS_STATUS_NOT_INITIALIZED)",
    re.IGNORECASE,
)


def failure_of(error: Exception, *, on_gpu: bool = False) -> Failed:
    """Say who must act on an error; one that nobody foresaw is ours, and comes with its traceback.

    Args:
        error: whatever the painter raised.
        on_gpu: it computes on a GPU.
    """
    for kind, blame in _BLAME.items():
        if isinstance(error, kind):
            return Failed(blame=blame, message=str(error))
    if on_gpu and _is_lack_of_memory(error):
        return Failed(blame=Blame.MEMORY, message=f"the GPU is out of memory: {_first_line(error)}", is_last=True)
    summary = f"{type(error).__name__}: {_first_line(error)}"
    # After one error of CUDA's all that follows in its context may fail.
    details = "".join(traceback.format_exception(error))
    return Failed(blame=Blame.ENGINE, message=summary, traceback=details, is_last=on_gpu)


def _is_lack_of_memory(error: Exception) -> bool:
    import tensorflow as tf  # noqa: PLC0415  seconds, but for who computes on a GPU and has it

    if isinstance(error, tf.errors.ResourceExhaustedError):
        return True
    return isinstance(error, tf.errors.OpError) and _LACKS_MEMORY.search(str(error)) is not None


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
