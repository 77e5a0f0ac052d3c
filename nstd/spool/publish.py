"""Publishing: a finished picture and its log appear in the outbox, whole, once, and replace nothing.

The log appears before the picture, so a picture always has its log; and it carries the job's id, so a repeated
publication finds what an earlier one got done.
"""

import itertools
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ValidationError

from nstd.errors import EngineError
from nstd.job import Job, ResultLog
from nstd.spool.durable import (
    Copied,
    copy_durably,
    fsync_file,
    fsync_folder,
    measure,
    opened,
    rename_without_replacing,
    trouble,
    write_durably,
    write_new,
)
from nstd.spool.folders import Folders
from nstd.spool.jobs import LOG_FILE, ClaimedJob, JobFolder, record_bytes
from nstd.spool.names import join_name, to_name, to_text

_LOG_SUFFIX: Final = ".json"


class _Owner(BaseModel):
    job: str


def publish(folders: Folders, claimed: ClaimedJob, log: ResultLog) -> Path:
    """Publish a claimed job's picture, which the worker has finished, and remove the job from the queue.

    Args:
        folders: of the spool.
        claimed: the job; its picture is complete.
        log: of the result. `output.name` is replaced by the published name, which is made of the photo's name, the
            preset's and `finished_at`.

    Returns:
        The published picture.

    Raises:
        EngineError: the picture is not the one that the log describes.
        SpoolError: the machine is in trouble. Once the log is committed, `resume` finishes the rest.
    """
    with trouble(f"publish job {claimed.job.id}"):
        _stamp(log)  # a time that cannot be read must not be committed
        _verify(claimed.picture, log)
        fsync_file(claimed.picture)
        write_durably(claimed.folder.path / LOG_FILE, record_bytes(log))
    return finish_publication(folders, claimed.folder)


def finish_publication(folders: Folders, folder: JobFolder) -> Path:
    """Publish a job whose log is committed; every step can be repeated.

    Returns:
        The published picture.

    Raises:
        EngineError: log or picture are damaged.
        SpoolError: the machine is in trouble; the job stays where it is.
    """
    with trouble(f"publish job {folder.id}"):
        job, log = folder.read(), _read_log(folder)
        published = _publish_pair(folders, job, log, folder.picture(job))
        folder.remove(folders)
        return published


def forget_result(folder: JobFolder, job: Job) -> None:
    """Drop a result that cannot be published, so that it is computed again."""
    (folder.path / LOG_FILE).unlink(missing_ok=True)
    folder.picture(job).unlink(missing_ok=True)
    fsync_folder(folder.path)


def _verify(picture: Path, log: ResultLog) -> None:
    _require(picture)
    _compare(picture, measure(picture), log)


def _require(picture: Path) -> None:
    if not picture.exists():
        msg = f"{picture}: the finished picture is missing"
        raise EngineError(msg)


def _compare(picture: Path, found: Copied, log: ResultLog) -> None:
    if found != (log.output.bytes, log.output.sha256):
        msg = (
            f"{picture}: is not the picture that its log describes: got {found.bytes} bytes, SHA-256 {found.sha256}; "
            f"expected {log.output.bytes} bytes, SHA-256 {log.output.sha256}"
        )
        raise EngineError(msg)


def _read_log(folder: JobFolder) -> ResultLog:
    path = folder.path / LOG_FILE
    try:
        return ResultLog.model_validate_json(path.read_bytes())
    except ValidationError as error:
        msg = f"{path}: cannot be read as a result log"
        raise EngineError(msg) from error


def _publish_pair(folders: Folders, job: Job, log: ResultLog, picture: Path) -> Path:
    place = folders.outbox / job.preset_name
    place.mkdir(exist_ok=True)
    return next(
        target
        for target in _targets(place, job, log)
        if _place_log(folders, log, target) and _place_picture(folders, log, picture, target)
    )


def _targets(place: Path, job: Job, log: ResultLog) -> Iterator[Path]:
    """Yield the pictures' names, in the order in which they are tried."""
    photo, tail = Path(to_name(job.content.name)).stem, f"_{job.preset_name}_{_stamp(log)}"
    for number in itertools.count(1):
        counted = tail if number == 1 else f"{tail}_{number}"
        stem = join_name(photo, counted + _LOG_SUFFIX).removesuffix(_LOG_SUFFIX)
        yield place / f"{stem}.{job.preset.extension}"


def _stamp(log: ResultLog) -> str:
    return f"{datetime.fromisoformat(log.finished_at).astimezone(UTC):%Y%m%dT%H%M%SZ}"


def _place_log(folders: Folders, log: ResultLog, target: Path) -> bool:
    """Publish the log for a picture of this name; False if log or picture of another job have the name."""
    path = target.with_suffix(_LOG_SUFFIX)
    if os.path.lexists(path):
        return _owner(path) == log.job
    if os.path.lexists(target):
        return False
    output = log.output.model_copy(update={"name": to_text(target.name)})
    staged = folders.outbox_staging / f"{log.job}{_LOG_SUFFIX}"
    staged.unlink(missing_ok=True)
    write_new(staged, record_bytes(log.model_copy(update={"output": output})))
    return _appear(staged, path)


def _place_picture(folders: Folders, log: ResultLog, picture: Path, target: Path) -> bool:
    """Publish the picture beside its log; where that cannot be, the log goes again."""
    try:
        placed = _is_published(target, log) or _appear(_staged_picture(folders, log, picture), target)
    except EngineError:
        target.with_suffix(_LOG_SUFFIX).unlink()
        raise
    if not placed:
        target.with_suffix(_LOG_SUFFIX).unlink()
    return placed


def _is_published(target: Path, log: ResultLog) -> bool:
    return target.is_file() and measure(target).sha256 == log.output.sha256


def _staged_picture(folders: Folders, log: ResultLog, picture: Path) -> Path:
    staged = folders.outbox_staging / f"{log.job}{picture.suffix}"
    staged.unlink(missing_ok=True)
    _require(picture)
    with opened(picture) as source:
        _compare(picture, copy_durably(source, staged), log)
    return staged


def _appear(staged: Path, path: Path) -> bool:
    try:
        rename_without_replacing(staged, path)
    except FileExistsError:
        return False
    fsync_folder(path.parent)
    return True


def _owner(log: Path) -> str | None:
    """Say which job a published log belongs to; None if it is not ours to tell."""
    try:
        return _Owner.model_validate_json(log.read_bytes()).job
    except (ValidationError, FileNotFoundError, IsADirectoryError, PermissionError):
        return None
