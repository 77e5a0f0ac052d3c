"""What to tell of a picture that a GPU's memory does not suffice for."""

from typing import Final

from nstd.engine.gpu_memory import GpuMemory
from nstd.memory import GIB, largest_size_px, needed_bytes
from nstd.worker.messages import Failed

# CUDA's context and the network, which are there when the GPU is asked.
_OWN_BYTES: Final = 1 << 30
_MUCH: Final = 0.1


def explained(
    failed: Failed, size: tuple[int, int], memory: GpuMemory | None, *, limit_bytes: float, in_float32: bool
) -> Failed:
    """Add what the picture needs, what there is, and what would fit; and whether other programs are what it lacks.

    Args:
        failed: says that memory has run out.
        size: of the picture, in pixels.
        memory: of the GPU, when the network had been loaded, and no picture; None if that is not known.
        limit_bytes: what nstd may take of it; 0 for all.
        in_float32: as against arithmetic in 16 bits.
    """
    width, height = size
    need = needed_bytes(width * height, in_float32=in_float32)
    words = f"{failed.message}; a picture of {width} x {height} px takes about {need / GIB:.1f} GiB"
    if memory is None:
        return failed.model_copy(update={"message": f"{words}: take a smaller size_px"})
    others = max(0, memory.total_bytes - memory.free_bytes - _OWN_BYTES)
    has = min(memory.total_bytes - others, limit_bytes or memory.total_bytes)
    words += f", and there are {has / GIB:.1f} of the GPU's {memory.total_bytes / GIB:.1f} GiB for it"
    if is_taken := others > _MUCH * memory.total_bytes:
        words += f", as other programs have {others / GIB:.1f} GiB"
    fits = largest_size_px(has, width, height, in_float32=in_float32)
    # What is estimated to fit, and did not, is of no use.
    advice = f"size_px: {fits} would fit" if 0 < fits < max(size) else "take a smaller size_px"
    return failed.model_copy(update={"message": f"{words}: {advice}", "may_pass": is_taken})
