"""Failed jobs: the photo and the reason, kept until somebody wants to try again."""

import contextlib
import secrets
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from nstd.errors import InputError, SpoolError
from nstd.job import Failure, FailureKind, Job
from nstd.spool.durable import (
    copy_durably,
    fsync_folder,
    link_or_copy,
    opened,
    remove_folder,
    rename_durably,
    trouble,
    write_durably,
    write_new,
)
from nstd.spool.folders import Folders
from nstd.spool.jobs import (
    JOB_FILE,
    REASON_FILE,
    ClaimedJob,
    DamagedJobError,
    JobFolder,
    Mark,
    is_job_id,
    jobs_in,
    record_bytes,
    timestamp,
)
from nstd.spool.lock import retry_lock
from nstd.spool.names import candidates, content_name, to_name, to_text


@dataclass(frozen=True, slots=True)
class FailedJob:
    """A job in `failed/`; without a failure if its `reason.json` cannot be read."""

    id: str
    failure: Failure | None


def fail(
    folders: Folders,
    claimed: ClaimedJob,
    kind: FailureKind,
    message: str,
    *,
    now: datetime,
    traceback: str = "",
    worker_log: tuple[str, ...] = (),
) -> Failure:
    """Give a claimed job up: its photo and the reason go to `failed/`.

    Args:
        folders: of the spool.
        claimed: the job.
        kind: who must act.
        message: the reason, for a person.
        now: the time of the failure.
        traceback: of the worker, if there was one.
        worker_log: the worker's last lines.

    Raises:
        SpoolError: the machine is in trouble. Once the reason is committed, `resume` finishes the rest.
    """
    failure = failure_of(claimed.job, kind, message, now, traceback=traceback, worker_log=worker_log)
    with trouble(f"give up job {claimed.job.id}"):
        write_durably(claimed.folder.path / REASON_FILE, record_bytes(failure))
    finish_failure(folders, claimed.folder, now)
    return failure


def failure_of(
    job: Job,
    kind: FailureKind,
    message: str,
    now: datetime,
    *,
    traceback: str = "",
    worker_log: tuple[str, ...] = (),
) -> Failure:
    """Describe why a job failed."""
    return Failure(
        kind=kind,
        message=message,
        failed_at=timestamp(now),
        job=job,
        photo=_photo_name(to_name(job.content.name)),
        traceback=traceback,
        worker_log=worker_log,
    )


def fail_damaged(folders: Folders, folder: JobFolder, error: DamagedJobError, now: datetime) -> Failure:
    """Save the photo of a job whose record cannot be read.

    Raises:
        SpoolError: the machine is in trouble.
    """
    with trouble(f"give up job {folder.id}"):
        failure = _damaged(folder, str(error), now)
        write_durably(folder.path / REASON_FILE, record_bytes(failure))
    finish_failure(folders, folder, now)
    return failure


def fail_cancelled(folders: Folders, claimed: ClaimedJob, now: datetime) -> Failure:
    """Give up a job because somebody wished it.

    Raises:
        SpoolError: the machine is in trouble.
    """
    claimed.folder.remove_preview(folders)
    return fail(folders, claimed, FailureKind.CANCELLED, FailureKind.CANCELLED.value, now=now)


def finish_failure(folders: Folders, folder: JobFolder, now: datetime) -> Failure:
    """Move a job whose reason is committed from the queue to `failed/`; every step can be repeated.

    Returns:
        What stands in its `reason.json`.

    Raises:
        SpoolError: the machine is in trouble; the job stays where it is.
    """
    with trouble(f"give up job {folder.id}"):
        place, failure = folders.failed / folder.id, _failure(folder, now)
        if not place.exists():
            staged = folders.failed_staging / folder.id
            shutil.rmtree(staged, ignore_errors=True)
            staged.mkdir()
            _fill(staged, folder, failure)
            rename_durably(staged, place)
        folder.remove(folders)
        return failure


def failed_jobs(folders: Folders) -> list[FailedJob]:
    """List what lies in `failed/`, oldest first.

    Raises:
        SpoolError: the folder cannot be read.
    """
    with trouble("list the failed jobs"):
        return [FailedJob(folder.id, _read_failure(folder)) for folder in jobs_in(folders.failed)]


def retry(folders: Folders, job_id: str) -> Job:
    """Put a failed job back into the queue, with its preset and style images as they were, and no attempts.

    Works beside a running daemon. Every step can be repeated.

    Returns:
        The job as it waits now.

    Raises:
        InputError: there is no such job in `failed/`, or too little is left of it.
        SpoolError: the machine is in trouble; the job is in `failed/`, or waits in the queue until `resume` has
            finished what is left to do.
    """
    waiting = JobFolder(folders.new / job_id)
    if not is_job_id(job_id) or not ((folders.failed / job_id).is_dir() or waiting.has(Mark.RETRIED)):
        msg = f"{job_id}: there is no failed job of this id"
        raise InputError(msg)
    with retry_lock(folders.retry_lock), trouble(f"retry job {job_id}"):
        job = waiting.read() if waiting.has(Mark.RETRIED) else _queue_again(folders, job_id, waiting)
        finish_retry(folders, waiting)
        return job


def finish_retry(folders: Folders, waiting: JobFolder) -> None:
    """Remove the failed job that waits in the queue again, then let it be claimed."""
    with trouble(f"retry job {waiting.id}"):
        with contextlib.suppress(FileNotFoundError):
            trash = folders.failed_staging / f"{waiting.id}.{secrets.token_hex(4)}.trash"
            remove_folder(folders.failed / waiting.id, trash)
        waiting.unmark(Mark.RETRIED)


def _queue_again(folders: Folders, job_id: str, waiting: JobFolder) -> Job:
    failed = JobFolder(folders.failed / job_id)
    failure = _read_failure(failed)
    job, photo = _retriable(job_id, failed, failure)
    if any((place / job_id).exists() for place in (folders.new, folders.cur)):
        msg = f"job {job_id} is still on its way to {to_text(failed.path)}; try again in a moment"
        raise SpoolError(msg)
    staged = JobFolder(folders.tmp / f"{job_id}.{secrets.token_hex(4)}.retry")
    with contextlib.ExitStack() as undo:
        undo.callback(shutil.rmtree, staged.path, ignore_errors=True)
        _stage_again(staged, job, photo)
        rename_durably(staged.path, waiting.path)
    return job


def _stage_again(staged: JobFolder, job: Job, photo: Path) -> None:
    staged.path.mkdir()
    with opened(photo) as source:
        copied = copy_durably(source, staged.content(job))
    if copied != (job.content.bytes, job.content.sha256):
        msg = f"{to_text(photo)}: is not the photo that failed (SHA-256 {copied.sha256}); drop it into the inbox"
        raise InputError(msg)
    write_new(staged.path / JOB_FILE, record_bytes(job))
    (staged.path / Mark.RETRIED).touch()
    fsync_folder(staged.path)


def _retriable(job_id: str, failed: JobFolder, failure: Failure | None) -> tuple[Job, Path]:
    """Return the job, as if it had just come in, and its photo."""
    if failure is None or failure.job is None or failure.photo is None:
        msg = f"{to_text(failed.path)}: the record of this job is damaged; drop its photo into the inbox again"
        raise InputError(msg)
    anew = dict.fromkeys(("attempts", "forgiven", "came_to", "resumes", "lacked_memory"), 0)
    job = failure.job.model_copy(update={**anew, "siblings": (job_id,)})
    return job, failed.path / to_name(failure.photo)


def _failure(folder: JobFolder, now: datetime) -> Failure:
    return _read_failure(folder) or _damaged(folder, f"{folder.path / REASON_FILE}: cannot be read", now)


def _read_failure(folder: JobFolder) -> Failure | None:
    try:
        return Failure.model_validate_json((folder.path / REASON_FILE).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def _damaged(folder: JobFolder, message: str, now: datetime) -> Failure:
    photo = next(folder.path.glob("content*"), None)
    return Failure(
        kind=FailureKind.DAMAGED,
        message=message,
        failed_at=timestamp(now),
        job=None,
        photo=photo and photo.name,
    )


def _photo_name(name: str) -> str:
    """Name the photo beside `reason.json` as it was, unless it was called that itself."""
    return to_text(next(candidate for candidate in candidates(name) if candidate != REASON_FILE))


def _fill(staged: Path, folder: JobFolder, failure: Failure) -> None:
    if failure.photo is not None:
        name = failure.photo if failure.job is None else content_name(to_name(failure.job.content.name))
        link_or_copy(folder.path / name, staged / to_name(failure.photo))
    write_new(staged / REASON_FILE, record_bytes(failure))
    fsync_folder(staged)
