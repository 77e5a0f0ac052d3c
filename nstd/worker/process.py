"""A worker in a child process, as the daemon sees it."""

import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from typing import IO, ClassVar, Final, cast

from nstd.worker.environment import worker_environment
from nstd.worker.line import Line, LineReader
from nstd.worker.messages import Setup

_LONGEST_CHATTER_BYTES: Final = 4096
_REMEMBERED_LINES: Final = 30
_WORKER: Final = (sys.executable, "-P", "-m", "nstd.worker")


class WorkerProcess(Line):
    """Start a worker and talk to it; nothing here waits, except `close`.

    Args:
        setup: its first argument.
        command: what to start.

    Attributes:
        setup: as above.
        events: wait for it, then call `read_events`.
        chatter: wait for it, then call `read_chatter`.
        last_lines: the last lines of the worker's chatter.
    """

    falls_by_its_job: ClassVar[bool] = True

    def __init__(self, setup: Setup, command: Sequence[str] = _WORKER) -> None:
        self.setup = setup
        self._process = subprocess.Popen(  # noqa: S603  our own module
            [*command, setup.model_dump_json()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | worker_environment(os.environ, setup),
            process_group=0,
        )
        super().__init__(cast("IO[bytes]", self._process.stdin), cast("IO[bytes]", self._process.stdout))
        self.chatter = LineReader(cast("IO[bytes]", self._process.stderr), _LONGEST_CHATTER_BYTES)
        self.last_lines: deque[str] = deque(maxlen=_REMEMBERED_LINES)

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    @property
    def outlets(self) -> tuple[LineReader, ...]:
        """What to wait for."""
        return self.events, self.chatter

    def read_chatter(self) -> list[str]:
        """Return what it and its libraries have printed, by lines."""
        lines = [line.decode(errors="replace").rstrip() for line in self.chatter.read()]
        self.last_lines.extend(lines)
        return lines

    def kill(self) -> None:
        """End it now, and whatever it has started."""
        if self._process.returncode is None:  # so its id, which is its group's, too, is still its own
            os.killpg(self.pid, signal.SIGKILL)

    def close(self, timeout_seconds: float = 5) -> str:
        """Say goodbye, wait, and kill what does not leave; return how it ended, to follow "the worker"."""
        self.hang_up()
        try:
            self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            self._process.wait()
        for reader in (self.events, self.chatter):
            reader.close()
        return _ending(self._process.returncode)


def _ending(status: int) -> str:
    if status < 0:
        known = -status in set(signal.Signals)
        return f"was killed by {signal.Signals(-status).name if known else f'signal {-status}'}"
    return f"exited with status {status}"
