"""What a worker is asked to do with a job, and what becomes of the job by what the worker says."""

import structlog

from nstd.config.settings import WorkerSettings
from nstd.daemon.outcomes import Outcomes, names
from nstd.errors import SpoolError
from nstd.job import FailureKind
from nstd.spool.folders import Folders
from nstd.spool.jobs import ClaimedJob
from nstd.worker.messages import (
    Blame,
    Checkpointed,
    Done,
    Failed,
    Hindered,
    Interim,
    Interrupted,
    Noted,
    Request,
    Resumed,
    Source,
    StartedOver,
    StyleSource,
)

_log = structlog.get_logger()

Note = Resumed | StartedOver | Checkpointed | Hindered | Noted
End = Done | Interrupted | Failed


def request_for(claimed: ClaimedJob, folders: Folders, settings: WorkerSettings) -> Request:
    """Ask for the painting of a job.

    Args:
        claimed: the job.
        folders: of the spool.
        settings: how often it is kept while it is painted.
    """
    job = claimed.job
    return Request(
        preset=job.preset,
        content=Source(**dict(job.content), path=claimed.content),
        styles=tuple(
            StyleSource(**dict(style), path=path) for style, path in zip(job.styles, claimed.styles, strict=True)
        ),
        picture=claimed.picture,
        interim=Interim(
            checkpoint=claimed.checkpoint,
            checkpoint_seconds=settings.checkpoint_seconds,
            preview=claimed.folder.preview(folders),
            preview_seconds=settings.preview_seconds,
        ),
        spare_memory=job.spares_memory,
    )


def take_note(outcomes: Outcomes, claimed: ClaimedJob, event: Note) -> ClaimedJob:
    """Note and log what a worker says of a job that goes on; return the job with it."""
    about = names(claimed.job)
    match event:
        case Resumed():
            seconds = round(event.seconds, 1)
            differs = {"differs": event.differs, "note": "goes on, but not to the same bits"} if event.differs else {}
            _log.info("job_resumed", **about, step=event.number, seconds_before=seconds, **differs)
            return outcomes.resumed(claimed)
        case StartedOver():
            _log.warning("checkpoint_ignored", **about, reason=event.reason)
            return outcomes.started_over(claimed)
        case Checkpointed():
            _log.debug("checkpoint_written", **about, step=event.number, bytes=event.bytes, seconds=event.seconds)
            return outcomes.came_on(claimed, event.number)
        case Hindered():
            _log.warning("not_kept", **about, reason=event.reason)
            return claimed
        case Noted():
            _log.warning("noted", **about, note=event.note)
            return claimed


def conclude(outcomes: Outcomes, claimed: ClaimedJob, event: End, worker_log: tuple[str, ...]) -> None:
    """Bring a job to what a worker's last word about it makes of it.

    Args:
        outcomes: what to do with jobs that end.
        claimed: the job.
        event: the last word.
        worker_log: the worker's last lines.

    Raises:
        SpoolError: the machine is in trouble, which is not the job's alone.
    """
    match event:
        case Done():
            outcomes.finished(claimed, event.painting, worker_log)
        case Interrupted():
            outcomes.interrupted(claimed)
        case Failed(blame=Blame.INPUT):
            outcomes.refused(claimed, FailureKind.INPUT, event.message)
        case Failed(blame=Blame.STYLE):
            outcomes.refused(claimed, FailureKind.STYLE, event.message)
        case Failed(blame=Blame.MEMORY):
            outcomes.lacked_memory(claimed, event.message, may_pass=event.may_pass)
        case Failed(blame=Blame.MACHINE):
            outcomes.deferred(claimed, event.message)
            raise SpoolError(event.message)
        case Failed():
            outcomes.attempt_failed(claimed, event.message, traceback=event.traceback, worker_log=worker_log)
