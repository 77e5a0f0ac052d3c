"""Jobs and their results, as plain validated records; what stands in `job.json` and in the result log."""

from typing import Annotated, Literal

from pydantic import Field

from nstd.preset import Network, Preset, Record

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0)]
Pixels = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(ge=0)]


class FileFacts(Record):
    """A file's name and the identity of its bytes."""

    name: str
    bytes: Count
    sha256: Sha256


class FrozenStyle(FileFacts):
    """A style image as it was at ingest; its bytes lie in `styles/<sha256>`."""

    weight: float


class DropIdentity(Record):
    """Which file a job was made from, so that a repeated ingest recognises it.

    Attributes:
        path: relative to the inbox.
        mtime_ns: modification time in nanoseconds since the epoch.
    """

    path: str
    device: int
    inode: int
    bytes: Count
    mtime_ns: int


class Job(Record):
    """One content image with one frozen preset.

    Attributes:
        id: unique, and sorted by the time of ingest.
        siblings: ids of all jobs made from the same drop, this one included.
        attempts: how often a worker has started on it.
        created_at: time of ingest, ISO 8601 in UTC.
    """

    schema_version: Literal[1] = 1
    id: Annotated[str, Field(pattern=r"^[0-9TZ.]+-[0-9a-f]+$")]
    siblings: tuple[str, ...]
    created_at: str
    attempts: Count = 0
    drop: DropIdentity
    content: FileFacts
    preset_name: str
    preset: Preset
    styles: tuple[FrozenStyle, ...]


class Losses(Record):
    """The loss terms of one evaluation, each with its weight applied.

    Attributes:
        step: optimiser steps taken on this level before the evaluation; 0 is the start.
        style: each style layer's term; their sum is the style loss.
        tv: total variation loss.
    """

    step: Count
    total: float
    content: float
    style: dict[str, float]
    tv: float


class LevelLog(Record):
    """What happened on one level of the pyramid."""

    width_px: Pixels
    height_px: Pixels
    history: tuple[Losses, ...]
    seconds: Seconds


class LossSummary(Record):
    """Total losses of the last level, at the result's size."""

    initial: float
    best: float
    final: float
    best_step: Count


class ImageFacts(FileFacts):
    """An image file that was read."""

    width_px: Pixels
    height_px: Pixels


class StyleFacts(ImageFacts):
    """A style image that was read, with its share."""

    weight: float


class EngineFacts(Record):
    """What computed the picture."""

    network: Network
    weights_source: str
    weights_sha256: Sha256
    device: str
    precision: str
    nstd_version: str
    tensorflow_version: str


class Phases(Record):
    """Where the time went, in seconds."""

    queued: Seconds
    decode: Seconds
    style_targets: Seconds
    optimise: Seconds
    encode: Seconds


class Painting(Record):
    """What a worker knows of a finished picture: the result log without the queue's part.

    Attributes:
        seconds: by phase; `queued` is 0 until the daemon fills it in.
        output: the picture's file.
    """

    content: ImageFacts
    styles: tuple[StyleFacts, ...]
    engine: EngineFacts
    levels: tuple[LevelLog, ...]
    loss: LossSummary
    stop_reason: Literal["iterations"]
    seconds: Phases
    output: ImageFacts


class ResultLog(Painting):
    """The JSON file beside each published picture."""

    schema_version: Literal[1] = 1
    job: str
    status: Literal["done"] = "done"
    created_at: str
    started_at: str
    finished_at: str
    attempts: Count
    preset_name: str
    preset: Preset
