"""What CUDA's driver is asked, by a stand-in for it."""

import ctypes

import pytest

from nstd.engine.gpu_memory import GpuMemory, gpu_memory


def put(place: object, value: int) -> None:
    """Write to where a `byref` points."""
    place._obj.value = value  # noqa: SLF001  there is no other way to what it refers to


class Driver:
    """A driver with two GPUs; each function writes to where it is told, as C does, and returns an error's number."""

    def __init__(self, fails: str = "") -> None:
        self.fails = fails
        self.device = -1
        self.retained = self.pushed = 0

    def cuInit(self, _flags: int) -> int:  # noqa: N802  CUDA's name
        return self._status("init")

    def cuDeviceGet(self, device: object, number: int) -> int:  # noqa: N802
        self.device = number
        put(device, number)
        return 101 if number > 1 else self._status("get")

    def cuDevicePrimaryCtxRetain(self, context: object, _device: ctypes.c_int) -> int:  # noqa: N802
        if status := self._status("retain"):
            return status
        put(context, 7)
        self.retained += 1
        return 0

    def cuDevicePrimaryCtxRelease_v2(self, _device: ctypes.c_int) -> int:  # noqa: N802
        self.retained -= 1
        return 0

    def cuCtxPushCurrent_v2(self, context: ctypes.c_void_p) -> int:  # noqa: N802
        if status := self._status("push"):
            return status
        assert context.value == 7
        self.pushed += 1
        return 0

    def cuCtxPopCurrent_v2(self, _context: object) -> int:  # noqa: N802
        self.pushed -= 1
        return 0

    def cuMemGetInfo_v2(self, free: object, total: object) -> int:  # noqa: N802
        assert self.pushed == 1
        put(free, (5 + self.device) << 30)
        put(total, 24 << 30)
        return self._status("ask")

    def _status(self, step: str) -> int:
        return 2 if step == self.fails else 0


@pytest.mark.parametrize(
    ("device", "free"), [("gpu:0", 5), ("gpu:1", 6), ("MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f", 5)]
)
def test_memory_is_that_of_the_device_and_its_context_is_left_as_it_was(device, free):
    driver = Driver()
    assert gpu_memory(device, driver) == GpuMemory(free << 30, 24 << 30)
    assert (driver.retained, driver.pushed) == (0, 0)


@pytest.mark.parametrize("step", ["init", "get", "retain", "push", "ask"])
def test_driver_that_fails_tells_nothing_and_keeps_nothing(step):
    driver = Driver(step)
    assert gpu_memory("gpu:0", driver) is None
    assert (driver.retained, driver.pushed) == (0, 0)


def test_gpu_that_is_not_there_tells_nothing():
    assert gpu_memory("gpu:2", Driver()) is None


def test_driver_that_is_too_old_tells_nothing():
    assert gpu_memory("gpu:0", object()) is None
