"""What this machine computes on, and how precisely."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Final, NamedTuple

import tensorflow as tf

from nstd.errors import ConfigError
from nstd.memory import resident_bytes
from nstd.network import Precision

_BFLOAT16_CPU_FLAGS: Final = ("avx512_bf16", "amx_bf16")
_BFLOAT16_CAPABILITY: Final = (8, 0)
"""Of Nvidia's Ampere GPUs."""
_FLOAT16_CAPABILITY: Final = (7, 0)
"""Of Volta, the first with tensor cores."""
_MIB_PER_GIB: Final = 1024


class Device(NamedTuple):
    """Where and how an engine computes.

    Attributes:
        name: as in the config: `cpu`, `gpu:N` or a GPU's UUID.
        model: what the processor or the GPU is called; empty if that is not told.
        precision: dtype of the network's convolutions, never `auto`.
        reason: why it is this precision, for a person.
    """

    name: str
    model: str
    precision: Precision
    reason: str


def claim_device(
    wanted: str = "auto",
    precision: Precision = Precision.AUTO,
    gpu_memory_gib: float = 0,
    *,
    cpuinfo: Path = Path("/proc/cpuinfo"),
    devices: ModuleType = tf.config,
) -> Device:
    """Make this process compute on the device that is asked for, and on no other.

    A GPU's memory is taken as it is needed; up to a limit only where TF_FORCE_GPU_ALLOW_GROWTH is true, as TensorFlow
    has no other way to have both. Call it before TensorFlow has computed anything. A GPU that is named by its UUID must
    be the only one that CUDA_VISIBLE_DEVICES shows this process.

    Args:
        wanted: `auto`, `cpu`, `gpu:N` or a GPU's UUID.
        precision: of the network; `auto` for the fastest that the device does well.
        gpu_memory_gib: memory of the GPU to take at most, in GiB; 0 takes what is needed.
        cpuinfo: where Linux tells what the processor can do.
        devices: TensorFlow's functions about devices.

    Raises:
        ConfigError: the machine has no such device.
    """
    gpus = devices.list_physical_devices("GPU")
    name = wanted if wanted != "auto" else "gpu:0" if gpus else "cpu"
    if name == "cpu":
        _show_only([], devices)
        told = _told_of_cpu(cpuinfo)
        return Device(name, told.get("model name", ""), *_chosen(precision, _best_of_cpu(cpuinfo, told)))
    gpu = _gpu_named(name, gpus)
    _show_only([gpu], devices)
    _bound_memory(gpu, gpu_memory_gib, devices)
    details = devices.experimental.get_device_details(gpu)
    chosen, reason = _chosen(precision, _best_of_gpu(details.get("compute_capability")))
    # What is called float32 is not to be rounded to TF32; what follows bfloat16 features loses next to nothing by it.
    devices.experimental.enable_tensor_float_32_execution(chosen is not Precision.FLOAT32)
    return Device(name, details.get("device_name", ""), chosen, reason)


def memory_bytes(devices: ModuleType = tf.config) -> int:
    """Return the memory that is taken now: by TensorFlow of its GPU; without one, by this process of the machine's.

    0 if TensorFlow does not tell.
    """
    if devices.get_visible_devices("GPU"):
        try:
            return int(devices.experimental.get_memory_info("GPU:0")["current"])
        except (ValueError, RuntimeError):  # not every allocator counts
            return 0
    return resident_bytes()


def _gpu_named(name: str, gpus: Sequence[tf.config.PhysicalDevice]) -> tf.config.PhysicalDevice:
    if name.startswith("gpu:"):
        number = int(name.removeprefix("gpu:"))
        if number < len(gpus):
            return gpus[number]
        msg = f"engine.device: got {name}, but TensorFlow finds {len(gpus) or 'no'} GPU here"
        raise ConfigError(msg)
    if len(gpus) != 1:
        msg = f"engine.device: got {name}, but TensorFlow finds no such GPU here; nvidia-smi -L lists what there is"
        raise ConfigError(msg)
    return gpus[0]


def _show_only(gpus: list[tf.config.PhysicalDevice], devices: ModuleType) -> None:
    if devices.get_visible_devices("GPU") != gpus:
        devices.set_visible_devices(gpus, "GPU")


def _bound_memory(gpu: tf.config.PhysicalDevice, gib: float, devices: ModuleType) -> None:
    if gib:
        limit = devices.LogicalDeviceConfiguration(memory_limit=max(1, round(gib * _MIB_PER_GIB)))
        devices.set_logical_device_configuration(gpu, [limit])
    elif not devices.experimental.get_memory_growth(gpu):
        devices.experimental.set_memory_growth(gpu, enable=True)


def _chosen(precision: Precision, best: tuple[Precision, str]) -> tuple[Precision, str]:
    return best if precision is Precision.AUTO else (precision, "set in the config")


def _best_of_gpu(capability: tuple[int, int] | None) -> tuple[Precision, str]:
    """Say which precision is the fastest on a GPU; of one that does not tell, assume nothing."""
    if capability is None:
        return Precision.FLOAT32, "the GPU does not tell its compute capability"
    reason = f"the GPU's compute capability is {capability[0]}.{capability[1]}"
    if capability >= _BFLOAT16_CAPABILITY:
        return Precision.BFLOAT16, reason
    return Precision.FLOAT16 if capability >= _FLOAT16_CAPABILITY else Precision.FLOAT32, reason


def _told_of_cpu(cpuinfo: Path) -> dict[str, str]:
    """Read what Linux tells of the first processor; nothing if that cannot be read."""
    try:
        first, _, _ = cpuinfo.read_text().partition("\n\n")
    except OSError:
        return {}
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _best_of_cpu(cpuinfo: Path, told: Mapping[str, str]) -> tuple[Precision, str]:
    """Say which precision is the fastest on the CPU; where Linux does not tell, assume nothing."""
    if not told:
        return Precision.FLOAT32, f"{cpuinfo} cannot be read"
    flags = told.get("flags", "").split()
    for flag in _BFLOAT16_CPU_FLAGS:
        if flag in flags:
            return Precision.BFLOAT16, f"the CPU has {flag}"
    return Precision.FLOAT32, f"the CPU has no {' or '.join(_BFLOAT16_CPU_FLAGS)}"
