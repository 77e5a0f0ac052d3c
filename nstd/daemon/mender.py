"""Mending the spool: at the start, and whenever the machine's trouble has left something half done."""

import contextlib
from collections.abc import Callable, Collection
from datetime import datetime

import structlog

from nstd.config.settings import Config
from nstd.daemon.outcomes import Outcomes, about, names
from nstd.daemon.trouble import Delays
from nstd.spool.folders import Folders
from nstd.spool.jobs import DamagedJobError, JobFolder
from nstd.spool.mounts import Mounts
from nstd.spool.recover import Repair, Repairs, recover, resume

_log = structlog.get_logger()


class Mender:
    """Finish or undo what is half done; a job that cannot be mended yet waits, and holds up no other.

    Args:
        folders: of the spool.
        mounts: where the folders lie.
        delays: of jobs.
        outcomes: told of the jobs that come to their end.
        config: for the presets, and for what to do with photos.
        now: the wall clock.

    Attributes:
        config: as above; may change.
    """

    def __init__(
        self,
        folders: Folders,
        mounts: Mounts,
        delays: Delays,
        outcomes: Outcomes,
        config: Config,
        *,
        now: Callable[[], datetime],
    ) -> None:
        self._folders = folders
        self._mounts = mounts
        self._delays = delays
        self._outcomes = outcomes
        self._now = now
        self.config = config

    def recover(self) -> None:
        """Bring everything into a state that the queue's promises allow, before the daemon is ready.

        Raises:
            SpoolError: the state folder is in trouble.
        """
        keep = self.config.spool.keep_originals
        self._tell(recover(self._folders, keep_originals=keep, now=self._now()))

    def mend(self, claimed: Collection[str]) -> None:
        """Finish what can be finished by now.

        Args:
            claimed: ids of the jobs that a worker has.

        Raises:
            SpoolError: the queue cannot be read, or a share is missing, which must not be taken for an empty one.
        """
        self._mounts.check()
        self._folders.restore(self.config.presets)
        keep, spared = self.config.spool.keep_originals, {*claimed, *self._outcomes.unfinished, *self._delays.pending}
        self._tell(resume(self._folders, keep_originals=keep, now=self._now(), spared=spared))

    def _tell(self, repairs: Repairs) -> None:
        for one in repairs.done:
            if one.job and one.repair is Repair.JOB_CANCELLED:
                _log.info("job_cancelled", **names(one.job))
            else:
                _log.warning("repaired", what=one.repair.value, subject=one.subject, detail=one.detail or None)
            self._delays.clear(one.subject)
            self._outcomes.repaired(one)
        for job_id, error in repairs.troubles.items():
            self._delays.strike(job_id, error, self._about(job_id))

    def _about(self, job_id: str) -> str:
        for place in (self._folders.new, self._folders.cur):
            with contextlib.suppress(DamagedJobError, OSError):
                return about(JobFolder(place / job_id).read())
        return ""
