"""The settings of `config.yaml`, as validated records; every path in them is absolute once loaded."""

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, WithJsonSchema

from nstd.network import Network, Precision
from nstd.preset import Preset
from nstd.record import Auto, NonNegativeFloat, PositiveFloat, Record, auto_for_none, none_for


class Watch(StrEnum):
    """How the system reports changes in the inbox; the regular look at the whole inbox needs none of it."""

    AUTO = "auto"
    INOTIFY = "inotify"
    POLLING = "polling"


class SpoolSettings(Record):
    """Where photos come from and where everything goes.

    Attributes:
        inbox: drops; a sub-folder per preset.
        outbox: results; a sub-folder per preset.
        originals: photos after ingest.
        failed: what could not be done, with the reason.
        state: the queue, frozen style images, the lock.
        keep_originals: move a photo to `originals` after ingest; otherwise delete it.
        settle_seconds: quiet time before a drop counts as complete.
        watch: how changes are noticed before that: `polling` for network shares, `auto` polls where inotify is refused.
        rescan_seconds: time between two looks at the whole inbox, whatever the watch reports.
        keep_results_days: age at which a picture and its log are removed from `outbox`; 0 keeps them for ever.
        keep_originals_days: age at which a photo is removed from `originals`; 0 keeps them for ever.
        keep_failed_days: age at which a job is removed from `failed`; 0 keeps them for ever.
    """

    inbox: Path = Path("inbox")
    outbox: Path = Path("outbox")
    originals: Path = Path("originals")
    failed: Path = Path("failed")
    state: Path = Path("state")
    keep_originals: Annotated[bool, Field(strict=True)] = True
    settle_seconds: NonNegativeFloat = 2
    watch: Watch = Watch.AUTO
    rescan_seconds: PositiveFloat = 30
    keep_results_days: NonNegativeFloat = 0
    keep_originals_days: NonNegativeFloat = 0
    keep_failed_days: NonNegativeFloat = 0


class WorkerSettings(Record):
    """How jobs are run.

    Attributes:
        max_attempts: how often a job may take its worker down, without coming on between, before it goes to `failed`.
        job_timeout_seconds: silence after which a worker counts as hung and is replaced; 0 lets nstd judge by the
            picture's size and the pace so far.
        checkpoint_seconds: between two checkpoints, from which a job goes on after a stop or a crash; 0 for none.
        preview_seconds: between two previews of the picture so far, in `.previews` in the outbox; 0 for none.
        idle_release_minutes: time without a job after which the worker ends and gives the device back, until the next
            job; 0 keeps it.
        max_memory_gib: memory of the machine, in GiB, above which the worker is replaced after a job; 0 is half of what
            there is, shared by the workers of this machine, but 4 if there is that much, and no bound in a cluster.
    """

    max_attempts: Annotated[int, Field(ge=1, le=100, strict=True)] = 3
    job_timeout_seconds: NonNegativeFloat = 0
    checkpoint_seconds: NonNegativeFloat = 60
    preview_seconds: NonNegativeFloat = 30
    idle_release_minutes: NonNegativeFloat = 0
    max_memory_gib: NonNegativeFloat = 0


class Workers(StrEnum):
    """Where the workers are: processes of this machine, or actors in a Ray cluster."""

    LOCAL = "local"
    RAY = "ray"


_UUID: Final = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
# A part of a GPU is called MIG-GPU-<UUID>/<number>/<number> by drivers before 470.
_DEVICE: Final = f"^(auto|cpu|gpu:[0-9]{{1,3}}|(GPU|MIG)-{_UUID}|MIG-GPU-{_UUID}/[0-9]+/[0-9]+)$"


def _is_device(text: str) -> str:
    if not re.fullmatch(_DEVICE, text):
        msg = "must be auto, cpu, gpu:N with N from 0, or GPU-... or MIG-... as nvidia-smi -L prints them"
        raise ValueError(msg)
    return text


Device = Annotated[str, AfterValidator(_is_device), WithJsonSchema({"type": "string", "pattern": _DEVICE})]


class EngineSettings(Record):
    """What computes the pictures.

    Attributes:
        workers: `local`, or `ray` for a cluster, as the section `ray` says.
        network: whose features are compared.
        device: `auto`, `cpu`, `gpu:N` in CUDA's own order, or the UUID of a GPU (`GPU-...`) or of a part of one
            (`MIG-...`), as nvidia-smi -L prints them.
        devices: several of them, each for a worker of its own; empty for `device` alone.
        precision: arithmetic of the network's convolutions.
        gpu_memory_gib: memory of the GPU to take at most, in GiB; 0 takes what is needed.
    """

    workers: Workers = Workers.LOCAL
    network: Network = Network.VGG19
    device: Device = "auto"
    devices: tuple[Device, ...] = ()
    precision: Precision = Precision.AUTO
    gpu_memory_gib: NonNegativeFloat = 0

    @property
    def wants_gpu(self) -> bool:
        """Whether a GPU of this machine is named."""
        return not {self.device, *self.devices} <= {"auto", "cpu"}


_CLUSTER: Final = r"^(auto|(ray://)?[A-Za-z0-9.\-\[\]:]+:[0-9]{1,5})$"


def _is_cluster(text: str) -> str:
    if not re.fullmatch(_CLUSTER, text):
        msg = "must be auto, host:6379 or ray://host:10001"
        raise ValueError(msg)
    return text


_ACCELERATOR: Final = "^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"


def _is_accelerator(text: str) -> str:
    if not re.fullmatch(_ACCELERATOR, text):
        msg = "must be a type of accelerator as Ray names it, such as A100"
        raise ValueError(msg)
    return text


MoreThanNone = Annotated[int, Field(ge=1, le=10_000, strict=True)]


class ClusterSettings(Record):
    """How to reach a Ray cluster, and what a worker needs there.

    Attributes:
        address: `auto` for the cluster of which this machine is a node, `host:6379` for the head of that cluster, or
            `ray://host:10001` for one elsewhere.
        num_gpus: of a node, for each worker.
        num_cpus: of a node, for each worker.
        memory_gib: of a node, for each worker, in GiB; 0 does not ask for any.
        accelerator_type: that a node must have, as Ray names it; null for any.
        insecure: also use a cluster that lets anybody in.
    """

    address: Annotated[str, AfterValidator(_is_cluster), WithJsonSchema({"type": "string", "pattern": _CLUSTER})] = (
        "auto"
    )
    num_gpus: NonNegativeFloat = 1
    num_cpus: NonNegativeFloat = 1
    memory_gib: NonNegativeFloat = 0
    accelerator_type: (
        Annotated[str, AfterValidator(_is_accelerator), WithJsonSchema({"type": "string", "pattern": _ACCELERATOR})]
        | None
    ) = None
    insecure: Annotated[bool, Field(strict=True)] = False


class RaySettings(ClusterSettings):
    """The Ray cluster that paints, if `engine.workers` is `ray`.

    Attributes:
        workers: how many. None: as many as there are jobs.
        min_workers: with `workers: auto`, how many are kept while there is nothing to do.
        max_workers: with `workers: auto`, how many at most.
        idle_minutes: with `workers: auto`, time without a job after which a worker gives its place back.
    """

    workers: Annotated[
        MoreThanNone | None,
        BeforeValidator(none_for("auto", "a whole number"), json_schema_input_type=Auto | MoreThanNone),
        PlainSerializer(auto_for_none),
    ] = Field("auto", validate_default=True)
    min_workers: Annotated[int, Field(ge=0, le=10_000, strict=True)] = 0
    max_workers: MoreThanNone = 16
    idle_minutes: PositiveFloat = 5

    @property
    def most_workers(self) -> int:
        """How many there may be."""
        return self.max_workers if self.workers is None else self.workers

    @property
    def cluster(self) -> ClusterSettings:
        """What does not change while its workers run."""
        return ClusterSettings(**{name: getattr(self, name) for name in ClusterSettings.model_fields})


_HOST: Final = r"[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})*|\[[0-9A-Fa-f:.]+\]"
_LISTEN: Final = f"^(?:{_HOST}):([0-9]{{1,5}})$"
_LARGEST_PORT: Final = 65535


def _is_address(text: str) -> str:
    match = re.fullmatch(_LISTEN, text)
    if not match or not 0 < int(match[1]) <= _LARGEST_PORT:
        msg = "must be an address and a port from 1 to 65535, such as 127.0.0.1:9188 or [::1]:9188"
        raise ValueError(msg)
    return text


def _is_collected(path: Path) -> Path:
    if path.suffix != ".prom":
        msg = "must end with .prom: node_exporter reads no other file"
        raise ValueError(msg)
    return path


class MetricsSettings(Record):
    """Where Prometheus finds what nstd counts and measures.

    Attributes:
        textfile: file for node_exporter's textfile collector; null for none.
        listen: address and port at which metrics are served by HTTP, to whoever can reach it; null for none.
    """

    textfile: Annotated[Path, AfterValidator(_is_collected)] | None = None
    listen: (
        Annotated[str, AfterValidator(_is_address), WithJsonSchema({"type": "string", "pattern": _LISTEN})] | None
    ) = None


class Limits(Record):
    """What a content or style image may be at most; checked before it is decoded.

    Attributes:
        max_file_mib: size of the file in MiB (1,048,576 bytes).
        max_megapixels: width times height in millions.
    """

    max_file_mib: PositiveFloat = 64
    max_megapixels: PositiveFloat = 100


_PRESET_NAME: Final = "^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"


def _names_a_folder(text: str) -> str:
    if not re.fullmatch(_PRESET_NAME, text):
        msg = "must be letters, digits, '-' and '_', at most 64, the first a letter or digit"
        raise ValueError(msg)
    return text


PresetName = Annotated[str, AfterValidator(_names_a_folder)]


class Config(Record):
    """The whole config file.

    Attributes:
        spool: where photos come from and where everything goes.
        default_presets: presets for photos dropped into the inbox's own top folder.
        worker: how jobs are run.
        engine: what computes the pictures.
        ray: the cluster that does, if one does.
        metrics: where they can be read.
        limits: what a content or style image may be at most.
        presets: named recipes; each has its own folder in inbox and outbox.
    """

    spool: SpoolSettings = SpoolSettings()
    default_presets: tuple[str, ...] = ()
    worker: WorkerSettings = WorkerSettings()
    engine: EngineSettings = EngineSettings()
    ray: RaySettings = RaySettings()
    metrics: MetricsSettings = MetricsSettings()
    limits: Limits = Limits()
    presets: Annotated[
        dict[PresetName, Preset],
        Field(min_length=1, json_schema_extra={"propertyNames": {"pattern": _PRESET_NAME}}),
    ]
