"""What this machine computes on, and how precisely."""

from pathlib import Path
from typing import Final, NamedTuple

import tensorflow as tf

from nstd.config.settings import EngineSettings, Precision
from nstd.errors import ConfigError

_BFLOAT16_CPU_FLAGS: Final = frozenset({"avx512_bf16", "amx_bf16"})
_BFLOAT16_GPU_CAPABILITY: Final = (8, 0)


class Device(NamedTuple):
    """Where and how an engine computes.

    Attributes:
        name: as in the config: `cpu` or `gpu:N`.
        precision: dtype of the network's convolutions, never `auto`.
    """

    name: str
    precision: Precision


def claim_device(settings: EngineSettings, cpuinfo: Path = Path("/proc/cpuinfo")) -> Device:
    """Make this process compute on the device that the settings ask for, and on no other.

    A GPU's memory is taken as it is needed. Call it before TensorFlow has computed anything.

    Raises:
        ConfigError: the machine has no such device.
    """
    gpus = tf.config.list_physical_devices("GPU")
    name = settings.device if settings.device != "auto" else "gpu:0" if gpus else "cpu"
    if name == "cpu":
        _show_only([])
        return Device(name, _precision(settings, fast_bfloat16=_cpu_has_bfloat16(cpuinfo)))
    number = int(name.removeprefix("gpu:"))
    if number >= len(gpus):
        msg = f"engine.device: got {name}, but TensorFlow finds {len(gpus) or 'no'} GPU here"
        raise ConfigError(msg)
    _show_only([gpus[number]])
    capability = tf.config.experimental.get_device_details(gpus[number]).get("compute_capability", (0, 0))
    return Device(name, _precision(settings, fast_bfloat16=capability >= _BFLOAT16_GPU_CAPABILITY))


def _show_only(gpus: list[tf.config.PhysicalDevice]) -> None:
    if tf.config.get_visible_devices("GPU") != gpus:
        tf.config.set_visible_devices(gpus, "GPU")
    for gpu in gpus:
        if not tf.config.experimental.get_memory_growth(gpu):
            tf.config.experimental.set_memory_growth(gpu, enable=True)


def _precision(settings: EngineSettings, *, fast_bfloat16: bool) -> Precision:
    if settings.precision is not Precision.AUTO:
        return settings.precision
    return Precision.BFLOAT16 if fast_bfloat16 else Precision.FLOAT32


def _cpu_has_bfloat16(cpuinfo: Path) -> bool:
    """Tell whether bfloat16 is faster than float32 here; where there is no such file, assume not."""
    try:
        text = cpuinfo.read_text()
    except OSError:
        return False
    flags = next((line for line in text.splitlines() if line.startswith("flags")), "")
    return not _BFLOAT16_CPU_FLAGS.isdisjoint(flags.split())
