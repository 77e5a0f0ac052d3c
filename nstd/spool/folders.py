"""Where everything lies: the folders of a spool."""

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from nstd.config.settings import SpoolSettings
from nstd.spool.durable import trouble


@dataclass(frozen=True, slots=True)
class Folders:
    """The five roots of a spool, which may lie on five file systems, and what lies in them.

    `staging` folders hold what is being copied, on the file system where it will be renamed.
    """

    inbox: Path
    outbox: Path
    originals: Path
    failed: Path
    state: Path

    @classmethod
    def of(cls, settings: SpoolSettings) -> Self:
        """Take the roots from the config; they may be links, but nothing in them may."""
        roots = (settings.inbox, settings.outbox, settings.originals, settings.failed, settings.state)
        return cls(*(root.resolve() for root in roots))

    @property
    def tmp(self) -> Path:
        """Jobs that are being made, and remains of jobs that are being removed."""
        return self.state / "queue" / "tmp"

    @property
    def new(self) -> Path:
        """Jobs that wait."""
        return self.state / "queue" / "new"

    @property
    def cur(self) -> Path:
        """Jobs that a worker has."""
        return self.state / "queue" / "cur"

    @property
    def styles(self) -> Path:
        """Style images frozen by content."""
        return self.state / "styles"

    @property
    def lock(self) -> Path:
        """The file that the daemon locks."""
        return self.state / "lock"

    @property
    def retry_lock(self) -> Path:
        """The file that is locked while failed jobs are put back."""
        return self.state / "retry.lock"

    @property
    def outbox_staging(self) -> Path:
        """Pictures and logs on their way into the outbox."""
        return self.outbox / ".staging"

    @property
    def originals_staging(self) -> Path:
        """Photos on their way into the originals."""
        return self.originals / ".staging"

    @property
    def failed_staging(self) -> Path:
        """Jobs on their way into the failed."""
        return self.failed / ".staging"

    @property
    def staging(self) -> tuple[Path, ...]:
        """All staging folders; whatever is in them can be made again."""
        return self.outbox_staging, self.originals_staging, self.failed_staging

    def create(self, presets: Iterable[str]) -> None:
        """Make every folder that is missing, with one for each preset in inbox and outbox.

        Raises:
            SpoolError: a folder cannot be made.
        """
        with trouble("create the spool's folders"):
            for folder in (self.inbox, self.tmp, self.new, self.cur, self.styles, *self.staging):
                folder.mkdir(parents=True, exist_ok=True)
            for preset in presets:
                for root in (self.inbox, self.outbox):
                    # Something else of that name is left alone: the inbox's scan reports it.
                    with contextlib.suppress(FileExistsError):
                        (root / preset).mkdir()
