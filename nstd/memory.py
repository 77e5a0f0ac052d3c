"""How much memory a painting takes, and how much there is."""

import math
import resource
from pathlib import Path
from typing import Final

GIB: Final = 1 << 30

_MEMINFO: Final = Path("/proc/meminfo")
_STATM: Final = Path("/proc/self/statm")
_GROUPS: Final = Path("/sys/fs/cgroup")
_GROUP: Final = Path("/proc/self/cgroup")
# Measured by benchmarks/growth.py: what the worker takes besides, and for each pixel of the picture.
_BYTES_IN_16_BITS: Final = (850 << 20, 2200)
_BYTES_IN_FLOAT32: Final = (2500 << 20, 3650)
_SIZES_PX: Final = 32
_ENOUGH_BYTES: Final = 4 * GIB


def needed_bytes(pixels: int, *, in_float32: bool) -> int:
    """Estimate what a painting takes, by what was measured of processes that compute on a CPU.

    Args:
        pixels: of the picture.
        in_float32: as against arithmetic in 16 bits.
    """
    base, per_pixel = _BYTES_IN_FLOAT32 if in_float32 else _BYTES_IN_16_BITS
    return base + per_pixel * pixels


def largest_size_px(memory_bytes: float, width_px: int, height_px: int, *, in_float32: bool) -> int:
    """Estimate the long side of the largest picture that some memory suffices for, rounded down; 0 for none.

    Args:
        memory_bytes: that there is.
        width_px: of a picture with the same proportions.
        height_px: of that picture.
        in_float32: as against arithmetic in 16 bits.
    """
    base, per_pixel = _BYTES_IN_FLOAT32 if in_float32 else _BYTES_IN_16_BITS
    pixels = max(0.0, memory_bytes - base) / per_pixel
    scale = math.sqrt(pixels / (width_px * height_px))
    return int(scale * max(width_px, height_px)) // _SIZES_PX * _SIZES_PX


def resident_bytes(statm: Path = _STATM) -> int:
    """Return the memory of the machine that this process holds; 0 if Linux does not tell."""
    try:
        pages = int(statm.read_text().split()[1])
    except OSError:
        return 0
    return pages * resource.getpagesize()


def worker_bound_bytes(allowed_bytes: float, workers: int) -> float:
    """Return what each of a machine's workers may hold between two pictures: its share of half of the memory.

    But 4 GiB at least, as one in float32 holds nearly 3 after a small picture, if four fifths of the memory are that.

    Args:
        allowed_bytes: that there is; infinite if it is not known.
        workers: how many there are.
    """
    return max(0.5 * allowed_bytes, min(workers * _ENOUGH_BYTES, 0.8 * allowed_bytes)) / workers


def machine_bytes(meminfo: Path = _MEMINFO) -> int:
    """Return the machine's memory; 0 if Linux does not tell."""
    try:
        line = next(line for line in meminfo.read_text().splitlines() if line.startswith("MemTotal:"))
    except (OSError, StopIteration):
        return 0
    return int(line.split()[1]) * 1024


def allowed_bytes(meminfo: Path = _MEMINFO, group: Path = _GROUP, groups: Path = _GROUPS) -> int:
    """Return the memory that this process and its children may have: the machine's, or less in a control group.

    Args:
        meminfo: where Linux tells of the machine.
        group: where it tells in which group of version 2 this process is.
        groups: where these are.

    Returns:
        0 if Linux does not tell.
    """
    bounds = [machine_bytes(meminfo), *_bounds(group, groups)]
    return min(filter(None, bounds), default=0)


def _bounds(group: Path, groups: Path) -> list[int]:
    try:
        line = next(line for line in group.read_text().splitlines() if line.startswith("0::"))
    except (OSError, StopIteration):
        return []
    own = groups / line.removeprefix("0::").lstrip("/")
    bounds = []
    for folder in (own, *own.parents):
        if not folder.is_relative_to(groups):
            break
        try:
            bound = (folder / "memory.max").read_text().strip()
        except OSError:  # the root has none
            continue
        if bound.isdecimal():
            bounds.append(int(bound))
    return bounds
