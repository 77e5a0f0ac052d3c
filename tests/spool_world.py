"""A small spool in real folders, with a worker that paints by copying: what the spool's tests share."""

import errno
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from types import BuiltinFunctionType, FrameType
from typing import Any, Self

from nstd.errors import SpoolError
from nstd.job import FailureKind, ImageFacts, Job, ResultLog
from nstd.preset import Preset
from nstd.spool.failed import fail
from nstd.spool.folders import Folders
from nstd.spool.inbox import Scan, scan
from nstd.spool.ingest import Ingest, Ingested
from nstd.spool.jobs import ClaimedJob, JobFolder, jobs_in
from nstd.spool.publish import publish
from nstd.spool.queue import Queue
from nstd.spool.recover import recover, resume

NOW = datetime(2026, 11, 23, 4, 15, 0, 123456, tzinfo=UTC)
STAMP = "20261123T041500Z"
NOT_AN_IMAGE = b"not an image"
DISK_CALLS = {"fsync", "ftruncate", "link", "mkdir", "open", "rename", "rmdir", "unlink", "utime", "write"}


@dataclass
class World:
    """A spool below `root`.

    Attributes:
        default_presets: for photos in the inbox's own top folder.
        keep_originals: as in the config.
        elsewhere: folder on another file system, for inbox, originals, outbox and failed.
        max_bytes: as in the config.
        lenient: paint even what is not an image.
    """

    root: Path
    default_presets: tuple[str, ...] = ()
    keep_originals: bool = True
    elsewhere: Path | None = None
    max_bytes: int = 1 << 20
    lenient: bool = False
    presets: dict[str, Preset] = field(default_factory=dict)

    def __post_init__(self) -> None:
        away = self.elsewhere or self.root
        self.folders = Folders(
            inbox=away / "inbox",
            outbox=self.root / "outbox",
            originals=self.root / "originals",
            failed=away / "failed",
            state=self.root / "state",
        )
        self.root.mkdir(exist_ok=True)
        style = self.root / "style.jpg"
        style.write_bytes(b"brush strokes")
        self.presets = {name: Preset.model_validate({"styles": [style]}) for name in ("swirls", "wave")}
        self.folders.create(self.presets)
        self.queue = Queue(self.folders)
        self.ingest = self.new_ingest()

    def new_ingest(self) -> Ingest:
        return Ingest(self.folders, keep_originals=self.keep_originals, max_bytes=self.max_bytes)

    def drop(self, relative: str = "swirls/cat.jpg", data: bytes = b"a photo") -> Path:
        path = self.folders.inbox / relative
        path.write_bytes(data)
        return path

    def scan(self) -> Scan:
        return scan(self.folders, self.presets, self.default_presets)

    def take_in(self) -> list[Ingested]:
        return [self.ingest.ingest(drop, self.presets, NOW) for drop in self.scan().drops]

    def taken_in(self, relative: str = "swirls/cat.jpg", data: bytes = b"a photo") -> Job:
        """Drop a photo and take it in."""
        self.drop(relative, data)
        [ingested] = self.take_in()
        return ingested.jobs[0]

    def claimed(self, relative: str = "swirls/cat.jpg", data: bytes = b"a photo") -> ClaimedJob:
        self.taken_in(relative, data)
        return self.claim()

    def claim(self) -> ClaimedJob:
        claimed = self.queue.claim(NOW)
        assert claimed is not None
        return claimed

    def work(self) -> None:
        """Do whatever there is to do, as the daemon does it, once."""
        resume(self.folders, keep_originals=self.keep_originals, now=NOW, spared=())
        self.take_in()
        while claimed := self.queue.claim(NOW):
            if claimed.content.read_bytes() == NOT_AN_IMAGE and not self.lenient:
                fail(self.folders, claimed, FailureKind.INPUT, "is not an image", now=NOW)
            else:
                publish(self.folders, claimed, paint(claimed))

    def live(self) -> None:
        """Start as a daemon starts, then work until nothing is left to do."""
        recover(self.folders, keep_originals=self.keep_originals, now=NOW)
        self.work()

    def work_through_trouble(self, rounds: int = 5) -> None:
        for _ in range(rounds):
            try:
                self.work()
            except SpoolError:
                continue

    def results(self) -> dict[str, bytes]:
        """Return the published files by their path below the outbox."""
        return contents(self.folders.outbox)

    def originals(self) -> dict[str, bytes]:
        return contents(self.folders.originals)

    def jobs(self, place: str) -> list[JobFolder]:
        return list(jobs_in(getattr(self.folders, place)))

    def remains(self) -> list[str]:
        """List what should not be there once everything is done."""
        places = (self.folders.tmp, self.folders.new, self.folders.cur, *self.folders.staging)
        hidden = self.folders.inbox.rglob(".*")
        return [str(path) for place in places for path in place.iterdir()] + [str(path) for path in hidden]


def paint(claimed: ClaimedJob, finished_at: str = "2026-11-23T04:15:00.123456Z") -> ResultLog:
    """Do as a worker does: write the picture, and say what it knows of it."""
    claimed.picture.write_bytes(b"painted: " + claimed.job.preset_name.encode() + claimed.content.read_bytes())
    return result_log(claimed, finished_at)


def result_log(claimed: ClaimedJob, finished_at: str) -> ResultLog:
    losses = {"step": 0, "total": 1.0, "content": 1.0, "style": {}, "tv": 0.0}
    level = {"width_px": 1, "height_px": 1, "history": [losses], "stop_reason": "iterations", "seconds": 1}
    return ResultLog.model_validate(
        {
            "job": claimed.job.id,
            "created_at": claimed.job.created_at,
            "started_at": finished_at,
            "finished_at": finished_at,
            "attempts": claimed.job.attempts,
            "resumes": claimed.job.resumes,
            "preset_name": claimed.job.preset_name,
            "preset": claimed.job.preset.model_dump(),
            "content": image_facts(claimed.content),
            "styles": [],
            "engine": {
                "network": "vgg19",
                "weights_source": "keras",
                "weights_sha256": "0" * 64,
                "device": "cpu",
                "precision": "float32",
                "precision_reason": "it only copies",
                "nstd_version": "0",
                "tensorflow_version": "0",
            },
            "levels": [level],
            "loss": {"initial": 1, "best": 1, "final": 1, "best_step": 0},
            "stop_reason": "iterations",
            "seconds": {"queued": 0, "decode": 0, "style_targets": 0, "optimise": 0, "encode": 0},
            "output": image_facts(claimed.picture),
        }
    )


def image_facts(path: Path) -> ImageFacts:
    data = path.read_bytes()
    digest = sha256(data).hexdigest()
    return ImageFacts(name=path.name, bytes=len(data), sha256=digest, width_px=1, height_px=1)


def contents(root: Path) -> dict[str, bytes]:
    return dict(_contents(root))


def _contents(root: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(root.rglob("*")):
        if path.is_file() and ".staging" not in path.parts:
            yield str(path.relative_to(root)), path.read_bytes()


class AtCall:
    """Does something just before the n-th call that may change the disk, on this thread, from C or Python."""

    def __init__(self, number: int, act: Callable[[], None]) -> None:
        self.left = number
        self._act = act

    def __enter__(self) -> Self:
        sys.setprofile(self._profile)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _profile(self, frame: FrameType, event: str, argument: Any) -> None:
        is_rename = event == "call" and frame.f_code.co_name == "_renameat2"
        if is_rename or (event == "c_call" and _changes_disk(argument)):
            self._count()

    def _count(self) -> None:
        self.left -= 1
        if self.left == 0:
            self._act()


def _changes_disk(function: BuiltinFunctionType) -> bool:
    return function.__module__ == "posix" and function.__name__ in DISK_CALLS


def no_space() -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
