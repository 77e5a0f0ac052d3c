import math
from pathlib import Path

import pytest

from nstd.memory import (
    GIB,
    allowed_bytes,
    largest_size_px,
    machine_bytes,
    needed_bytes,
    resident_bytes,
    worker_bound_bytes,
)


@pytest.mark.parametrize(("in_float32", "gib"), [(False, 2.98), (True, 6.01)])
def test_need_grows_with_the_pixels(in_float32, gib):
    assert needed_bytes(1024**2, in_float32=in_float32) / GIB == pytest.approx(gib, abs=0.01)


@pytest.mark.parametrize("in_float32", [False, True])
@pytest.mark.parametrize(("width", "height"), [(4000, 3000), (3000, 4000), (5000, 5000)])
def test_largest_size_fits_and_the_next_does_not(in_float32, width, height):
    memory = 10 * GIB
    size = largest_size_px(memory, width, height, in_float32=in_float32)
    assert size % 32 == 0

    def need(long_side: int) -> float:
        return needed_bytes(round(long_side**2 * min(width, height) / max(width, height)), in_float32=in_float32)

    assert need(size) <= memory < need(size + 33)


def test_nothing_fits_where_the_network_does_not():
    assert largest_size_px(GIB / 2, 400, 300, in_float32=False) == 0


def test_resident_memory_is_that_of_this_process():
    assert resident_bytes() > 1 << 20


def test_resident_memory_is_not_known_where_proc_is_hidden(tmp_path):
    assert resident_bytes(tmp_path / "none") == 0


@pytest.mark.parametrize(
    ("allowed_gib", "workers", "bound_gib"),
    [(64, 1, 32), (64, 4, 8), (64, 10, 4), (6, 1, 4), (4, 1, 3.2), (16, 8, 1.6)],
)
def test_a_worker_may_hold_its_share_of_half_of_the_memory_or_what_it_needs(allowed_gib, workers, bound_gib):
    assert worker_bound_bytes(allowed_gib * GIB, workers) == pytest.approx(bound_gib * GIB)
    assert worker_bound_bytes(math.inf, workers) == math.inf


@pytest.fixture
def meminfo(tmp_path: Path) -> Path:
    (tmp_path / "meminfo").write_text("MemTotal:       8388608 kB\nMemFree: 1 kB\n")
    return tmp_path / "meminfo"


def test_machine_that_tells_nothing_has_no_known_memory(tmp_path, meminfo):
    assert machine_bytes(meminfo) == 8 * GIB
    assert machine_bytes(tmp_path / "none") == 0
    assert allowed_bytes(tmp_path / "none", tmp_path / "none", tmp_path) == 0


def test_least_bound_of_the_control_groups_counts(tmp_path, meminfo):
    """A service's MemoryMax, or a slice's above it."""
    (tmp_path / "group").write_text("0::/system.slice/nstd.service\n")
    groups = tmp_path / "groups"
    service = groups / "system.slice" / "nstd.service"
    service.mkdir(parents=True)
    assert allowed_bytes(meminfo, tmp_path / "group", groups) == 8 * GIB
    (service / "memory.max").write_text("max\n")
    assert allowed_bytes(meminfo, tmp_path / "group", groups) == 8 * GIB
    (service.parent / "memory.max").write_text(f"{3 * GIB}\n")
    assert allowed_bytes(meminfo, tmp_path / "group", groups) == 3 * GIB
    (service / "memory.max").write_text(f"{2 * GIB}\n")
    assert allowed_bytes(meminfo, tmp_path / "group", groups) == 2 * GIB
    (tmp_path / "group").write_text("1:memory:/another\n")
    assert allowed_bytes(meminfo, tmp_path / "group", groups) == 8 * GIB
