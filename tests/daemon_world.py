"""A real `nstd run` in a child process on a real spool: what the daemon's tests share."""

import contextlib
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nstd.config.load import load_spool
from nstd.daemon.status import SpoolStatus, read_status
from nstd.spool.folders import Folders

ASSETS = Path(__file__).parent.parent / "nstd" / "assets"
DEADLINE_SECONDS = 300
NSTD = (sys.executable, "-m", "nstd")
# Root may do anything unless it gives up these powers for good: CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER.
_GIVE_UP_POWERS = """
import ctypes, os, sys
PR_CAPBSET_DROP = 24
for capability in (1, 2, 3):
    ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
os.execv(sys.executable, [sys.executable, "-m", "nstd", *sys.argv[1:]])
"""
# Starts in a blink and paints by copying: for tests of everything but the painting.
COPYING_NSTD = (sys.executable, str(Path(__file__).with_name("copying_daemon.py")))
NSTD_WITHOUT_POWERS = (sys.executable, "-c", _GIVE_UP_POWERS)
CONFIG = """
spool: {{settle_seconds: 0.2, rescan_seconds: 1, {spool}}}
default_presets: [{default_presets}]
worker: {{max_attempts: 2, {worker}}}
{engine}
presets:
  quick: {{styles: [styles/swirls.jpg], size_px: 64, levels: [1], iterations: 2}}
  slow: {{styles: [styles/embers.jpg], size_px: 64, iterations: {slow_iterations}, tolerance: 0, {slow}}}
"""


def eventually(condition: Callable[[], Any], what: str) -> Any:
    """Wait until the condition holds, and return what it returned."""
    until = time.monotonic() + DEADLINE_SECONDS
    pause = threading.Event()
    while not (found := condition()):
        assert time.monotonic() < until, f"waited in vain for {what}"
        pause.wait(0.02)
    return found


class World:
    """A spool below `root`, whose daemons end with the test."""

    def __init__(
        self,
        root: Path,
        *,
        spool: str = "",
        worker: str = "",
        engine: str = "",
        default_presets: str = "quick",
        slow_iterations: int = 60,
        slow: str = "levels: [1]",
    ) -> None:
        self.root = root
        self.config = root / "config.yaml"
        shutil.copytree(ASSETS / "styles", root / "styles")
        self.config.write_text(
            CONFIG.format(
                spool=spool,
                worker=worker,
                engine=engine,
                default_presets=default_presets,
                slow_iterations=slow_iterations,
                slow=slow,
            )
        )
        self.inbox, self.outbox = root / "inbox", root / "outbox"
        self.originals, self.failed = root / "originals", root / "failed"
        self._daemons: list[RunningDaemon] = []

    def start(self, *arguments: str, nstd: tuple[str, ...] = NSTD) -> "RunningDaemon":
        """Start `nstd run`."""
        self._daemons.append(RunningDaemon(*nstd, "run", "-c", str(self.config), *arguments))
        return self._daemons[-1]

    def nstd(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run another command on this spool to its end."""
        command = [*NSTD, *arguments, "-c", str(self.config)]
        wide = os.environ | {"COLUMNS": "1000"}  # so that no row of a table is broken
        return subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False, env=wide)

    def drop(self, photo: str, preset: str = "", name: str = "") -> Path:
        """Copy one of the demo photos into the inbox."""
        place = self.inbox / preset / (name or photo)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ASSETS / "photos" / photo, place)
        return place

    def drop_text(self, text: str, name: str, preset: str = "quick") -> None:
        """Put a text into the inbox as a photo: its first word says what the copying worker does."""
        place = self.inbox / preset / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)

    def status(self) -> SpoolStatus:
        config = load_spool(self.config)
        return read_status(Folders.of(config.spool), config)

    def wait_for_step(self, number: int) -> int:
        """Wait until the running job has come this far; return the worker's process id."""
        eventually(lambda: (job := self._job()) and job.step >= number, f"step {number}")
        return next(daemon.worker_pid() for daemon in reversed(self._daemons))

    def wait_for_no_step(self) -> None:
        """Wait until the status no longer tells of the steps of a worker that has ended."""
        eventually(lambda: not ((job := self._job()) and job.step), "a status without steps")

    def results(self, preset: str) -> list[Path]:
        """List what lies in a preset's outbox."""
        return sorted((self.outbox / preset).glob("*"))

    def reasons(self) -> dict[str, dict[str, Any]]:
        """Read each failed photo's reason."""
        found = (json.loads(path.read_text()) for path in self.failed.glob("*/reason.json"))
        return {reason["photo"]: reason for reason in found}

    def close(self) -> None:
        for daemon in self._daemons:
            daemon.end()

    def _job(self) -> Any:
        daemon = self.status().daemon
        return next(iter(daemon.jobs), None) if daemon else None


class RunningDaemon:
    """A child process that logs JSON lines."""

    def __init__(self, *command: str) -> None:
        # In a group of its own, so that whatever runs it, such as strace, ends with it.
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0
        )
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()
        self.events: list[dict[str, Any]] = []

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_for(self, event: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait until an event has been logged this many times; return those."""
        return self.wait_for_any((event,), count)

    def wait_for_any(self, events: tuple[str, ...], count: int) -> list[dict[str, Any]]:
        """Wait until any of these events have been logged this many times in all; return those."""

        def found() -> list[dict[str, Any]]:
            return [one for event in events for one in self.logged(event)]

        eventually(lambda: len(found()) >= count or self._process.poll() is not None, f"{count} {' or '.join(events)}")
        assert len(found()) >= count, (self.events, self._process.stderr.read())
        return found()

    def logged(self, event: str) -> list[dict[str, Any]]:
        while not self._lines.empty():
            self.events.append(json.loads(self._lines.get()))
        return [one for one in self.events if one["event"] == event]

    def worker_pid(self) -> int:
        return int(self.logged("worker_started")[-1]["pid"])

    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait(self) -> tuple[int, str]:
        """Wait for the end; return exit status and standard error."""
        status = self._process.wait(DEADLINE_SECONDS)
        self._listener.join()
        self.logged("")
        return status, self._process.stderr.read()

    def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        self._listener.join()
        self._process.stdout.close()
        self._process.stderr.close()

    def _listen(self) -> None:
        for line in self._process.stdout:
            self._lines.put(line)


def listed(told: str, name: str, reason: str) -> bool:
    """Tell whether `nstd status` has told something about a photo or a path."""
    return any(name in line and reason in line for line in told.splitlines())


def is_gone(pid: int) -> bool:
    """Tell whether a process has ended, all its threads included; a zombie has."""
    try:
        is_zombie = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        # Until the last thread is gone, the process's files stay open.
        return is_zombie and len(list(Path(f"/proc/{pid}/task").iterdir())) == 1
    except FileNotFoundError:
        return True


def rss_megabytes(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def peak_megabytes(pid: int) -> float:
    """The most memory that a process has had."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024 / 1e6
