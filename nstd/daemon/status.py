"""What a daemon tells about itself in `state/status.json`, and what the spool tells beside it."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Final, Literal, Self

from pydantic import Field, ValidationError

from nstd.job import Count, FailureKind
from nstd.preset import Record
from nstd.spool.durable import trouble
from nstd.spool.failed import failed_jobs
from nstd.spool.folders import Folders
from nstd.spool.lock import holder
from nstd.spool.queue import Counts, Queue
from nstd.worker.messages import Stepped

_STATUS_FILE: Final = "status.json"


class State(StrEnum):
    """What a daemon is doing."""

    STARTING = "starting"
    IDLE = "idle"
    PAINTING = "painting"
    STOPPING = "stopping"
    STOPPED = "stopped"


class CurrentJob(Record):
    """The job that a worker has.

    Attributes:
        progress: share of the work that is done, 0 to 1.
        step: evaluations so far, of `steps`.
        loss: total loss of the last evaluation; None before the first.
        seconds_left: estimated from the progress so far; None before the first evaluation.
    """

    id: str
    photo: str
    preset: str
    progress: float = 0
    step: Count = 0
    steps: Count = 0
    loss: float | None = None
    seconds_left: float | None = None

    def after(self, step: Stepped, seconds_left: float | None) -> Self:
        """Describe the same job one step later."""
        progress = {"progress": step.progress, "step": step.number, "steps": step.total, "loss": step.losses.total}
        return self.model_copy(update=progress | {"seconds_left": seconds_left})


class Notice(Record):
    """Something in the inbox that is left alone, or a drop that cannot be taken in, and why."""

    path: str
    reason: str


class Outcome(Record):
    """A job that ended: where its picture is, or why there is none."""

    job: str
    photo: str
    preset: str
    ended_at: str
    picture: str | None = None
    reason: str | None = None


class DaemonStatus(Record):
    """The content of `state/status.json`.

    Attributes:
        trouble: why the daemon waits before it goes on, if it does.
        ignored: what lies in the inbox and is no drop, or cannot become a job.
        results: the last jobs that ended, the latest first.
    """

    state: State
    started_at: str
    trouble: str | None = None
    job: CurrentJob | None = None
    ignored: tuple[Notice, ...] = ()
    results: tuple[Outcome, ...] = ()


class FailedSummary(Record):
    """A job in `failed/`."""

    id: str
    photo: str | None
    kind: FailureKind | None
    reason: str


class SpoolStatus(Record):
    """What `nstd status --json` prints.

    Attributes:
        pid: of the daemon; None if none is running, and then `daemon` is what the last one left.
    """

    schema_version: Literal[1] = 1
    pid: Annotated[int, Field(ge=0)] | None
    daemon: DaemonStatus | None
    jobs: Counts
    failed: tuple[FailedSummary, ...]


def write_status(folders: Folders, status: DaemonStatus) -> None:
    """Replace the status file at once; it need not survive a power cut.

    Raises:
        SpoolError: the state folder cannot be written.
    """
    staged = folders.state / f".{_STATUS_FILE}.tmp"
    with trouble("write the status"):
        staged.write_text(status.model_dump_json(indent=2))
        staged.replace(folders.state / _STATUS_FILE)


def read_status(folders: Folders) -> SpoolStatus:
    """Gather the status of a spool and of its daemon, if one is running.

    Raises:
        SpoolError: the spool cannot be read.
    """
    with trouble("read the status"):
        return SpoolStatus(
            pid=holder(folders.lock),
            daemon=_read_daemon(folders),
            jobs=Queue(folders).counts(),
            failed=tuple(_failed(folders)) if folders.failed.exists() else (),
        )


def _read_daemon(folders: Folders) -> DaemonStatus | None:
    try:
        return DaemonStatus.model_validate_json((folders.state / _STATUS_FILE).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None  # no daemon has run here yet, or one of another version


def _failed(folders: Folders) -> Iterator[FailedSummary]:
    for job in failed_jobs(folders):
        if job.failure is None:
            yield FailedSummary(id=job.id, photo=None, kind=None, reason="its reason.json cannot be read")
        else:
            failure = job.failure
            yield FailedSummary(id=job.id, photo=failure.photo, kind=failure.kind, reason=failure.message)
