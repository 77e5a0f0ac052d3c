"""A job's folder in the queue: its files, its record, and the marks that hold it back."""

import contextlib
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ValidationError

from nstd.errors import SpoolError
from nstd.job import Job
from nstd.spool.durable import fsync_folder, remove_folder, remove_replaced, write_durably
from nstd.spool.folders import Folders
from nstd.spool.names import content_name, to_name

JOB_FILE: Final = "job.json"
LOG_FILE: Final = "log.json"
REASON_FILE: Final = "reason.json"
CHECKPOINT_FILE: Final = "checkpoint"
_JOB_ID: Final = re.compile(r"[0-9TZ.]+-[0-9a-f]+")


class Mark(StrEnum):
    """Empty files that keep a job from being claimed until its photo lies in the queue only.

    `undisposed`: the drop may still lie in the inbox. `taken`: it does not, unless under the hidden name that the
    spool gave it. `retried`: the job's folder in `failed/` may still be there.
    """

    UNDISPOSED = "undisposed"
    TAKEN = "taken"
    RETRIED = "retried"


class Wish(StrEnum):
    """Empty files by which somebody says what is to become of a job in the queue, waiting or running.

    `held`: it shall not run until it is released. `cancelled`: it shall go to `failed/`.
    """

    HELD = "held"
    CANCELLED = "cancelled"


class DamagedJobError(SpoolError):
    """A job's record cannot be read; nothing but the photo can be saved."""


@dataclass(frozen=True, slots=True)
class JobFolder:
    """One job's folder, wherever in the queue it lies."""

    path: Path

    @property
    def id(self) -> str:
        """The job's id."""
        return self.path.name

    def has(self, *names: str) -> bool:
        """Tell whether any of these files is there."""
        # By plain strings, for this is asked of every job in the queue.
        return any(os.path.exists(f"{self.path}/{name}") for name in names)  # noqa: PTH110

    def read(self) -> Job:
        """Read the job's record.

        Raises:
            DamagedJobError: it is not there, or not the record of this job.
        """
        record = self.path / JOB_FILE
        try:
            job = Job.model_validate_json(record.read_bytes())
        except (FileNotFoundError, ValidationError) as error:
            msg = f"{record}: cannot be read as the record of a job: {_first_line(error)}"
            raise DamagedJobError(msg) from error
        if job.id != self.id:
            msg = f"{record}: is the record of job {job.id}, expected {self.id}"
            raise DamagedJobError(msg)
        return job

    def write(self, job: Job) -> None:
        """Commit the job's record."""
        write_durably(self.path / JOB_FILE, record_bytes(job))

    def content(self, job: Job) -> Path:
        """Say where the job's photo lies."""
        return self.path / content_name(to_name(job.content.name))

    def picture(self, job: Job) -> Path:
        """Say where the job's finished picture lies, once it does."""
        return self.path / f"picture.{job.preset.extension}"

    def unmark(self, mark: Mark) -> None:
        """Remove a mark, for good."""
        with contextlib.suppress(FileNotFoundError):
            (self.path / mark).unlink()
            fsync_folder(self.path)

    def remove_preview(self, folders: Folders) -> None:
        """Remove the picture so far, if it can be done; the next start tries it again."""
        with contextlib.suppress(OSError):
            remove_replaced(self.preview(folders))

    def preview(self, folders: Folders) -> Path:
        """Say where the picture so far can be looked at."""
        return folders.previews / f"{self.id}.jpg"

    def remove(self, folders: Folders) -> None:
        """Take the job out of the queue."""
        remove_folder(self.path, folders.tmp / f"{self.id}.{secrets.token_hex(4)}.trash")


@dataclass(frozen=True, slots=True)
class ClaimedJob:
    """A job that was taken out of `queue/new` for a worker, its attempt counted.

    Attributes:
        styles: the frozen style images, in the order of the job's record.
    """

    job: Job
    folder: JobFolder
    styles: tuple[Path, ...]

    @property
    def content(self) -> Path:
        """The photo."""
        return self.folder.content(self.job)

    @property
    def picture(self) -> Path:
        """Where the worker writes the finished picture."""
        return self.folder.picture(self.job)

    @property
    def checkpoint(self) -> Path:
        """Where the worker writes the state of the painting."""
        return self.folder.path / CHECKPOINT_FILE


def is_job_id(name: str) -> bool:
    """Tell whether a name has the form of a job's id."""
    return _JOB_ID.fullmatch(name) is not None


def jobs_in(folder: Path) -> Iterator[JobFolder]:
    """Yield the jobs of `queue/new`, `queue/cur` or `queue/tmp`, oldest first."""
    names = os.listdir(folder)  # noqa: PTH208  thousands of names make no paths but for those that are asked for
    return (JobFolder(folder / name) for name in sorted(filter(is_job_id, names)))


def new_job_id(now: datetime) -> str:
    """Make an id that sorts by time, such as `20261123T041500.123456Z-1f2e3d`."""
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%S.%fZ}-{secrets.token_hex(3)}"


def timestamp(now: datetime) -> str:
    """Write a time as the records do: ISO 8601 in UTC, with microseconds."""
    return f"{now.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"


def marked(folders: Folders, marks: Iterable[Mark]) -> Iterator[JobFolder]:
    """Yield the waiting jobs that have one of these marks."""
    names = tuple(marks)
    return (folder for folder in jobs_in(folders.new) if folder.has(*names))


def record_bytes(record: BaseModel) -> bytes:
    """Write a record as the file that holds it."""
    return record.model_dump_json(indent=2).encode() + b"\n"


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
