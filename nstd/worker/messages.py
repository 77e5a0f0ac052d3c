"""What the daemon and a worker say to each other: one JSON object a line."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import Field, TypeAdapter

from nstd.config.settings import EngineSettings, Limits
from nstd.history import Losses
from nstd.job import EngineFacts, FileFacts, Painting
from nstd.memory import resident_bytes
from nstd.preset import Preset
from nstd.record import Count, Record, Seconds


class Setup(Record):
    """What a worker is started with.

    Attributes:
        cache: the folder where the network's weights are stored.
        spare_memory: take a GPU's memory so that little of it lies idle, though that costs time.
    """

    engine: EngineSettings
    limits: Limits
    cache: Path
    spare_memory: bool = False


class Source(FileFacts):
    """An image to read; `name` is what a person calls it, `path` is where it lies."""

    path: Path


class StyleSource(Source):
    """A style image to read, with its share in the style statistics."""

    weight: float


class Interim(Record):
    """What is kept of a picture that is not finished yet.

    Attributes:
        checkpoint: where the state of the painting is committed, and where it goes on from if that lies there.
        checkpoint_seconds: between two; 0 for none.
        preview: where a small JPEG of the best picture so far is put; removing it is the daemon's.
        preview_seconds: between two; 0 for none.
    """

    checkpoint: Path
    checkpoint_seconds: Seconds
    preview: Path
    preview_seconds: Seconds


class Request(Record):
    """Paint one picture.

    Attributes:
        picture: where the finished picture is committed.
        interim: None where nothing is kept.
        spare_memory: paint with less of the device's memory, and somewhat worse.
    """

    type: Literal["request"] = "request"
    preset: Preset
    content: Source
    styles: tuple[StyleSource, ...]
    picture: Path
    interim: Interim | None = None
    spare_memory: bool = False


class Stop(Record):
    """Stop the running request at its next step, with a checkpoint."""

    type: Literal["stop"] = "stop"


class Waiting(Record):
    """The worker is not ready yet: there is no place for it, or it loads; the reason says what it waits for."""

    type: Literal["waiting"] = "waiting"
    reason: str


class Ready(Record):
    """The network is loaded.

    Attributes:
        place: which machine of a cluster, and its device; empty for this machine.
    """

    type: Literal["ready"] = "ready"
    engine: EngineFacts
    place: str = ""


class Fallen(Record):
    """The worker has ended, with the running request; another takes its place, and will say that it is ready.

    Attributes:
        how: it ended, to stand after "the worker".
        with_machine: the whole machine is gone, for which no request is to blame.
    """

    type: Literal["fallen"] = "fallen"
    how: str
    with_machine: bool = False


class Stepped(Record):
    """An evaluation is done.

    Attributes:
        number: evaluations so far on all levels; it ends at `total`, or before.
        progress: share of the work that is done, 0 to 1.
        level: index of the level, 0 is the coarsest.
        device_memory_bytes: that the worker holds: of the GPU, or of a machine without one.
    """

    type: Literal["stepped"] = "stepped"
    number: Count
    total: Count
    progress: float
    level: Count
    losses: Losses
    device_memory_bytes: Count = 0


class Resumed(Record):
    """The painting goes on from its checkpoint.

    Attributes:
        number: evaluations that were done before.
        seconds: that they took.
        differs: what is another than where it was made, such as `precision: float32, then bfloat16`; the painting will
            then not be to the last bit what it would have become there.
    """

    type: Literal["resumed"] = "resumed"
    number: Count
    seconds: Seconds
    differs: tuple[str, ...] = ()


class StartedOver(Record):
    """There is a checkpoint, but it is of no use; the reason says why."""

    type: Literal["started_over"] = "started_over"
    reason: str


class Checkpointed(Record):
    """A checkpoint is committed.

    Attributes:
        number: evaluations that are in it.
        bytes: of the file.
        seconds: that it took, beside the painting.
    """

    type: Literal["checkpointed"] = "checkpointed"
    number: Count
    bytes: Count
    seconds: Seconds


class Hindered(Record):
    """A checkpoint or a preview could not be written; the painting goes on. Said once for each reason."""

    type: Literal["hindered"] = "hindered"
    reason: str


class Noted(Record):
    """Something that a person should know of the picture; it is in the result log, too."""

    type: Literal["noted"] = "noted"
    note: str


class _End(Record):
    """The last word about a request.

    Attributes:
        resident_bytes: memory of the machine that the worker holds then; 0 if it is not told.
    """

    resident_bytes: Count = 0

    def measured(self) -> Self:
        """Return the same with what this process holds now."""
        return self.model_copy(update={"resident_bytes": resident_bytes()})


class Done(_End):
    """The picture is committed."""

    type: Literal["done"] = "done"
    painting: Painting


class Interrupted(_End):
    """The request was stopped because a `Stop` came; if its checkpoint could be written, nothing is lost."""

    type: Literal["interrupted"] = "interrupted"


class Blame(StrEnum):
    """Who must act on a failure; see `nstd.errors`."""

    OPERATOR = "operator"
    STYLE = "style"
    INPUT = "input"
    MACHINE = "machine"
    MEMORY = "memory"
    ENGINE = "engine"


class Failed(_End):
    """The request, or the setup, came to nothing.

    Attributes:
        message: the reason, for a person.
        traceback: for a developer; empty where the message says all.
        is_last: the worker ends with it: what has failed may have left its GPU in a state that fails all that follows.
        may_pass: memory is lacking because other programs have it.
    """

    type: Literal["failed"] = "failed"
    blame: Blame
    message: str
    traceback: str = ""
    is_last: bool = False
    may_pass: bool = False


Command = Request | Stop
Event = (
    Waiting
    | Ready
    | Fallen
    | Stepped
    | Resumed
    | StartedOver
    | Checkpointed
    | Hindered
    | Noted
    | Done
    | Interrupted
    | Failed
)

COMMANDS: Final[TypeAdapter[Command]] = TypeAdapter(Annotated[Command, Field(discriminator="type")])
EVENTS: Final[TypeAdapter[Event]] = TypeAdapter(Annotated[Event, Field(discriminator="type")])


def to_line(message: Record) -> bytes:
    """Write a message as one line of JSON."""
    return message.model_dump_json().encode() + b"\n"
