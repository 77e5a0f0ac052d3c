"""The spool that is soaked: its folders, their file systems, and its config."""

import contextlib
import math
import os
import random
import shutil
import subprocess
import time
from pathlib import Path

from nstd.config.load import load_config
from nstd.config.settings import Config
from nstd.daemon.status import SpoolStatus, read_status
from nstd.spool.folders import Folders

STYLES = Path(__file__).parents[2] / "nstd" / "assets" / "styles"
DEFAULT_PRESETS = ("quick", "fine")
GUEST = "guest"
PRESETS = (*DEFAULT_PRESETS, GUEST)
MAX_FILE_MIB = 0.5
_LARGE_BYTES = 8 << 30
_AFTERMATH_SECONDS = 10
_CONFIG = """
spool:
  inbox: spool/inbox
  outbox: spool/outbox
  originals: spool/originals
  failed: spool/failed
  state: spool/state
  settle_seconds: {settle_seconds}
  rescan_seconds: {rescan_seconds}
default_presets: [quick, fine]
limits: {{max_file_mib: {max_file_mib}}}
worker: {{max_attempts: {max_attempts}, job_timeout_seconds: {job_timeout_seconds}}}
presets:
  quick: {{styles: [styles/swirls.jpg], size_px: 64, levels: [1], iterations: {iterations}}}
  fine:
    styles: [styles/embers.jpg, styles/dots.jpg]
    size_px: {size_px}
    levels: [0.5, 1]
    iterations: 2
    format: jpeg
"""
_GUEST = "  guest: {styles: [styles/woodcut.jpg], size_px: 48, levels: [1], iterations: 2}\n"
_USUAL = {
    "settle_seconds": 0.3,
    "rescan_seconds": 2,
    "max_attempts": 3,
    "job_timeout_seconds": 30,
    "iterations": 3,
    "size_px": 64,
    "max_file_mib": MAX_FILE_MIB,
}
_CHOICES = {
    "settle_seconds": (0.1, 0.3, 1),
    "rescan_seconds": (1, 2, 5),
    "max_attempts": (2, 3, 4),
    "iterations": (1, 2, 3, 4),
    "size_px": (48, 64, 80),
}


class Spool:
    """A spool below `root`; inbox and outbox lie on file systems of their own if this process may mount any.

    Args:
        root: an empty folder.
        dice: for all chance.
        may_mount: this process has a mount namespace of its own.
    """

    def __init__(self, root: Path, dice: random.Random, *, may_mount: bool) -> None:
        self.root = root
        self.config = root / "config.yaml"
        self.place = root / "spool"
        self.inbox, self.outbox = self.place / "inbox", self.place / "outbox"
        self.originals, self.failed = self.place / "originals", self.place / "failed"
        self.state = self.place / "state"
        self.desk = self.place / "desk"  # where files lie that are moved into the inbox
        self.may_mount = may_mount
        self.has_guest = True
        self._dice = dice
        self._settings = dict(_USUAL)
        self._troubles = 0
        self._well_since = -math.inf
        shutil.copytree(STYLES, root / "styles")
        self.write_config()
        for file_system in self.file_systems:
            file_system.mkdir()
            if may_mount:
                _run("mount", "-t", "tmpfs", "-o", f"size={_LARGE_BYTES}", "nstd-soak", str(file_system))
        self.desk.mkdir()

    @property
    def file_systems(self) -> tuple[Path, Path]:
        """What can be full or read-only on its own, each below the one before it."""
        return self.place, self.outbox

    def close(self) -> None:
        """Unmount what was mounted; its files are gone then."""
        if self.may_mount:
            for file_system in reversed(self.file_systems):
                _run("umount", "--lazy", str(file_system))

    @property
    def folders(self) -> Folders:
        """The folders as nstd has them."""
        return Folders.of(self._load().spool)

    def status(self) -> SpoolStatus:
        """Read what `nstd status` tells."""
        config = self._load()
        return read_status(Folders.of(config.spool), config)

    def backlog(self) -> int:
        """Count the drops and jobs that wait or are being painted."""
        new, cur = self.state / "queue" / "new", self.state / "queue" / "cur"
        files = (path for pattern in ("*", "*/*") for path in self.inbox.glob(pattern))
        drops = sum(path.is_file() and not path.is_symlink() for path in files)
        return drops + sum(_count(place) for place in (new, cur))

    def write_config(self, text: str | None = None) -> None:
        """Write the config, or something else into its file: in place, or as editors do."""
        text = self._config_text() if text is None else text
        if self._dice.choice((True, False)):
            self.config.write_text(text)
        else:
            written = self.root / "config.yaml~"
            written.write_text(text)
            written.replace(self.config)

    def half_config(self) -> str:
        """Return the config, cut off somewhere, so that it is no YAML any more."""
        return self._config_text()[: self._dice.randrange(40, 200)] + "\n: ["

    def change_a_setting(self) -> None:
        """Change one of the settings that may change at any time."""
        name = self._dice.choice(list(_CHOICES))
        self._settings[name] = self._dice.choice(_CHOICES[name])
        self.write_config()

    def calm(self) -> None:
        """Go back to the usual settings."""
        self._settings, self.has_guest = dict(_USUAL), True
        self.write_config()

    @property
    def in_trouble(self) -> bool:
        """Whether a file system is full or read-only, or was a moment ago."""
        return self._troubles > 0 or time.monotonic() < self._well_since + _AFTERMATH_SECONDS

    def fill(self, place: Path) -> bool:
        """Leave next to nothing free on a file system; return whether that could be done."""
        found = os.statvfs(place)
        used = (found.f_blocks - found.f_bfree) * found.f_frsize
        size = used + self._dice.choice((0, 4096, 16384, 65536))
        is_full = _try("mount", "-o", f"remount,size={size}", str(place))
        self._troubles += is_full
        return is_full

    def make_room(self, place: Path) -> None:
        """End what `fill` began."""
        _run("mount", "-o", f"remount,size={_LARGE_BYTES}", str(place))
        self._end_trouble()

    def make_read_only(self) -> bool:
        """Refuse all writes to the outbox; return whether that could be done."""
        if self.may_mount:
            is_refused = _try("mount", "-o", "remount,ro", str(self.outbox))
        else:
            self._chmod_outbox(0o555)
            is_refused = not os.access(self.outbox, os.W_OK)  # root may write all the same
        self._troubles += is_refused
        return is_refused

    def make_writable(self) -> None:
        """End what `make_read_only` began."""
        if self.may_mount:
            _run("mount", "-o", "remount,rw", str(self.outbox))
        else:
            self._chmod_outbox(0o755)
        self._end_trouble()

    def _end_trouble(self) -> None:
        self._troubles -= 1
        self._well_since = time.monotonic()

    def _chmod_outbox(self, mode: int) -> None:
        for folder in (self.outbox, *(path for path in self.outbox.iterdir() if path.is_dir())):
            folder.chmod(mode)

    def _config_text(self) -> str:
        return _CONFIG.format(**self._settings) + (_GUEST if self.has_guest else "")

    def _load(self) -> Config:
        return load_config(self.config, check_image=lambda *_: None)


def _count(place: Path) -> int:
    with contextlib.suppress(FileNotFoundError):
        return sum(1 for _ in place.iterdir())
    return 0


def _run(*command: str) -> None:
    subprocess.run(command, check=True)


def _try(*command: str) -> bool:
    return subprocess.run(command, check=False, stderr=subprocess.DEVNULL).returncode == 0
