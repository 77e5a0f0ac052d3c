from pathlib import Path
from types import SimpleNamespace

import pytest

from nstd.engine.device import claim_device, memory_bytes
from nstd.errors import ConfigError
from nstd.network import Precision

MIG = "MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f"


@pytest.mark.parametrize(
    ("cpuinfo", "precision", "reason"),
    [
        ("flags\t\t: fpu sse avx512_bf16 ht\n", Precision.BFLOAT16, "the CPU has avx512_bf16"),
        ("flags\t\t: fpu amx_bf16\n", Precision.BFLOAT16, "the CPU has amx_bf16"),
        ("flags\t\t: avx2 not_avx512_bf16\n", Precision.FLOAT32, "the CPU has no avx512_bf16 or amx_bf16"),
        ("Features : fp asimd\n", Precision.FLOAT32, "the CPU has no avx512_bf16 or amx_bf16"),
    ],
)
def test_precision_follows_what_the_processor_is_fast_at(tmp_path, cpuinfo, precision, reason):
    first = f"processor: 0\nmodel name\t: AMD EPYC 9554P\n{cpuinfo}"
    (tmp_path / "cpuinfo").write_text(f"{first}\nprocessor: 1\nmodel name: another\nflags: none\n")
    found = claim_device("cpu", cpuinfo=tmp_path / "cpuinfo")
    assert found == ("cpu", "AMD EPYC 9554P", precision, reason)


def test_unknown_processor_computes_in_float32(tmp_path):
    missing = tmp_path / "missing"
    found = claim_device("cpu", cpuinfo=missing)
    assert found == ("cpu", "", Precision.FLOAT32, f"{missing} cannot be read")


def test_chosen_precision_is_kept(tmp_path):
    assert claim_device("cpu", Precision.BFLOAT16, cpuinfo=tmp_path / "missing") == (
        "cpu",
        "",
        Precision.BFLOAT16,
        "set in the config",
    )


def test_missing_gpu_is_the_operators_fault():
    with pytest.raises(ConfigError, match=r"engine\.device: got gpu:99, but TensorFlow finds (no|\d+) GPU here"):
        claim_device("gpu:99")


class Machine:
    """What TensorFlow would say of a machine with two GPUs, and what it was asked to do."""

    def __init__(self, *gpus: str, **details: object) -> None:
        self.gpus = list(gpus or ("a", "b"))
        self.visible, self.limits, self.grows = self.gpus, {}, set()
        self.LogicalDeviceConfiguration = lambda *, memory_limit: memory_limit
        self.experimental = SimpleNamespace(
            get_device_details=lambda _gpu: details,
            get_memory_growth=lambda gpu: gpu in self.grows,
            set_memory_growth=self._set_memory_growth,
            enable_tensor_float_32_execution=self._allow_tf32,
        )

    def _allow_tf32(self, allowed: bool) -> None:  # noqa: FBT001  TensorFlow calls it so
        self.tf32 = allowed

    def list_physical_devices(self, _kind: str) -> list[str]:
        return self.gpus

    def get_visible_devices(self, _kind: str) -> list[str]:
        return self.visible

    def set_visible_devices(self, gpus: list[str], _kind: str) -> None:
        self.visible = gpus

    def set_logical_device_configuration(self, gpu: str, limits: list[int]) -> None:
        assert gpu not in self.grows, "TensorFlow then forgets that it shall grow"
        self.limits[gpu] = limits

    def _set_memory_growth(self, gpu: str, *, enable: bool) -> None:
        assert enable
        assert gpu not in self.limits, "TensorFlow raises ValueError"
        self.grows.add(gpu)


@pytest.mark.parametrize(
    ("capability", "precision"),
    [
        ((6, 1), Precision.FLOAT32),  # Pascal
        ((7, 0), Precision.FLOAT16),  # Volta
        ((7, 5), Precision.FLOAT16),  # Turing
        ((8, 0), Precision.BFLOAT16),  # Ampere
        ((12, 0), Precision.BFLOAT16),  # Blackwell
    ],
)
def test_precision_follows_the_gpus_generation(capability, precision):
    found = claim_device(devices=Machine(compute_capability=capability, device_name="NVIDIA L4"))
    assert found == ("gpu:0", "NVIDIA L4", precision, "the GPU's compute capability is {}.{}".format(*capability))


def test_gpu_that_tells_nothing_computes_in_float32():
    found = claim_device(devices=Machine())
    assert found == ("gpu:0", "", Precision.FLOAT32, "the GPU does not tell its compute capability")


def test_only_the_chosen_gpu_is_used_and_its_memory_grows():
    machine = Machine(compute_capability=(7, 5))
    found = claim_device("gpu:1", Precision.FLOAT32, devices=machine)
    assert found == ("gpu:1", "", Precision.FLOAT32, "set in the config")
    assert (machine.visible, machine.grows, machine.limits) == (["b"], {"b"}, {})


def test_gpu_that_is_named_by_its_uuid_is_the_only_one():
    machine = Machine("the one that CUDA shows", compute_capability=(8, 0))
    found = claim_device(MIG, devices=machine)
    assert (found.name, found.precision) == (MIG, Precision.BFLOAT16)
    assert (machine.visible, machine.grows) == (machine.gpus, set(machine.gpus))


def test_gpu_whose_uuid_is_unknown_is_the_operators_fault():
    """CUDA then shows none; of several that it shows, none is known to be that one."""
    none = Machine()
    none.gpus = []
    for machine in (none, Machine("a", "b")):
        with pytest.raises(ConfigError) as told:
            claim_device(MIG, devices=machine)
        assert str(told.value) == (
            f"engine.device: got {MIG}, but TensorFlow finds no such GPU here; nvidia-smi -L lists what there is"
        )


def test_memory_of_the_gpu_is_bounded_in_mib():
    machine = Machine()
    claim_device(gpu_memory_gib=1.5, devices=machine)
    assert (machine.visible, machine.grows, machine.limits) == (["a"], set(), {"a": [1536]})


def test_cpu_hides_the_gpus():
    machine = Machine()
    assert claim_device("cpu", devices=machine).name == "cpu"
    assert (machine.visible, machine.grows, machine.limits) == ([], set(), {})


def test_memory_is_what_tensorflow_took_of_the_gpu():
    machine = Machine()
    machine.experimental.get_memory_info = lambda device: {"GPU:0": {"current": 5 << 30, "peak": 6 << 30}}[device]
    assert memory_bytes(machine) == 5 << 30


def test_allocator_that_does_not_count_stops_nothing():
    machine = Machine()

    def refuse(_device: str) -> None:
        raise ValueError("Allocator stats not available for device 'GPU:0'.")

    machine.experimental.get_memory_info = refuse
    assert memory_bytes(machine) == 0


def test_memory_without_a_gpu_is_what_this_process_holds():
    machine = Machine()
    machine.visible = []
    status = Path("/proc/self/status").read_text()
    kibibytes = int(next(line for line in status.splitlines() if line.startswith("VmRSS:")).split()[1])
    assert memory_bytes(machine) == pytest.approx(kibibytes * 1024, rel=0.05)


@pytest.mark.parametrize(
    ("precision", "capability", "allowed"),
    [
        (Precision.FLOAT32, (8, 6), False),
        (Precision.AUTO, (8, 6), True),
        (Precision.AUTO, (7, 0), True),
        (Precision.AUTO, (6, 1), False),
    ],
)
def test_float32_is_true_float32_on_a_gpu(tmp_path, precision, capability, allowed):
    machine = Machine(compute_capability=capability)
    claim_device("gpu:0", precision, cpuinfo=tmp_path, devices=machine)
    assert machine.tf32 is allowed
