"""Where things lie in a spool at rest: results, failed jobs, the queue, the inbox, the originals."""

import json
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nstd.daemon.status import SpoolStatus
from nstd.spool.durable import measure
from nstd.spool.names import to_name, to_text

from .spool import DEFAULT_PRESETS, Spool


@dataclass(frozen=True)
class Found:
    """One drop that was found.

    Attributes:
        presets: it counts for; several if it is still in the inbox.
        outcome: `published`, `failed`, `waiting` in the queue, or `left in the inbox`.
        where: the path, and the reason if there is one.
        reason_kind: of a failed job.
    """

    presets: tuple[str, ...]
    sha256: str
    outcome: str
    where: str
    reason_kind: str = ""

    @property
    def is_taken_in(self) -> bool:
        """Whether it has left the inbox."""
        return self.outcome != "left in the inbox"


class Places:
    """What lies where.

    Args:
        spool: at rest.
        status: as `nstd status --json` told it.

    Attributes:
        found: all drops.
        originals: SHA-256 of each archived photo.
        objects: names of what lies in the inbox and is no file.
        problems: halves, and what is not listed.
    """

    def __init__(self, spool: Spool, status: SpoolStatus) -> None:
        self._spool = spool
        ignored = status.daemon.ignored if status.daemon else ()
        self._listed = {notice.path for notice in ignored} | set(status.inbox.first)
        self.problems: list[str] = []
        self.objects: set[str] = set()
        self.found = [*self._published(), *self._failed(), *self._waiting(), *self._left()]
        self.originals = {
            measure(path).sha256
            for path in spool.originals.rglob("*")
            if path.is_file() and ".staging" not in path.parts
        }
        self.problems += (f"{path}: is half of something" for path in self._remains())

    def is_listed(self, path: str) -> bool:
        """Tell whether `nstd status` tells of something in the inbox."""
        return to_text(path.removeprefix("/")) in self._listed

    def _published(self) -> Iterator[Found]:
        pictures = {path for path in self._spool.outbox.glob("*/*") if path.parent.name != ".staging"}
        logs = {path for path in pictures if path.suffix == ".json"}
        pictures -= logs
        for path in sorted(logs):
            if log := self._read(path):
                picture = path.with_name(to_name(log["output"]["name"]))
                if picture not in pictures or measure(picture).sha256 != log["output"]["sha256"]:
                    self.problems.append(f"{path}: the picture beside it is missing or another one")
                pictures.discard(picture)
                yield Found((log["preset_name"],), log["content"]["sha256"], "published", str(path))
        self.problems += (f"{path}: has no log" for path in sorted(pictures))

    def _failed(self) -> Iterator[Found]:
        for folder in sorted(path for path in self._spool.failed.iterdir() if path.name != ".staging"):
            reason = self._read(folder / "reason.json")
            if reason is None or reason["job"] is None:
                self.problems.append(f"{folder}: has no reason, or lost its job")
                continue
            where, content = f"{folder}: {reason['kind']}: {reason['message']}", reason["job"]["content"]
            photo = folder / to_name(reason["photo"])
            if not photo.is_file() or measure(photo).sha256 != content["sha256"]:
                self.problems.append(f"{where}: the photo is missing or another one")
            yield Found((reason["job"]["preset_name"],), content["sha256"], "failed", where, reason["kind"])

    def _waiting(self) -> Iterator[Found]:
        for place in ("new", "cur"):
            for folder in sorted((self._spool.state / "queue" / place).iterdir()):
                if job := self._read(folder / "job.json"):
                    yield Found((job["preset_name"],), job["content"]["sha256"], "waiting", str(folder))

    def _left(self) -> Iterator[Found]:
        for path in sorted(self._spool.inbox.rglob("*")):
            relative = path.relative_to(self._spool.inbox)
            if not stat.S_ISREG(path.lstat().st_mode):
                self.objects.add(path.name)
                continue
            if not self.is_listed(str(relative)):
                self.problems.append(f"{path}: lies in the inbox, but `nstd status` does not tell")
            presets = (relative.parts[0],) if len(relative.parts) > 1 else DEFAULT_PRESETS
            yield Found(presets, measure(path).sha256, "left in the inbox", str(path))

    def _remains(self) -> Iterator[Path]:
        folders = self._spool.folders
        for place in (folders.tmp, *folders.staging):
            yield from place.iterdir()

    def _read(self, path: Path) -> dict[str, Any] | None:
        try:
            return json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            self.problems.append(f"{path}: cannot be read: {error}")
            return None
