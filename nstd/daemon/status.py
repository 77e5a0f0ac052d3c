"""What a daemon tells about itself in `state/status.json`, and what the spool tells beside it."""

import errno
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import Field, ValidationError

from nstd.config.settings import Config
from nstd.errors import SpoolError
from nstd.job import FailureKind
from nstd.record import Count, Record
from nstd.spool.durable import replace, trouble
from nstd.spool.failed import failed_jobs
from nstd.spool.folders import Folders
from nstd.spool.inbox import scan
from nstd.spool.jobs import DamagedJobError, Wish, jobs_in
from nstd.spool.lock import holder
from nstd.spool.queue import Counts, Queue
from nstd.worker.messages import Stepped

_STATUS_FILE: Final = "status.json"
_SHOWN: Final = 10
_BLOCK_BYTES: Final = 512


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
        worker: the device that paints it, and on which node of a cluster.
    """

    id: str
    photo: str
    preset: str
    worker: str = ""
    progress: float = 0
    step: Count = 0
    steps: Count = 0
    loss: float | None = None
    seconds_left: float | None = None

    def after(self, step: Stepped, seconds_left: float | None) -> Self:
        """Describe the same job one step later."""
        progress = {"progress": step.progress, "step": step.number, "steps": step.total, "loss": step.losses.total}
        return self.model_copy(update=progress | {"seconds_left": seconds_left})


class WorkerState(StrEnum):
    """What a worker is doing; `waiting` for a place in the cluster."""

    WAITING = "waiting"
    LOADING = "loading"
    IDLE = "idle"
    PAINTING = "painting"


class WorkerStatus(Record):
    """A worker that runs, or is about to.

    Attributes:
        name: of its device, or its number in the cluster.
        place: the device that it computes on, and on which node of a cluster; empty before it is known.
        reason: what a waiting one waits for.
    """

    name: str
    place: str
    state: WorkerState
    reason: str = ""


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


class Delay(Record):
    """Something that waits for the machine's trouble to pass.

    Attributes:
        subject: a job's id, or the part of the daemon that pauses: `inbox`, `queue`, `painting`, `status` or `metrics`;
            `painting on gpu:1` where that is one of several devices.
        about: the photo and the preset of a job.
        reason: of the latest failure.
        since: when it first failed, ISO 8601 in UTC.
        tries: how often it has failed in a row.
        next_try_at: ISO 8601 in UTC.
    """

    subject: str
    about: str
    reason: str
    since: str
    tries: Count
    next_try_at: str


class DaemonStatus(Record):
    """The content of `state/status.json`.

    Attributes:
        config_error: why the config file that lies there now is not in force, if it is not.
        troubles: parts of the daemon that pause, or are being tried again; the others go on.
        deferred: jobs that wait for the machine's trouble to pass; the others go on.
        jobs: what is painted now.
        workers: those that run, or are about to.
        ignored: what lies in the inbox and is no drop, or cannot become a job.
        results: the last jobs that ended, the latest first.
    """

    state: State
    started_at: str
    config_error: str | None = None
    troubles: tuple[Delay, ...] = ()
    deferred: tuple[Delay, ...] = ()
    jobs: tuple[CurrentJob, ...] = ()
    workers: tuple[WorkerStatus, ...] = ()
    ignored: tuple[Notice, ...] = ()
    results: tuple[Outcome, ...] = ()


class FailedSummary(Record):
    """A job in `failed/`."""

    id: str
    photo: str | None
    kind: FailureKind | None
    reason: str


class QueuedJob(Record):
    """A job in the queue that no worker has; `held` until somebody releases it."""

    id: str
    photo: str
    preset: str
    attempts: Count
    held: bool


class InboxSummary(Record):
    """What lies in the inbox and is to become jobs.

    Attributes:
        drops: how many.
        first: the paths of the first ten, below the inbox.
        trouble: why the inbox cannot be read, if it cannot.
    """

    drops: Count = 0
    first: tuple[str, ...] = ()
    trouble: str | None = None


class SpoolStatus(Record):
    """What `nstd status --json` prints.

    Attributes:
        pid: of the daemon; None if none is running, and then `daemon` is what the last one left.
        inbox: photos that are no jobs yet.
        jobs: how many are in which state.
        next: the ten oldest jobs that wait.
        failed: jobs in `failed`, which `nstd retry` puts back.
    """

    schema_version: Literal[1] = 1
    pid: Annotated[int, Field(ge=0)] | None
    daemon: DaemonStatus | None
    inbox: InboxSummary
    jobs: Counts
    next: tuple[QueuedJob, ...]
    failed: tuple[FailedSummary, ...]


def write_status(folders: Folders, status: DaemonStatus) -> None:
    """Replace the status file at once; it need not survive a power cut.

    On a full disk, where the status matters most, it is written over instead: then readers may see half of it.

    Raises:
        SpoolError: the state folder cannot be written.
    """
    path, data = folders.state / _STATUS_FILE, status.model_dump_json(indent=2).encode()
    with trouble("write the status"):
        try:
            replace(path, data)
        except OSError as error:
            if error.errno != errno.ENOSPC or not _has_room(path, len(data)):
                raise
            _write_over(path, data)


def _has_room(path: Path, size: int) -> bool:
    return path.exists() and path.stat().st_blocks * _BLOCK_BYTES >= size


def _write_over(path: Path, data: bytes) -> None:
    with path.open("r+b") as file:
        file.write(data)
        file.truncate()


def read_status(folders: Folders, config: Config) -> SpoolStatus:
    """Gather the status of a spool and of its daemon, if one is running.

    Raises:
        SpoolError: the spool cannot be read.
    """
    with trouble("read the status"):
        return SpoolStatus(
            pid=holder(folders.lock),
            daemon=read_daemon_status(folders),
            inbox=_inbox(folders, config),
            jobs=Queue(folders).counts(),
            next=tuple(_next(folders)) if folders.new.exists() else (),
            failed=tuple(_failed(folders)) if folders.failed.exists() else (),
        )


def read_daemon_status(folders: Folders) -> DaemonStatus | None:
    """Return what the running daemon, or else the last one, tells about itself; None if that makes no sense.

    Raises:
        OSError: the file cannot be read.
    """
    try:
        return DaemonStatus.model_validate_json((folders.state / _STATUS_FILE).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None  # no daemon has run here yet, or one of another version


def _inbox(folders: Folders, config: Config) -> InboxSummary:
    if not folders.new.exists():
        return InboxSummary()
    try:
        drops = scan(folders, config.presets, config.default_presets).drops
    except SpoolError as error:
        return InboxSummary(trouble=str(error))
    return InboxSummary(drops=len(drops), first=tuple(drop.identity.path for drop in drops[:_SHOWN]))


def _next(folders: Folders) -> Iterator[QueuedJob]:
    for folder in list(jobs_in(folders.new))[:_SHOWN]:
        try:
            job = folder.read()
        except DamagedJobError:
            continue  # it has just been claimed, or will go to `failed` when it is
        yield QueuedJob(
            id=job.id,
            photo=job.content.name,
            preset=job.preset_name,
            attempts=job.attempts,
            held=folder.has(Wish.HELD),
        )


def _failed(folders: Folders) -> Iterator[FailedSummary]:
    for job in failed_jobs(folders):
        if job.failure is None:
            yield FailedSummary(id=job.id, photo=None, kind=None, reason="its reason.json cannot be read")
        else:
            failure = job.failure
            yield FailedSummary(id=job.id, photo=failure.photo, kind=failure.kind, reason=failure.message)
