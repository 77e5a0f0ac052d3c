"""What people wish of jobs in the queue, beside a running daemon or without one."""

import contextlib
import os
from collections.abc import Callable, Iterator
from datetime import datetime

from nstd.errors import InputError, SpoolLockedError
from nstd.job import Job
from nstd.spool.durable import fsync_folder, trouble
from nstd.spool.failed import fail_cancelled
from nstd.spool.folders import Folders
from nstd.spool.jobs import LOG_FILE, REASON_FILE, ClaimedJob, DamagedJobError, JobFolder, Mark, Wish, is_job_id
from nstd.spool.lock import holder, spool_lock


def hold(folders: Folders, job_id: str) -> Job:
    """Keep a job from running until it is released; one that runs goes back to the queue at its next step.

    Raises:
        InputError: there is no such job in the queue.
        SpoolError: the machine is in trouble.
    """
    return _find(folders, job_id, f"hold job {job_id}", lambda folder: _mark(folder, Wish.HELD))


def release(folders: Folders, job_id: str) -> Job:
    """Let a held job run again, in its old place in the queue.

    Raises:
        InputError: there is no such job in the queue, or it is not held.
        SpoolError: the machine is in trouble.
    """

    def unmark(folder: JobFolder) -> None:
        if not folder.has(Wish.HELD) and folder.path.exists():
            msg = f"{job_id}: this job is not held"
            raise InputError(msg)
        (folder.path / Wish.HELD).unlink()
        fsync_folder(folder.path)

    return _find(folders, job_id, f"release job {job_id}", unmark)


def cancel(folders: Folders, job_id: str, now: datetime) -> Job:
    """Have a job go to `failed/`: at once, or at its next step if it runs; the daemon does it if there is one.

    Args:
        folders: of the spool.
        job_id: of a job in the queue.
        now: the time of failure.

    Raises:
        InputError: there is no such job in the queue.
        SpoolError: the machine is in trouble.
    """
    job = _find(folders, job_id, f"cancel job {job_id}", lambda folder: _mark(folder, Wish.CANCELLED))
    if holder(folders.lock) is None:
        with contextlib.suppress(SpoolLockedError), spool_lock(folders.lock):
            for folder in list(_places(folders, job_id))[:1]:
                # One that is half-way to somewhere ends when the next daemon has brought it there.
                if not folder.has(*Mark, LOG_FILE, REASON_FILE):
                    fail_cancelled(folders, ClaimedJob(job, folder, ()), now)
    return job


def tell_daemon(folders: Folders) -> None:
    """Have a daemon look at the queue at once, if one is running.

    Raises:
        SpoolError: the machine is in trouble.
    """
    with trouble("have the daemon look at the queue"):
        folders.hint.touch()


def _find(folders: Folders, job_id: str, doing: str, act: Callable[[JobFolder], None]) -> Job:
    """Act on a job's folder, wherever it is by then; return the job."""
    with trouble(doing):
        for folder in _places(folders, job_id):
            try:
                job = folder.read()
                act(folder)
            except (FileNotFoundError, DamagedJobError):
                # It may have gone from here to where it is looked for next.
                if folder.path.exists():
                    raise
            else:
                return job
    msg = f"{job_id}: there is no job of this id in the queue"
    raise InputError(msg)


def _mark(folder: JobFolder, wish: Wish) -> None:
    (folder.path / wish).touch()
    fsync_folder(folder.path)


def _places(folders: Folders, job_id: str) -> Iterator[JobFolder]:
    """Yield where a job lies; if it goes from one place to the other meanwhile, it is found in the second round."""
    if is_job_id(job_id):
        for place in (folders.new, folders.cur, folders.new, folders.cur):
            if os.path.isdir(f"{place}/{job_id}"):  # noqa: PTH112
                yield JobFolder(place / job_id)
