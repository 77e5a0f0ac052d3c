"""The settings of `config.yaml`, as validated records; every path in them is absolute once loaded."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import Field

from nstd.preset import Network, NonNegativeFloat, PositiveFloat, Preset, Record


class Precision(StrEnum):
    """Arithmetic of the network's convolutions; pixels, losses and the optimiser are always float32."""

    AUTO = "auto"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


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
        rescan_seconds: time between two looks at the whole inbox, whatever the watch reports.
    """

    inbox: Path = Path("inbox")
    outbox: Path = Path("outbox")
    originals: Path = Path("originals")
    failed: Path = Path("failed")
    state: Path = Path("state")
    keep_originals: bool = True
    settle_seconds: NonNegativeFloat = 2
    rescan_seconds: PositiveFloat = 30


class WorkerSettings(Record):
    """How jobs are run.

    Attributes:
        max_attempts: how often a job may take its worker down before it goes to `failed`.
    """

    max_attempts: Annotated[int, Field(ge=1, le=100)] = 3


class EngineSettings(Record):
    """What computes the pictures.

    Attributes:
        network: whose features are compared.
        device: `auto`, `cpu` or `gpu:N`.
        precision: arithmetic of the network's convolutions.
    """

    network: Network = Network.VGG19
    device: Annotated[str, Field(pattern=r"^(auto|cpu|gpu:\d+)$")] = "auto"
    precision: Precision = Precision.AUTO


class Limits(Record):
    """What a content or style image may be at most; checked before it is decoded.

    Attributes:
        max_file_mib: size of the file in MiB (1,048,576 bytes).
        max_megapixels: width times height in millions.
    """

    max_file_mib: PositiveFloat = 64
    max_megapixels: PositiveFloat = 100


class Config(Record):
    """The whole config file.

    Attributes:
        default_presets: presets for photos dropped into the inbox's own top folder.
    """

    spool: SpoolSettings = SpoolSettings()
    default_presets: tuple[str, ...] = ()
    worker: WorkerSettings = WorkerSettings()
    engine: EngineSettings = EngineSettings()
    limits: Limits = Limits()
    presets: Annotated[dict[str, Preset], Field(min_length=1)]
