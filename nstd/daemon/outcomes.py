"""What becomes of a job that a worker has ended, or that has ended its worker."""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from typing import Final

import structlog

from nstd.daemon.metrics import Fate, Metrics
from nstd.daemon.status import Outcome
from nstd.daemon.trouble import Delays
from nstd.errors import EngineError, SpoolError
from nstd.job import FailureKind, Job, Painting, ResultLog
from nstd.spool.durable import fsync_folder, trouble
from nstd.spool.failed import fail, fail_cancelled
from nstd.spool.folders import Folders
from nstd.spool.jobs import LOG_FILE, REASON_FILE, ClaimedJob, Wish, timestamp
from nstd.spool.mounts import Mounts
from nstd.spool.names import to_text
from nstd.spool.publish import publish
from nstd.spool.queue import Queue
from nstd.spool.recover import Repair, Repaired

_REMEMBERED_RESULTS: Final = 10
# With the pauses between them these take about an hour, within which a game may end; a card that is too small stays so.
_TRIES_FOR_MEMORY: Final = 60

_log = structlog.get_logger()

Ending = Callable[[ClaimedJob], None]


class Outcomes:
    """Publish, fail or requeue jobs; what the machine's trouble keeps from its end is tried again by `again`.

    Args:
        folders: of the spool.
        mounts: where the folders lie.
        delays: of jobs.
        metrics: told of the jobs that end.
        max_attempts: how many attempts of a job may fail before it is given up.
        now: the wall clock.

    Attributes:
        max_attempts: as above; may change.
        results: the last jobs that ended, the latest first.
        failed: how many jobs failed.

    Raises:
        SpoolError: by every method, only where `delays` are strict.
    """

    def __init__(
        self,
        folders: Folders,
        mounts: Mounts,
        delays: Delays,
        metrics: Metrics,
        *,
        max_attempts: int,
        now: Callable[[], datetime],
    ) -> None:
        self._folders = folders
        self._mounts = mounts
        self._delays = delays
        self._metrics = metrics
        self._queue = Queue(folders)
        self._now = now
        self._unfinished: dict[str, tuple[ClaimedJob, Ending]] = {}
        self.max_attempts = max_attempts
        self.results: deque[Outcome] = deque(maxlen=_REMEMBERED_RESULTS)
        self.failed = 0

    def recall(self, results: Iterable[Outcome]) -> None:
        """Remember what an earlier daemon has left, the latest first."""
        self.results.extend(results)
        if latest := next((result for result in self.results if result.picture), None):
            self._metrics.succeeded_before(latest.ended_at)

    @property
    def unfinished(self) -> set[str]:
        """Ids of the jobs that no worker has any more, and that are still claimed."""
        return set(self._unfinished)

    def again(self, *, at_once: bool = False) -> None:
        """Try again to end the jobs whose pauses are over.

        Args:
            at_once: do not wait for the end of the pauses: it is the last chance.
        """
        for job_id, (claimed, ending) in list(self._unfinished.items()):
            if at_once or not self._delays.seconds_left(job_id):
                self._end(claimed, self._arrived if _has_left(claimed) else ending)

    def finished(self, claimed: ClaimedJob, painting: Painting, worker_log: tuple[str, ...]) -> None:
        """Publish the picture that the worker has committed."""
        self._end(claimed, lambda claimed: self._publish(claimed, painting, worker_log))

    def interrupted(self, claimed: ClaimedJob) -> None:
        """Put a job back that is not to blame; its attempt does not count."""
        self._end(claimed, self._give_back)

    def resumed(self, claimed: ClaimedJob) -> ClaimedJob:
        """Note that a job goes on from its checkpoint; return it."""
        return self._note(claimed, resumes=claimed.job.resumes + 1)

    def started_over(self, claimed: ClaimedJob) -> ClaimedJob:
        """Note that nothing of a job's checkpoints is left; return it."""
        return self._note(claimed, resumes=0) if claimed.job.resumes else claimed

    def came_on(self, claimed: ClaimedJob, evaluations: int) -> ClaimedJob:
        """Note that a job has a checkpoint with so many evaluations; return it.

        If it has come further than ever, the attempts before are forgiven.
        """
        job = claimed.job
        if job.attempts_that_count == 1 or evaluations <= job.came_to:
            return claimed
        return self._note(claimed, forgiven=job.attempts - 1, came_to=evaluations)

    def deferred(self, claimed: ClaimedJob, reason: str) -> None:
        """Put a job back until the machine's trouble has passed; its attempt does not count."""
        self._end(claimed, self._give_back, SpoolError(reason))

    def lacked_memory(self, claimed: ClaimedJob, reason: str, *, may_pass: bool) -> None:
        """Try a job again for which a GPU lacked memory: with less of it, then for as long as others have it.

        Its attempt does not count, but such tries are counted, and come to an end.

        Args:
            claimed: the job.
            reason: for a person.
            may_pass: other programs have the memory now.
        """
        tries = claimed.job.lacked_memory + 1
        claimed = self._note(claimed, lacked_memory=tries)
        if tries == 1:
            _log.warning("job_spares_memory", **names(claimed.job), reason=reason)
            self._end(claimed, self._give_back)
        elif may_pass and tries <= _TRIES_FOR_MEMORY:
            self.deferred(claimed, reason)
        else:
            self.refused(claimed, FailureKind.MEMORY, reason)

    def is_spent(self, claimed: ClaimedJob) -> bool:
        """Give a job up whose earlier attempts all ended the daemon with them, and tell whether that is so."""
        earlier = claimed.job.attempts_that_count - 1
        if earlier < self.max_attempts:
            return False
        reason = f"nstd itself was killed in the midst of it ({earlier} attempts)"
        self._end(claimed, lambda claimed: self._give_up(claimed, FailureKind.ATTEMPTS, reason))
        return True

    def refused(self, claimed: ClaimedJob, kind: FailureKind, reason: str) -> None:
        """Give up a job that can never become a painting, whatever is tried."""
        self._end(claimed, lambda claimed: self._give_up(claimed, kind, reason))

    def attempt_failed(
        self, claimed: ClaimedJob, reason: str, *, traceback: str = "", worker_log: tuple[str, ...] = ()
    ) -> None:
        """Try again, or give the job up if that was the last attempt."""
        self._end(
            claimed,
            lambda claimed: self._fail_attempt(claimed, reason, traceback=traceback, worker_log=worker_log),
        )

    def damaged(self, reason: str) -> None:
        """Count a job whose record cannot be read; its photo is in `failed/`."""
        self.failed += 1
        self._metrics.job_ended("", Fate.FAILED)
        _log.error("job_damaged", reason=reason)

    def repaired(self, repaired: Repaired) -> None:
        """Remember a job that came to its end by a repair."""
        if repaired.job is None:
            return
        if repaired.repair is Repair.PUBLICATION_FINISHED:
            self._remember(repaired.job, Fate.DONE, picture=repaired.detail)
        elif repaired.repair is Repair.JOB_CANCELLED:
            self._remember(repaired.job, Fate.CANCELLED, reason=repaired.detail)
        else:
            self.failed += 1
            self._remember(repaired.job, Fate.FAILED, reason=repaired.detail)

    def _end(self, claimed: ClaimedJob, ending: Ending, pause: SpoolError | None = None) -> None:
        """End a job now or later; where that is because of trouble, it waits before anybody may claim it."""
        job, folder = claimed.job, claimed.folder
        folder.remove_preview(self._folders)
        if folder.has(Wish.CANCELLED) and not folder.has(LOG_FILE, REASON_FILE):
            ending, pause = self._cancel, None
        try:
            ending(claimed)
        except SpoolError as error:
            self._unfinished[job.id], pause = (claimed, ending), error
        else:
            self._unfinished.pop(job.id, None)
        if pause:
            self._delays.strike(job.id, pause, about(job))
        else:
            self._delays.clear(job.id)

    def _note(self, claimed: ClaimedJob, **facts: int) -> ClaimedJob:
        try:
            return self._queue.note(claimed, **facts)
        except SpoolError as error:
            _log.warning("job_not_noted", **names(claimed.job), reason=str(error))
            return replace(claimed, job=claimed.job.model_copy(update=facts))

    def _arrived(self, _: ClaimedJob) -> None:
        """Bring to the disk that a job has left `cur`: only that had failed."""
        with trouble("return a job to the queue"):
            fsync_folder(self._folders.new)

    def _publish(self, claimed: ClaimedJob, painting: Painting, worker_log: tuple[str, ...]) -> None:
        log = _result_log(claimed.job, painting)
        self._mounts.check(self._folders.outbox)
        try:
            picture = publish(self._folders, claimed, log)
        except EngineError as error:
            self._fail_attempt(claimed, str(error), worker_log=worker_log)
            return
        _log.info(
            "job_finished",
            **names(claimed.job),
            picture=to_text(picture),
            loss=round(painting.loss.best, 1),
            seconds=round(painting.seconds.optimise, 1),
        )
        self._metrics.job_painted(claimed.job, painting)
        self._remember(claimed.job, Fate.DONE, picture=to_text(picture))

    def _give_back(self, claimed: ClaimedJob) -> None:
        self._queue.give_back(claimed)
        _log.info("job_given_back", **names(claimed.job))

    def _fail_attempt(
        self, claimed: ClaimedJob, reason: str, *, traceback: str = "", worker_log: tuple[str, ...] = ()
    ) -> None:
        attempt, last = claimed.job.attempts_that_count, self.max_attempts
        if attempt < last:
            self._queue.requeue(claimed)
            _log.warning("job_requeued", **names(claimed.job), attempt=attempt, of=last, reason=reason)
            return
        kind = FailureKind.ENGINE if traceback else FailureKind.ATTEMPTS
        message = f"{reason} (attempt {attempt} of {last})"
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
        self._mounts.check(self._folders.failed)
        fail(self._folders, claimed, kind, reason, now=self._now(), traceback=traceback, worker_log=worker_log)
        self.failed += 1
        _log.error("job_failed", **names(claimed.job), kind=kind.value, reason=reason)
        self._remember(claimed.job, Fate.FAILED, reason=reason)

    def _cancel(self, claimed: ClaimedJob) -> None:
        self._mounts.check(self._folders.failed)
        failure = fail_cancelled(self._folders, claimed, self._now())
        _log.info("job_cancelled", **names(claimed.job))
        self._remember(claimed.job, Fate.CANCELLED, reason=failure.message)

    def _remember(self, job: Job, fate: Fate, *, picture: str | None = None, reason: str | None = None) -> None:
        self._metrics.job_ended(job.preset_name, fate)
        ended_at = timestamp(self._now())
        outcome = Outcome(**names(job), ended_at=ended_at, picture=picture, reason=reason)
        self.results.appendleft(outcome)


def _has_left(claimed: ClaimedJob) -> bool:
    try:
        return not claimed.folder.path.exists()
    except OSError:  # another try will tell
        return False


def names(job: Job) -> dict[str, str]:
    """Name a job in log lines and in the status."""
    return {"job": job.id, "photo": job.content.name, "preset": job.preset_name}


def about(job: Job) -> str:
    """Name a job for a person."""
    return f"{job.content.name} as {job.preset_name}"


def _result_log(job: Job, painting: Painting) -> ResultLog:
    queued = datetime.fromisoformat(painting.started_at) - datetime.fromisoformat(job.created_at)
    seconds = painting.seconds.model_copy(update={"queued": max(0.0, queued.total_seconds())})
    facts = dict(painting) | {"seconds": seconds}
    return ResultLog(
        **facts,
        job=job.id,
        preset_name=job.preset_name,
        created_at=job.created_at,
        attempts=job.attempts,
        resumes=job.resumes,
    )
