"""A Ray cluster as the daemon sees it: a child process that is Ray's driver, and a line to each worker.

Ray ends a driver that has lost its cluster. So the driver is a process of its own: the daemon outlives it, and starts
another. Whoever is at the other end of a line need not care that its worker is elsewhere.
"""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import IO, ClassVar, Final, cast

import structlog

from nstd.cluster.messages import ANSWER, QUESTION, WARNING
from nstd.cluster.restarts import Restarts
from nstd.config.settings import ClusterSettings
from nstd.errors import SpoolError
from nstd.worker.line import Line, LineReader
from nstd.worker.messages import Checkpointed, Done, Event, Setup

_LONGEST_CHATTER_BYTES: Final = 4096
_REMEMBERED_LINES: Final = 30
_ANSWER_SECONDS: Final = 5.0
_FAREWELL_SECONDS: Final = 10.0
# Its pipes are closed a moment before it has ended.
_LAST_GASP_SECONDS: Final = 0.5
_DRIVER: Final = (sys.executable, "-P", "-m", "nstd.cluster")

_log = structlog.get_logger()


class RemoteWorker(Line):
    """A line to a worker in the cluster; it ends with the line.

    Args:
        setup: what it was started with.
        driver: the process at the other end.
        commands: what that reads.
        events: what that writes.
        came_on: called when something has come of its work.
    """

    # What ends the line is the end of the driver; a fall of the worker itself is told by an event.
    falls_by_its_job: ClassVar[bool] = False

    def __init__(
        self, setup: Setup, driver: "_Driver", commands: IO[bytes], events: IO[bytes], came_on: Callable[[], None]
    ) -> None:
        super().__init__(commands, events)
        self.setup = setup
        self._came_on = came_on
        self.last_lines: deque[str] = deque()
        self._driver = driver

    @property
    def pid(self) -> int:
        """The driver's process id."""
        return self._driver.process.pid

    @property
    def outlets(self) -> tuple[LineReader, ...]:
        """What to wait for."""
        return (self.events,)

    def read_events(self) -> Iterator[Event]:
        """Yield the events that have come; raises EngineError if they make no sense."""
        for event in super().read_events():
            if isinstance(event, Checkpointed | Done):
                self._came_on()
            yield event

    def read_chatter(self) -> list[str]:
        """Return nothing: what a worker prints stays in the cluster's logs."""
        return []

    def kill(self) -> None:
        """Have the driver end it now, and end the driver if that is what does not answer."""
        self.hang_up()
        self._driver.examine()

    def close(self, _timeout_seconds: float = 5) -> str:
        """End it; return how it ended, to follow "the worker"."""
        self.hang_up()
        lost = self.events.closed
        self.events.close()
        return f"is out of reach: {self._driver.last_words()}" if lost else "was ended"


class Cluster:
    """Start workers in a cluster; the driver is started with the first of them, and anew when it has ended.

    Args:
        settings: where the cluster is, and what a worker needs of a node.
        command: what to start as the driver.
        clock: seconds that never run backwards.

    Attributes:
        settings: as above.
        is_left: no more workers can be started.
    """

    def __init__(
        self,
        settings: ClusterSettings,
        command: Sequence[str] = _DRIVER,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        # The first time the daemon itself waits for a second; but it does not know what ends with the driver.
        self._restarts = Restarts(unpaused=1, clock=clock)
        self._command = command
        self._driver: _Driver | None = None
        self.is_left = False

    @property
    def outlets(self) -> tuple[LineReader, ...]:
        """What to wait for; then call `read`."""
        return (self._driver.chatter,) if self._driver and not self._driver.chatter.closed else ()

    def start(self, setup: Setup) -> RemoteWorker:
        """Start a worker.

        Raises:
            OSError: the machine has no room for another process or file.
            SpoolError: the driver has ended several times in a row, and its pause is not over.
        """
        if self._driver and self._driver.has_ended():
            if self._driver.process.returncode:
                self._restarts.fell(self._driver.last_words())
            self._end_driver()
        if self._driver is None:
            if self._restarts.seconds_left():
                msg = f"the driver has ended {self._restarts.falls} times in a row: {self._restarts.how}"
                raise SpoolError(msg)
            self._driver = _Driver([*self._command, self.settings.model_dump_json()])
            self._restarts.began()
        return self._driver.start(setup, self._restarts.came_on)

    def read(self) -> None:
        """Log what the driver and Ray print."""
        if self._driver:
            self._driver.read_chatter()

    def leave(self) -> None:
        """Start no more workers: the driver ends with the last of them."""
        self.is_left = True
        if self._driver:
            self._driver.hang_up()

    def has_ended(self) -> bool:
        """Tell whether it has been left, and its driver has ended."""
        if self.is_left and self._driver and self._driver.has_ended():
            self._end_driver()
        return self.is_left and self._driver is None

    def close(self) -> None:
        """Leave, and wait for the driver's end."""
        self._end_driver()

    def _end_driver(self) -> None:
        if self._driver:
            self._driver.close()
            self._driver = None


class _Driver:
    """The child process."""

    def __init__(self, command: Sequence[str]) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, contextlib.ExitStack() as undo:
            undo.callback(self._control.close)
            self.process: subprocess.Popen[bytes] = subprocess.Popen(  # noqa: S603  our own module
                command,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env={"RAY_USAGE_STATS_ENABLED": "0"} | os.environ,
                process_group=0,
            )
            undo.pop_all()
        self.chatter = LineReader(cast("IO[bytes]", self.process.stderr), _LONGEST_CHATTER_BYTES)
        self._last_lines: deque[str] = deque(maxlen=_REMEMBERED_LINES)
        _log.info("driver_started", pid=self.process.pid)

    def start(self, setup: Setup, came_on: Callable[[], None]) -> RemoteWorker:
        with contextlib.ExitStack() as theirs, contextlib.ExitStack() as undo:
            their_commands, commands = os.pipe()
            theirs.callback(os.close, their_commands)
            undo.callback(os.close, commands)
            events, their_events = os.pipe()
            theirs.callback(os.close, their_events)
            undo.callback(os.close, events)
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the end of the line's events will tell
                socket.send_fds(self._control, [setup.model_dump_json().encode()], (their_commands, their_events))
            undo.pop_all()
        return RemoteWorker(setup, self, os.fdopen(commands, "wb"), os.fdopen(events, "rb", buffering=0), came_on)

    def has_ended(self) -> bool:
        return self.process.poll() is not None

    def examine(self) -> None:
        """Kill it if it does not answer, so that the other workers need not be waited for in vain, too."""
        if self._control.fileno() < 0:  # it ends with its last worker anyway
            return
        with contextlib.suppress(OSError):
            self._control.settimeout(_ANSWER_SECONDS)
            self._control.send(QUESTION)
            if self._control.recv(len(ANSWER)) == ANSWER:
                return
        self.process.kill()

    def read_chatter(self) -> None:
        for line in self.chatter.read():
            text = line.decode(errors="replace").rstrip()
            if text.startswith(WARNING):
                _log.warning("cluster_doubtful", reason=text.removeprefix(WARNING))
                continue
            self._last_lines.append(text)
            _log.debug("driver_said", line=text)

    def last_words(self) -> str:
        """Say why it has ended, as far as it has told."""
        try:
            self.process.wait(_LAST_GASP_SECONDS)
        except subprocess.TimeoutExpired:
            return "the driver has let it go"
        self.read_chatter()
        words = next((line for line in reversed(self._last_lines) if line), "")
        return words or f"the driver ended with status {self.process.returncode}"

    def hang_up(self) -> None:
        self._control.close()

    def close(self) -> None:
        self.hang_up()
        try:
            self.process.wait(_FAREWELL_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.chatter.close()
