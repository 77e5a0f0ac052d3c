"""Telling the status: to the status file, and to whoever watches."""

from collections.abc import Callable, Iterator
from typing import Final

from nstd.daemon.status import CurrentJob, DaemonStatus, State, write_status
from nstd.spool.folders import Folders
from nstd.spool.mounts import Mounts
from nstd.spool.queue import Counts

_PROGRESS_SECONDS: Final = 1.0


class Reporter:
    """Tell the status whenever it has changed, though mere progress only about once a second.

    Args:
        folders: of the spool.
        mounts: where the folders lie.
        on_status: told as well.
        clock: seconds that never run backwards.
    """

    def __init__(
        self, folders: Folders, mounts: Mounts, on_status: Callable[[DaemonStatus], object], clock: Callable[[], float]
    ) -> None:
        self._folders = folders
        self._mounts = mounts
        self._on_status = on_status
        self._clock = clock
        self._last: DaemonStatus | None = None
        self._told_at = 0.0

    def report(self, status: DaemonStatus) -> None:
        """Tell the status if it is news.

        Raises:
            SpoolError: the status file cannot be written, or would be where the state folder is not mounted.
        """
        if not self._is_news(status):
            return
        self._last, self._told_at = status, self._clock()
        self._on_status(status)
        self._mounts.check(self._folders.state)
        write_status(self._folders, status)

    def _is_news(self, status: DaemonStatus) -> bool:
        if self._last is None or _but_for_progress(status) != _but_for_progress(self._last):
            return True
        return status != self._last and self._clock() >= self._told_at + _PROGRESS_SECONDS


def _but_for_progress(status: DaemonStatus) -> DaemonStatus:
    jobs = tuple(CurrentJob(id=job.id, photo=job.photo, preset=job.preset, worker=job.worker) for job in status.jobs)
    return status.model_copy(update={"jobs": jobs})


def sentence(status: DaemonStatus, counts: Counts) -> str:
    """Say in one line what the daemon does, what waits, and what is wrong."""
    said = ", ".join([_work(status), *_queue(counts)])
    return "; ".join([said, *_wrong(status)])


def _work(status: DaemonStatus) -> str:
    if not status.jobs:
        return status.state.value
    doing = "stopping" if status.state is State.STOPPING else "painting"
    job, *others = status.jobs
    more = f", and {len(others)} more" if others else ""
    return f"{doing} {job.photo} as {job.preset}, {int(100 * job.progress)} %{more}"


def _queue(counts: Counts) -> Iterator[str]:
    for name in ("waiting", "held"):
        if count := getattr(counts, name):
            yield f"{count} {name}"


def _wrong(status: DaemonStatus) -> Iterator[str]:
    if status.config_error:
        first, *others = status.config_error.splitlines()
        yield f"config refused: {first}" + (f" (and {len(others)} more)" if others else "")
    for delay in status.troubles:
        yield f"{delay.subject}: {delay.reason}"
