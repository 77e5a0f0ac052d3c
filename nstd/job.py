"""Jobs and their results, as plain validated records: `job.json`, the result log and `reason.json`.

File names and paths in them are text as `nstd.spool.names.to_text` writes it, so that any name fits into JSON.
"""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from nstd.history import LevelLog, LossSummary, StopReason
from nstd.network import Network
from nstd.preset import Preset
from nstd.record import Count, Pixels, Record, Seconds

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
JobId = Annotated[str, Field(pattern=r"^[0-9TZ.]+-[0-9a-f]+$")]


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
        attempts: how often a worker has started on it; an orderly stop takes its attempt back.
        forgiven: attempts that are not held against it, because a later one came further, by a checkpoint.
        came_to: evaluations in that checkpoint.
        resumes: how often it went on from a checkpoint.
        lacked_memory: how often a GPU's memory did not suffice for it.
        created_at: time of ingest, ISO 8601 in UTC.
    """

    schema_version: Literal[1] = 1
    id: JobId
    siblings: Annotated[tuple[JobId, ...], Field(min_length=1)]
    created_at: str
    attempts: Count = 0
    forgiven: Count = 0
    came_to: Count = 0
    resumes: Count = 0
    lacked_memory: Count = 0
    drop: DropIdentity
    content: FileFacts
    preset_name: str
    preset: Preset
    styles: tuple[FrozenStyle, ...]

    @property
    def attempts_that_count(self) -> int:
        """Attempts that are held against it, the running one included."""
        return self.attempts - self.forgiven

    @property
    def spares_memory(self) -> bool:
        """Whether it is to be painted with less memory than others."""
        return self.lacked_memory > 0


class ImageFacts(FileFacts):
    """An image file that was read."""

    width_px: Pixels
    height_px: Pixels


class StyleFacts(ImageFacts):
    """A style image that was read, with its share."""

    weight: float


class EngineFacts(Record):
    """What computed the picture.

    Attributes:
        device_model: name of the processor or the GPU, as the system tells it; empty if it does not.
        precision: arithmetic of the network's convolutions.
        precision_reason: why it is that, for a person.
    """

    network: Network
    weights_source: str
    weights_sha256: Sha256
    device: str
    device_model: str = ""
    precision: str
    precision_reason: str
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
        started_at: when a worker first began, ISO 8601 in UTC.
        seconds: by phase, whatever went before a checkpoint included; `queued` is 0 until the daemon fills it in.
        stop_reason: of the last level.
        notes: what a person should know of the picture.
        provenance_changes: what was another than before, such as `precision: float32, then bfloat16`, where the
            painting went on from a checkpoint; `engine` tells how it was finished.
        output: the picture's file.
    """

    schema_version: Literal[2] = 2
    started_at: str
    finished_at: str
    preset: Preset
    content: ImageFacts
    styles: tuple[StyleFacts, ...]
    engine: EngineFacts
    levels: tuple[LevelLog, ...]
    loss: LossSummary
    stop_reason: StopReason
    notes: tuple[str, ...] = ()
    seconds: Phases
    provenance_changes: tuple[str, ...] = ()
    output: ImageFacts

    @model_validator(mode="before")
    @classmethod
    def _of_version_1(cls, data: object) -> object:
        """Read a log of schema version 1; see also `Losses`."""
        return data | {"schema_version": 2} if isinstance(data, dict) and data.get("schema_version") == 1 else data


class QueueFacts(Record):
    """What the queue knows of a finished picture; see `Job`."""

    schema_version: Literal[2] = 2
    job: str
    status: Literal["done"] = "done"
    preset_name: str
    created_at: str
    attempts: Count
    resumes: Count


# Pydantic takes the fields of the last base first: the log begins with what a person looks for.
class ResultLog(Painting, QueueFacts):
    """The JSON file beside each published picture."""


class FailureKind(StrEnum):
    """Why a job was given up."""

    INPUT = "input"
    STYLE = "style"
    ENGINE = "engine"
    MEMORY = "memory"
    ATTEMPTS = "attempts"
    DAMAGED = "damaged"
    CANCELLED = "cancelled"


def _encodable(value: object) -> object:
    return value.encode(errors="backslashreplace").decode() if isinstance(value, str) else value


Message = Annotated[str, BeforeValidator(_encodable)]


class Failure(Record):
    """What stands in `failed/<job>/reason.json`.

    Attributes:
        kind: `input`: the photo can never become a painting; `style`: a style image cannot be decoded; `engine`: the
            computation went wrong; `memory`: the GPU has too little for a picture of this size; `attempts`: the job
            took its worker down too often; `damaged`: the queue's own record of the job cannot be read; `cancelled`:
            somebody wished it.
        message: the reason, for a person.
        failed_at: ISO 8601 in UTC.
        job: None where it is `damaged`.
        photo: name of the photo beside the file; None if it is lost.
        traceback: of the worker, if there was one.
        worker_log: the worker's last lines.
    """

    schema_version: Literal[1] = 1
    kind: FailureKind
    message: Message
    failed_at: str
    job: Job | None
    photo: str | None
    traceback: Message = ""
    worker_log: tuple[Message, ...] = ()
