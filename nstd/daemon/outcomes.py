"""What becomes of a job that a worker has ended, or that has ended its worker."""

from collections import deque
from collections.abc import Callable
from datetime import datetime
from typing import Final

import structlog

from nstd.daemon.status import Outcome
from nstd.errors import EngineError
from nstd.job import FailureKind, Job, Painting, ResultLog
from nstd.spool.failed import fail
from nstd.spool.folders import Folders
from nstd.spool.jobs import ClaimedJob, timestamp
from nstd.spool.publish import publish
from nstd.spool.queue import Queue

_REMEMBERED_RESULTS: Final = 10

_log = structlog.get_logger()


class Outcomes:
    """Publish, fail or requeue jobs; every method raises SpoolError where the machine is in trouble.

    Args:
        folders: of the spool.
        max_attempts: how many attempts of a job may fail before it is given up.
        now: the wall clock.

    Attributes:
        results: the last jobs that ended, the latest first.
        failed: how many jobs failed.
    """

    def __init__(self, folders: Folders, *, max_attempts: int, now: Callable[[], datetime]) -> None:
        self._folders = folders
        self._queue = Queue(folders)
        self._max_attempts = max_attempts
        self._now = now
        self.results: deque[Outcome] = deque(maxlen=_REMEMBERED_RESULTS)
        self.failed = 0

    def finished(self, claimed: ClaimedJob, painting: Painting, worker_log: tuple[str, ...]) -> None:
        """Publish the picture that the worker has committed."""
        log = _result_log(claimed.job, painting)
        try:
            picture = publish(self._folders, claimed, log)
        except EngineError as error:
            self.attempt_failed(claimed, str(error), worker_log=worker_log)
            return
        _log.info(
            "job_finished",
            **names(claimed.job),
            picture=str(picture),
            loss=round(painting.loss.best, 1),
            seconds=round(painting.seconds.optimise, 1),
        )
        self._remember(claimed.job, picture=str(picture))

    def interrupted(self, claimed: ClaimedJob) -> None:
        """Put a job back that is not to blame; its attempt does not count."""
        self._queue.give_back(claimed)
        _log.info("job_given_back", **names(claimed.job))

    def is_spent(self, claimed: ClaimedJob) -> bool:
        """Give a job up whose earlier attempts all ended the daemon with them, and tell whether that is so."""
        earlier = claimed.job.attempts - 1
        if earlier < self._max_attempts:
            return False
        self._give_up(claimed, FailureKind.ATTEMPTS, f"nstd itself was killed in the midst of it ({earlier} attempts)")
        return True

    def refused(self, claimed: ClaimedJob, reason: str) -> None:
        """Give up a job that can never become a painting."""
        self._give_up(claimed, FailureKind.INPUT, reason)

    def attempt_failed(
        self, claimed: ClaimedJob, reason: str, *, traceback: str = "", worker_log: tuple[str, ...] = ()
    ) -> None:
        """Try again, or give the job up if that was the last attempt."""
        attempts = claimed.job.attempts
        if attempts < self._max_attempts:
            self._queue.requeue(claimed)
            _log.warning("job_requeued", **names(claimed.job), attempt=attempts, of=self._max_attempts, reason=reason)
            return
        kind = FailureKind.ENGINE if traceback else FailureKind.ATTEMPTS
        message = f"{reason} (attempt {attempts} of {self._max_attempts})"
        self._give_up(claimed, kind, message, traceback=traceback, worker_log=worker_log)

    def _give_up(
        self,
        claimed: ClaimedJob,
        kind: FailureKind,
        reason: str,
        *,
        traceback: str = "",
        worker_log: tuple[str, ...] = (),
    ) -> None:
        fail(self._folders, claimed, kind, reason, now=self._now(), traceback=traceback, worker_log=worker_log)
        self.failed += 1
        _log.error("job_failed", **names(claimed.job), kind=kind.value, reason=reason)
        self._remember(claimed.job, reason=reason)

    def _remember(self, job: Job, *, picture: str | None = None, reason: str | None = None) -> None:
        ended_at = timestamp(self._now())
        outcome = Outcome(**names(job), ended_at=ended_at, picture=picture, reason=reason)
        self.results.appendleft(outcome)


def names(job: Job) -> dict[str, str]:
    """Name a job in log lines and in the status."""
    return {"job": job.id, "photo": job.content.name, "preset": job.preset_name}


def _result_log(job: Job, painting: Painting) -> ResultLog:
    queued = datetime.fromisoformat(painting.started_at) - datetime.fromisoformat(job.created_at)
    seconds = painting.seconds.model_copy(update={"queued": max(0.0, queued.total_seconds())})
    facts = dict(painting) | {"seconds": seconds}
    return ResultLog(**facts, job=job.id, preset_name=job.preset_name, created_at=job.created_at, attempts=job.attempts)
