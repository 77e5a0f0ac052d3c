"""What CUDA's driver tells of a GPU's memory, which TensorFlow does not."""

import ctypes
from typing import Any, Final, NamedTuple

_DRIVER: Final = "libcuda.so.1"


class GpuMemory(NamedTuple):
    """Memory of a GPU, or of a part of one, as it is now.

    Attributes:
        free_bytes: that nobody has taken.
        total_bytes: of all.
    """

    free_bytes: int
    total_bytes: int


def gpu_memory(device: str, driver: Any = None) -> GpuMemory | None:  # noqa: ANN401  a C library
    """Ask the driver; None if it does not tell.

    Call it when TensorFlow has claimed the device: CUDA's context, which takes time and memory, is then there already.

    Args:
        device: `gpu:N`, or the UUID of the only one that CUDA shows this process.
        driver: the driver's library.
    """
    number = int(device.removeprefix("gpu:")) if device.startswith("gpu:") else 0
    try:
        return _asked(driver or ctypes.CDLL(_DRIVER), number)
    except (OSError, AttributeError):  # there is no driver, or one without such a function
        return None


def _asked(driver: Any, number: int) -> GpuMemory | None:  # noqa: ANN401  as above
    device, context = ctypes.c_int(), ctypes.c_void_p()
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    if driver.cuInit(0) or driver.cuDeviceGet(ctypes.byref(device), number):
        return None
    # TensorFlow computes in the primary context too; each who retains it must release it.
    if driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), device):
        return None
    try:
        if driver.cuCtxPushCurrent_v2(context):
            return None
        failed = driver.cuMemGetInfo_v2(ctypes.byref(free), ctypes.byref(total))
        driver.cuCtxPopCurrent_v2(ctypes.byref(context))
    finally:
        driver.cuDevicePrimaryCtxRelease_v2(device)
    return None if failed else GpuMemory(free.value, total.value)
