"""Who must act on what goes wrong in a worker."""

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
        # Others may have its memory now; what a CPU lacks, no waiting brings.
        return Failed(blame=Blame.MACHINE, message=f"the GPU is out of memory: {_first_line(error)}")
    summary = f"{type(error).__name__}: {_first_line(error)}"
    return Failed(blame=Blame.ENGINE, message=summary, traceback="".join(traceback.format_exception(error)))


def _is_lack_of_memory(error: Exception) -> bool:
    import tensorflow as tf  # noqa: PLC0415  seconds, but for who computes on a GPU and has it

    return isinstance(error, tf.errors.ResourceExhaustedError)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
