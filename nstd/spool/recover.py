"""Recovery: whatever a kill or the machine's trouble left half done is finished or undone."""

import contextlib
import shutil
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from itertools import chain
from pathlib import Path

from nstd.errors import EngineError, SpoolError
from nstd.job import Job
from nstd.spool.disposal import dispose, queue_siblings, restore_orphans
from nstd.spool.durable import rename_durably, trouble
from nstd.spool.failed import fail_cancelled, fail_damaged, failed_jobs, finish_failure, finish_retry
from nstd.spool.folders import Folders
from nstd.spool.jobs import LOG_FILE, REASON_FILE, ClaimedJob, DamagedJobError, JobFolder, Mark, Wish, jobs_in, marked
from nstd.spool.lock import retry_lock
from nstd.spool.names import to_text
from nstd.spool.publish import finish_publication, forget_result
from nstd.spool.styles import remove_unreferenced


class Repair(StrEnum):
    """What was put right."""

    INGEST_FINISHED = "ingest_finished"
    RETRY_FINISHED = "retry_finished"
    FAILURE_FINISHED = "failure_finished"
    PUBLICATION_FINISHED = "publication_finished"
    RESULT_DISCARDED = "result_discarded"
    JOB_REQUEUED = "job_requeued"
    JOB_DAMAGED = "job_damaged"
    JOB_CANCELLED = "job_cancelled"
    PHOTO_RESTORED = "photo_restored"
    REMAINS_REMOVED = "remains_removed"
    STYLE_REMOVED = "style_removed"


@dataclass(frozen=True, slots=True)
class Repaired:
    """One thing that was put right.

    Attributes:
        subject: a job's id, or the path of what was found, as text.
        detail: why, where that is not plain; the picture that was published.
        job: where it has come to its end by this.
    """

    repair: Repair
    subject: str
    detail: str = ""
    job: Job | None = None


@dataclass(slots=True)
class Repairs:
    """What was put right, and what could not be yet.

    Attributes:
        done: in the order it was done.
        troubles: by job id, why it has to wait for the next time.
    """

    done: list[Repaired] = field(default_factory=list)
    troubles: dict[str, SpoolError] = field(default_factory=dict)


def recover(folders: Folders, *, keep_originals: bool, now: datetime) -> Repairs:
    """Bring every job into a state that the queue's promises allow; the first thing a daemon does with its spool.

    Args:
        folders: of the spool; its lock is held, and no job is claimed.
        keep_originals: as at ingest.
        now: the time of failure of what turns out to be damaged.

    Raises:
        SpoolError: the state folder is in trouble. What only concerns one job is among the troubles returned.
    """
    repairs = Repairs()
    with retry_lock(folders.retry_lock, wait=False) as is_ours, trouble("recover the spool"):
        for folder in marked(folders, Mark):
            with contextlib.suppress(DamagedJobError):
                queue_siblings(folders, folder.read())
        # Whoever retries a job now has files of his own there; they harm nobody until the next start.
        for place in (folders.tmp, *folders.staging) if is_ours else ():
            repairs.done += _clear(place)
    _resume(folders, repairs, keep_originals=keep_originals, now=now, spared=())
    with trouble("recover the spool"):
        repairs.done += [Repaired(Repair.PHOTO_RESTORED, path) for path in restore_orphans(folders)]
        repairs.done += _remove_unreferenced_styles(folders)
    return repairs


def resume(folders: Folders, *, keep_originals: bool, now: datetime, spared: Collection[str]) -> Repairs:
    """Try again what the machine's trouble stopped half-way; for a running daemon, at each rescan.

    Args:
        folders: of the spool.
        keep_originals: as at ingest.
        now: the time of failure of what turns out to be damaged.
        spared: ids of the jobs to leave alone: a worker has them, or they wait for something.

    Raises:
        SpoolError: the queue cannot be read. What only concerns one job is among the troubles returned.
    """
    repairs = Repairs()
    _resume(folders, repairs, keep_originals=keep_originals, now=now, spared=spared)
    return repairs


def _resume(
    folders: Folders, repairs: Repairs, *, keep_originals: bool, now: datetime, spared: Collection[str]
) -> None:
    with trouble("read the queue"):
        moving = (folder for folder in jobs_in(folders.new) if folder.has(*Mark, REASON_FILE, Wish.CANCELLED))
        # Nothing that a job may be waiting for keeps it from being cancelled.
        new = [folder for folder in moving if folder.id not in spared or folder.has(Wish.CANCELLED)]
        cur = [folder for folder in jobs_in(folders.cur) if folder.id not in spared]
    for folder in new:
        _guarded(
            folders, repairs, folder, now, lambda one: _on_its_way(folders, one, now, keep_originals=keep_originals)
        )
    for folder in cur:
        _guarded(folders, repairs, folder, now, lambda one: _unclaimed(folders, one, now))


def _guarded(
    folders: Folders,
    repairs: Repairs,
    folder: JobFolder,
    now: datetime,
    repair: Callable[[JobFolder], Iterator[Repaired]],
) -> None:
    """Keep one job's trouble from stopping the others' repair."""
    try:
        with trouble(f"recover job {folder.id}"):
            try:
                repairs.done += repair(folder)
            except DamagedJobError as error:
                fail_damaged(folders, folder, error, now)
                repairs.done.append(Repaired(Repair.JOB_DAMAGED, folder.id, str(error)))
    except SpoolError as error:
        repairs.troubles[folder.id] = error


def _on_its_way(folders: Folders, folder: JobFolder, now: datetime, *, keep_originals: bool) -> Iterator[Repaired]:
    """Bring a job that is half-way into the queue, or half-way out, to where it is going."""
    if folder.has(Mark.UNDISPOSED, Mark.TAKEN):
        dispose(folders, folder, keep_originals=keep_originals)
        yield Repaired(Repair.INGEST_FINISHED, folder.id)
    if folder.has(Mark.RETRIED):
        # Whoever retries it now finishes it himself.
        with retry_lock(folders.retry_lock, wait=False) as is_ours:
            if is_ours and folder.has(Mark.RETRIED):
                finish_retry(folders, folder)
                yield Repaired(Repair.RETRY_FINISHED, folder.id)
    if folder.has(REASON_FILE):
        yield _failed(folders, folder, now)
    elif folder.has(Wish.CANCELLED) and not folder.has(*Mark):
        yield _cancelled(folders, folder, now)


def _unclaimed(folders: Folders, folder: JobFolder, now: datetime) -> Iterator[Repaired]:
    """Finish a job that no worker has any more; its attempt stays counted."""
    if folder.has(LOG_FILE):
        job = folder.read()
        try:
            picture = finish_publication(folders, folder)
        except EngineError as error:
            forget_result(folder, job)
            yield Repaired(Repair.RESULT_DISCARDED, folder.id, str(error))
        else:
            yield Repaired(Repair.PUBLICATION_FINISHED, folder.id, to_text(picture), job)
            return
    if folder.has(REASON_FILE):
        yield _failed(folders, folder, now)
    elif folder.has(Wish.CANCELLED):
        yield _cancelled(folders, folder, now)
    else:
        folder.read()
        rename_durably(folder.path, folders.new / folder.id)
        yield Repaired(Repair.JOB_REQUEUED, folder.id)


def _failed(folders: Folders, folder: JobFolder, now: datetime) -> Repaired:
    failure = finish_failure(folders, folder, now)
    return Repaired(Repair.FAILURE_FINISHED, folder.id, failure.message, failure.job)


def _cancelled(folders: Folders, folder: JobFolder, now: datetime) -> Repaired:
    failure = fail_cancelled(folders, ClaimedJob(folder.read(), folder, ()), now)
    return Repaired(Repair.JOB_CANCELLED, folder.id, failure.message, failure.job)


def _clear(place: Path) -> Iterator[Repaired]:
    for path in sorted(place.iterdir()):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
        yield Repaired(Repair.REMAINS_REMOVED, to_text(path))


def _remove_unreferenced_styles(folders: Folders) -> Iterator[Repaired]:
    try:
        removed = remove_unreferenced(folders.styles, _needed_styles(folders))
    except DamagedJobError:
        return  # what it needs cannot be known
    for name in removed:
        yield Repaired(Repair.STYLE_REMOVED, name)


def _needed_styles(folders: Folders) -> Iterator[str]:
    for folder in chain(jobs_in(folders.new), jobs_in(folders.cur)):
        yield from (style.sha256 for style in folder.read().styles)
    for failed in failed_jobs(folders):
        if failed.failure and failed.failure.job:
            yield from (style.sha256 for style in failed.failure.job.styles)
