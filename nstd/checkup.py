"""What may keep a good config from working on this machine: what `nstd check` warns about."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from nstd import cuda
from nstd.config.settings import Config, Limits, Workers
from nstd.images.decode import probe_image
from nstd.images.resize import lacks_detail, same_pixels_size
from nstd.installation import CLUSTER_TOKEN, SPOOL, USER, Host, hidden_from_service, property_of_service
from nstd.memory import GIB, machine_bytes, needed_bytes
from nstd.network import Precision
from nstd.users import current_user

Probe = Callable[[Path, Limits], tuple[int, int]]

_FOLDERS: Final = ("inbox", "outbox", "originals", "failed", "state")
_AGAIN: Final = "'nstd install-service' and a restart"
_MEMINFO: Final = Path("/proc/meminfo")
_NVIDIA: Final = Path("/dev/nvidiactl")
_USUAL_ASPECT: Final = 2 / 3
"""Of photos, the short side by the long one."""


def warnings(
    config: Config, host: Host, *, as_service: bool, meminfo: Path = _MEMINFO, probe: Probe = probe_image
) -> Iterator[str]:
    """Say what an administrator would trip on; whoever calls is the user that the daemon will run as.

    Args:
        config: valid.
        host: where.
        as_service: the daemon will run as a service of systemd.
        meminfo: where Linux tells how much memory the machine has.
        probe: tells the width and height of an image file.
    """
    if as_service and current_user() != USER:
        yield "whether the service can write its folders is known to root only: run it by sudo"
    else:
        yield from _not_writable(config)
    if as_service:
        yield from _out_of_reach(config, host)
    yield from _too_large(config, meminfo)
    yield from _small_styles(config, probe)
    if _may_use_gpu(config, host):
        yield from (f"engine.device: TensorFlow will find no GPU: {reason}" for reason in cuda.missing_libraries())


def _may_use_gpu(config: Config, host: Host) -> bool:
    """Tell whether a GPU of this machine is asked for, or one would be used that seems to be there."""
    if config.engine.workers is Workers.RAY:
        return False
    if config.engine.device != "auto" or config.engine.devices:
        return config.engine.wants_gpu
    return host.exists(_NVIDIA) or bool(cuda.wheels())


def _roots(config: Config) -> Iterator[tuple[str, Path]]:
    for name in _FOLDERS:
        yield f"spool.{name}", getattr(config.spool, name)
    if config.metrics.textfile:
        yield "metrics.textfile", config.metrics.textfile.parent


def _not_writable(config: Config) -> Iterator[str]:
    for setting, folder in _roots(config):
        nearest = next(place for place in (folder, *folder.parents) if os.access(place, os.F_OK, effective_ids=True))
        if not os.access(nearest, os.W_OK | os.X_OK, effective_ids=True):
            made = "" if nearest == folder else f" to make {folder}"
            yield f"{setting}: {nearest} cannot be written by {current_user()}{made}"


def _out_of_reach(config: Config, host: Host) -> Iterator[str]:
    opened = property_of_service(host, "ReadWritePaths").split()
    writable = (SPOOL, *(Path(place.lstrip("-+")) for place in opened))
    for setting, folder in _roots(config):
        if hidden := hidden_from_service(folder):
            yield f"{setting}: {folder}: {hidden} is hidden from the service"
        elif not any(folder.is_relative_to(place) for place in writable):
            yield (
                f"{setting}: {folder} is read-only for the service; 'systemctl edit nstd' opens it, by a section "
                f"[Service] with ReadWritePaths={folder} and NoExecPaths={folder}"
            )
    if config.metrics.listen and property_of_service(host, "PrivateNetwork") == "yes":
        yield f"metrics.listen: the service has no network; {_AGAIN} gives it as much as that needs"
    if config.engine.workers is Workers.RAY:
        yield from _out_of_cluster(config, host)
    if config.engine.wants_gpu and property_of_service(host, "PrivateDevices") == "yes":
        yield f"engine.device: the service sees no GPU; {_AGAIN} gives it one"
    for name, preset in config.presets.items():
        for style in preset.styles:
            if hidden := hidden_from_service(style.image):
                yield f"presets.{name}: {style.image}: {hidden} is hidden from the service"


def _out_of_cluster(config: Config, host: Host) -> Iterator[str]:
    if not config.ray.address.startswith("ray://"):
        yield (
            f"ray.address: {config.ray.address} is that of a node, of which the service's sandbox shows nothing: it "
            "reaches a cluster by ray://host:10001"
        )
    if not host.exists(CLUSTER_TOKEN):
        yield f"engine.workers: the service shows the cluster the token in {CLUSTER_TOKEN}, which is not there"
    if property_of_service(host, "PrivateNetwork") == "yes":
        yield f"engine.workers: the service has no network; {_AGAIN} gives it as much as a cluster needs"


def _too_large(config: Config, meminfo: Path) -> Iterator[str]:
    if config.engine.workers is Workers.RAY:
        return  # it is the nodes' memory that counts
    name, preset = max(config.presets.items(), key=lambda item: item[1].size_px)
    # What `auto` leads to is known to the worker only: the less is assumed.
    takes = needed_bytes(preset.size_px**2, in_float32=config.engine.precision is Precision.FLOAT32)
    on_gpu = config.engine.wants_gpu
    has = config.engine.gpu_memory_gib * GIB if on_gpu else machine_bytes(meminfo)
    if has and takes > has:
        which = "engine.gpu_memory_gib allows" if on_gpu else "this machine has"
        yield (
            f"presets.{name}.size_px: a square picture of {preset.size_px} px takes about {takes / GIB:.1f} GiB of "
            f"memory, and {which} {has / GIB:.1f} GiB"
        )


def _small_styles(config: Config, probe: Probe) -> Iterator[str]:
    for name, preset in config.presets.items():
        pixels = round(_USUAL_ASPECT * preset.size_px**2 * preset.style_scale**2)
        for style in preset.styles:
            width, height = probe(style.image, config.limits)
            if lacks_detail(width, height, pixels):
                wide, high = same_pixels_size(width, height, pixels)
                yield (
                    f"presets.{name}.styles: {style.image} has {width} x {height} px and is enlarged to about {wide} x "
                    f"{high} for pictures of {preset.size_px} px: it has no strokes that fine"
                )
