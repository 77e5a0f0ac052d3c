"""The daemon that is soaked, as the one that starts it sees it."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

_NSTD = (sys.executable, "-m", "nstd")
_STOP_SECONDS = 60
_MANY_SURPRISES = 20


class Program:
    """`nstd run`, started anew whenever it has ended.

    Args:
        config: the config file.
        log: a file that gets all that it prints.

    Attributes:
        endings: how often it ended in which way.
        surprises: endings that nothing explains.
    """

    def __init__(self, config: Path, log: Path) -> None:
        self._config = str(config)
        self._log = log
        self._is_wanted = False
        self.endings: Counter[str] = Counter()
        self.surprises: list[str] = []

    @property
    def pid(self) -> int:
        """The daemon's process id."""
        return self._process.pid

    def start(self) -> None:
        """Start it; what it prints is added to the log."""
        self._is_wanted = True
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                (*_NSTD, "run", "-c", self._config), stdout=log, stderr=log, process_group=0
            )

    def has_ended(self) -> bool:
        """Tell whether it runs no more."""
        return self._process.poll() is not None

    def listens_to(self, number: signal.Signals) -> bool:
        """Tell whether it would do something about a signal, which ends it while it starts."""
        caught = re.search(r"^SigCgt:\s*(\w+)$", self._about(), re.MULTILINE)
        return caught is not None and bool(int(caught[1], 16) >> (number - 1) & 1)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it with no chance to say goodbye."""
        self._is_wanted = False
        self._process.kill()
        self._process.wait()
        self.endings["killed"] += 1

    def stop(self, *, in_trouble: bool = False) -> None:
        """Ask it to end, and wait for that."""
        listened = self.listens_to(signal.SIGTERM)
        self._is_wanted = False
        self._process.terminate()
        try:
            status = self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.surprises.append(f"the daemon did not stop within {_STOP_SECONDS} s of SIGTERM")
            self.kill()
            return
        self.endings["stopped"] += 1
        if status != 0 and listened and not (status == 1 and in_trouble):
            self.surprises.append(f"the daemon exited with status {status} after SIGTERM")

    def restart_if_ended(self, *, in_trouble: bool) -> None:
        """Do what systemd would: start it again.

        Args:
            in_trouble: the disk is full or read-only, which explains that it could not start.
        """
        if not self._is_wanted or not self.has_ended():
            return
        status = self._process.returncode
        if status == 1 and in_trouble:
            self.endings["gave up at a full disk"] += 1
        else:
            self.endings["by itself"] += 1
            self.surprises.append(f"the daemon ended by itself with status {status}")
        if len(self.surprises) > _MANY_SURPRISES:
            raise RuntimeError(self.surprises[-1])
        self.start()

    def run(self, *arguments: str) -> int:
        """Run another of its commands on the same spool; return the exit status."""
        with self._log.open("ab") as log:
            command = (*_NSTD, *arguments, "-c", self._config)
            return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=log, check=False).returncode

    def ask(self, *arguments: str) -> bytes:
        """Run another of its commands on the same spool; return what it prints."""
        command = (*_NSTD, *arguments, "-c", self._config)
        return subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout

    def worker(self) -> int | None:
        """Return the process id of its worker, if there is one."""
        return next((one.pid for one in _processes() if one.parent == self.pid), None)

    def has_stopped_worker(self) -> bool:
        """Tell whether its worker got a SIGSTOP."""
        return any(one.parent == self.pid and one.state == "T" for one in _processes())

    def logged(self) -> list[dict[str, Any]]:
        """Return all events that it has logged."""
        return [json.loads(line) for line in self._lines() if line.startswith("{")]

    def tracebacks(self) -> int:
        """Count the crashes in what it has printed."""
        return sum(line.startswith("Traceback") for line in self._lines())

    def _about(self) -> str:
        try:
            return Path(f"/proc/{self.pid}/status").read_text()
        except OSError:
            return ""

    def _lines(self) -> list[str]:
        return self._log.read_text(errors="replace").splitlines()

    def close(self) -> None:
        """End it with all that it has started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()


class _Process(NamedTuple):
    pid: int
    state: str
    parent: int


def _processes() -> Iterator[_Process]:
    """Yield all processes."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent, *_ = path.read_text().rpartition(")")[2].split()
            yield _Process(int(path.parent.name), state, int(parent))
