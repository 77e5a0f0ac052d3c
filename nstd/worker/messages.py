"""What the daemon and a worker say to each other: one JSON object a line."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, TypeAdapter

from nstd.config.settings import EngineSettings, Limits
from nstd.job import Count, EngineFacts, FileFacts, Losses, Painting
from nstd.preset import Preset, Record


class Setup(Record):
    """What a worker is started with.

    Attributes:
        cache: the folder where the network's weights are stored.
    """

    engine: EngineSettings
    limits: Limits
    cache: Path


class Source(FileFacts):
    """An image to read; `name` is what a person calls it, `path` is where it lies."""

    path: Path


class StyleSource(Source):
    """A style image to read, with its share in the style statistics."""

    weight: float


class Request(Record):
    """Paint one picture.

    Attributes:
        picture: where the finished picture is committed.
    """

    type: Literal["request"] = "request"
    preset: Preset
    content: Source
    styles: tuple[StyleSource, ...]
    picture: Path


class Stop(Record):
    """Give up the running request at its next step."""

    type: Literal["stop"] = "stop"


class Ready(Record):
    """The network is loaded."""

    type: Literal["ready"] = "ready"
    engine: EngineFacts


class Stepped(Record):
    """An evaluation is done.

    Attributes:
        number: evaluations so far on all levels; it ends at `total`, or before.
        progress: share of the work that is done, 0 to 1.
        level: index of the level, 0 is the coarsest.
    """

    type: Literal["stepped"] = "stepped"
    number: Count
    total: Count
    progress: float
    level: Count
    losses: Losses


class Done(Record):
    """The picture is committed."""

    type: Literal["done"] = "done"
    painting: Painting


class Interrupted(Record):
    """The request was given up because a `Stop` came."""

    type: Literal["interrupted"] = "interrupted"


class Blame(StrEnum):
    """Who must act on a failure; see `nstd.errors`."""

    OPERATOR = "operator"
    STYLE = "style"
    INPUT = "input"
    MACHINE = "machine"
    ENGINE = "engine"


class Failed(Record):
    """The request, or the setup, came to nothing.

    Attributes:
        message: the reason, for a person.
        traceback: for a developer; empty where the message says all.
    """

    type: Literal["failed"] = "failed"
    blame: Blame
    message: str
    traceback: str = ""


Command = Request | Stop
Event = Ready | Stepped | Done | Interrupted | Failed

COMMANDS: Final[TypeAdapter[Command]] = TypeAdapter(Annotated[Command, Field(discriminator="type")])
EVENTS: Final[TypeAdapter[Event]] = TypeAdapter(Annotated[Event, Field(discriminator="type")])


def to_line(message: Record) -> bytes:
    """Write a message as one line of JSON."""
    return message.model_dump_json().encode() + b"\n"
