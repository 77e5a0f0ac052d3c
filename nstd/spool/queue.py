"""The queue: waiting jobs in `new`, the worker's jobs in `cur`."""

import contextlib
import os
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from nstd.job import Job
from nstd.record import Count, Record
from nstd.spool.durable import remove_remains, rename_durably, trouble
from nstd.spool.failed import fail_damaged
from nstd.spool.folders import Folders
from nstd.spool.jobs import REASON_FILE, ClaimedJob, DamagedJobError, JobFolder, Mark, Wish, jobs_in

_KEEPS_BACK: Final = (*Mark, REASON_FILE, Wish.CANCELLED)


class Counts(Record):
    """How many jobs are in which state.

    Attributes:
        waiting: ready to be claimed.
        held: waiting for somebody to release them.
        arriving: waiting for their photo to leave the inbox, or on their way to `failed/`.
        running: with a worker, or waiting to be published.
        failed: in `failed/`.
    """

    waiting: Count
    held: Count
    arriving: Count
    running: Count
    failed: Count


class Queue:
    """The jobs of a spool; only the process that holds the spool's lock may claim them."""

    def __init__(self, folders: Folders) -> None:
        self._folders = folders

    def waiting(self) -> Iterator[JobFolder]:
        """Yield the jobs that can be claimed, oldest first.

        Raises:
            SpoolError: the queue cannot be read.
        """
        with trouble("read the queue"):
            yield from self._waiting()

    def next(self, skipped: Collection[str] = ()) -> JobFolder | None:
        """Return the job that `claim` would take, if there is one.

        Args:
            skipped: ids of jobs that shall wait longer.

        Raises:
            SpoolError: the queue cannot be read.
        """
        return next((folder for folder in self.waiting() if folder.id not in skipped), None)

    def counts(self) -> Counts:
        """Count the jobs by state; where no daemon has run yet, there are none.

        Raises:
            SpoolError: the queue cannot be read.
        """
        counts, _ = self.survey()
        return counts

    def survey(self) -> tuple[Counts, datetime | None]:
        """Count the jobs by state, and say since when one has waited, at most; None if none waits.

        Raises:
            SpoolError: the queue cannot be read.
        """
        with trouble("count the jobs"):
            queued = [(folder, _standing(folder)) for folder in _listed(self._folders.new)]
            waiting = (folder for folder, standing in queued if standing == "waiting")
            times = [changed for folder in waiting if (changed := _changed(folder)) is not None]
            # Later, so that a job which is claimed in between is counted here.
            running, failed = (len(_listed(place)) for place in (self._folders.cur, self._folders.failed))
        others = Counter(standing for _, standing in queued)
        counts = Counts(
            waiting=len(times), held=others["held"], arriving=others["arriving"], running=running, failed=failed
        )
        return counts, datetime.fromtimestamp(min(times), UTC) if times else None

    def claim(self, now: datetime, skipped: Collection[str] = ()) -> ClaimedJob | None:
        """Take the oldest waiting job, and count the attempt before anybody reads its photo.

        Args:
            now: the time of failure of a job that turns out to be damaged.
            skipped: ids of jobs that shall wait longer.

        Returns:
            None if no job waits.

        Raises:
            DamagedJobError: the oldest job's record cannot be read; the job has gone to `failed/`.
            SpoolError: the machine is in trouble; the job waits.
        """
        folder = self.next(skipped)
        if folder is None:
            return None
        with trouble(f"claim job {folder.id}"):
            return self._claim(folder, now)

    def give_back(self, claimed: ClaimedJob) -> None:
        """Put a claimed job back, its attempt not counted: a graceful stop, or trouble of the environment.

        Raises:
            SpoolError: the machine is in trouble.
        """
        with trouble(f"give back job {claimed.job.id}"):
            claimed.folder.write(claimed.job.model_copy(update={"attempts": claimed.job.attempts - 1}))
            self._put_back(claimed.folder)

    def requeue(self, claimed: ClaimedJob) -> None:
        """Put a claimed job back, its attempt counted: its worker died.

        Raises:
            SpoolError: the machine is in trouble.
        """
        with trouble(f"requeue job {claimed.job.id}"):
            self._put_back(claimed.folder)

    def note(self, claimed: ClaimedJob, **facts: Count) -> ClaimedJob:
        """Commit what became known of a claimed job.

        Args:
            claimed: the job.
            facts: fields of its record, and their new values.

        Raises:
            SpoolError: the machine is in trouble; the record is what it was.
        """
        job = claimed.job.model_copy(update=facts)
        with trouble(f"note what became of job {job.id}"):
            claimed.folder.write(job)
        return replace(claimed, job=job)

    def _waiting(self) -> Iterator[JobFolder]:
        return (folder for folder in jobs_in(self._folders.new) if not folder.has(*_KEEPS_BACK, Wish.HELD))

    def _claim(self, folder: JobFolder, now: datetime) -> ClaimedJob:
        try:
            job = folder.read()
        except DamagedJobError as error:
            fail_damaged(self._folders, folder, error, now)
            raise
        claimed = JobFolder(self._folders.cur / folder.id)
        folder.path.rename(claimed.path)
        try:
            return self._count_attempt(claimed, job)
        except OSError:
            with contextlib.suppress(OSError):
                claimed.write(job)
            self._put_back(claimed)
            raise

    def _count_attempt(self, folder: JobFolder, job: Job) -> ClaimedJob:
        remove_remains(folder.path)
        counted = job.model_copy(update={"attempts": job.attempts + 1})
        folder.write(counted)
        return ClaimedJob(counted, folder, tuple(self._folders.styles / style.sha256 for style in job.styles))

    def _put_back(self, folder: JobFolder) -> None:
        rename_durably(folder.path, self._folders.new / folder.id)


def _listed(place: Path) -> list[JobFolder]:
    try:
        return list(jobs_in(place))
    except FileNotFoundError:
        return []


def _changed(folder: JobFolder) -> float | None:
    """Say when a job's folder has been moved to where it is, or its job released; None if it is gone from there."""
    try:
        return os.stat(folder.path).st_ctime  # noqa: PTH116  as in `JobFolder.has`
    except FileNotFoundError:
        return None


def _standing(folder: JobFolder) -> str:
    """Name the state of a job that nobody has claimed."""
    if folder.has(*_KEEPS_BACK):
        return "arriving"
    return "held" if folder.has(Wish.HELD) else "waiting"
