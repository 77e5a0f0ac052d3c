"""Where everything lies: the folders of a spool."""

import contextlib
from collections.abc import Iterable, Iterator
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
    def roots(self) -> tuple[Path, ...]:
        """The five roots."""
        return self.inbox, self.outbox, self.originals, self.failed, self.state

    @property
    def tmp(self) -> Path:
        """Jobs that are being made, and remains of jobs that are being removed."""
        return self.state / "queue" / "tmp"

    @property
    def hint(self) -> Path:
        """The file that is touched to have a daemon look at the queue."""
        return self.state / "queue" / "hint"

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
    def previews(self) -> Path:
        """What the pictures that are being painted look like so far."""
        return self.outbox / ".previews"

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
        """All folders where whatever is in them can be made again."""
        return self.outbox_staging, self.previews, self.originals_staging, self.failed_staging

    def create(self, presets: Iterable[str]) -> None:
        """Make every folder that is missing, with one for each preset in inbox and outbox.

        Raises:
            SpoolError: a folder cannot be made.
        """
        for folder in self._needed(presets):
            with trouble("create the spool's folders"):
                _make(folder)

    def restore(self, presets: Iterable[str]) -> None:
        """Make again what has gone missing; a folder that cannot be made is missed by whoever needs it."""
        for folder in self._needed(presets):
            with contextlib.suppress(OSError):
                _make(folder)

    def _needed(self, presets: Iterable[str]) -> Iterator[Path]:
        yield from (self.inbox, self.tmp, self.new, self.cur, self.styles, *self.staging)
        for preset in presets:
            yield from (self.inbox / preset, self.outbox / preset)


def _make(folder: Path) -> None:
    # Something else of that name is left alone: the inbox's scan reports it.
    with contextlib.suppress(FileExistsError):
        folder.mkdir(parents=True)
