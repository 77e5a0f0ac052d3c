"""What an actor says to the driver beside the events of every worker, and what daemon and driver say to each other."""

import sys
from typing import Annotated, Final, Literal

from pydantic import Field, TypeAdapter

from nstd.job import Sha256
from nstd.record import Count, Record
from nstd.worker.messages import Event

QUESTION: Final = b"?"
ANSWER: Final = b"!"
# How a line of the driver's chatter begins that the operator should read.
WARNING: Final = "nstd warns: "


class Greeting(Record):
    """Who an actor is, each time that it has been started.

    Attributes:
        node: address of the machine.
        node_id: by which Ray knows it.
        pid: of the process.
        nstd_version: that runs there.
    """

    node: str
    node_id: str
    pid: int
    nstd_version: str


class Parcel(Record):
    """A file is to be written: fetch its pieces, and settle it.

    Attributes:
        path: as in the request.
        pieces: how many.
        sha256: of all of them together.
        for_good: it must survive a power cut.
    """

    type: Literal["parcel"] = "parcel"
    path: str
    pieces: Count
    sha256: Sha256
    for_good: bool


SAYINGS: Final[TypeAdapter[Event | Parcel]] = TypeAdapter(Annotated[Event | Parcel, Field(discriminator="type")])


def warn(words: str) -> None:
    """Have the daemon log a warning."""
    sys.stderr.write(f"{WARNING}{' '.join(words.split())}\n")
    sys.stderr.flush()
