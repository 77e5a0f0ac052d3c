"""A worker in a child process, as the daemon sees it."""

import contextlib
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from typing import IO, Final, cast

from pydantic import ValidationError

from nstd.errors import EngineError
from nstd.worker.environment import tensorflow_environment
from nstd.worker.messages import EVENTS, Event, Request, Setup, Stop, to_line

_CHUNK_BYTES: Final = 1 << 16
_CHUNKS_AT_ONCE: Final = 16
# The history of a hundred thousand steps, which are as many as a level may have, takes 25 MB.
_LONGEST_EVENT_BYTES: Final = 128 << 20
_LONGEST_CHATTER_BYTES: Final = 4096
_SHOWN_CHARACTERS: Final = 80
_REMEMBERED_LINES: Final = 30
_WORKER: Final = (sys.executable, "-P", "-m", "nstd.worker")


class LineReader:
    """Read whole lines from a pipe without waiting for them.

    Args:
        pipe: what to read.
        longest_bytes: a line that is longer comes in pieces.

    Attributes:
        closed: the other end is gone, and nothing more will come.
    """

    def __init__(self, pipe: IO[bytes], longest_bytes: int) -> None:
        os.set_blocking(pipe.fileno(), False)
        self._pipe = pipe
        self._longest = longest_bytes
        self._rest = bytearray()
        self.closed = False

    def fileno(self) -> int:
        """Return the descriptor to wait for."""
        return self._pipe.fileno()

    def read(self) -> list[bytes]:
        """Return the lines that have come, without their ends; not all of them, if they come without end."""
        lines: list[bytes] = []
        for _ in range(_CHUNKS_AT_ONCE):
            if (chunk := self._chunk()) is None:
                break
            if not chunk:
                self.closed = True
                break
            lines += self._lines(chunk)
        return lines

    def close(self) -> None:
        """Close this end."""
        self._pipe.close()

    def _lines(self, chunk: bytes) -> Iterator[bytes]:
        for number, part in enumerate(chunk.split(b"\n")):
            if number:
                yield bytes(self._rest)
                self._rest.clear()
            self._rest += part
            while len(self._rest) > self._longest:
                yield bytes(self._rest[: self._longest])
                del self._rest[: self._longest]

    def _chunk(self) -> bytes | None:
        try:
            return os.read(self.fileno(), _CHUNK_BYTES)
        except BlockingIOError:
            return None


class WorkerProcess:
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

    def __init__(self, setup: Setup, command: Sequence[str] = _WORKER) -> None:
        self.setup = setup
        self._process = subprocess.Popen(  # noqa: S603  our own module
            [*command, setup.model_dump_json()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | tensorflow_environment(os.environ, setup.cache),
            process_group=0,
        )
        self._commands = cast("IO[bytes]", self._process.stdin)
        self.events = LineReader(cast("IO[bytes]", self._process.stdout), _LONGEST_EVENT_BYTES)
        self.chatter = LineReader(cast("IO[bytes]", self._process.stderr), _LONGEST_CHATTER_BYTES)
        self.last_lines: deque[str] = deque(maxlen=_REMEMBERED_LINES)

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    def request(self, request: Request) -> None:
        """Tell it to paint; its last event about it is `Done`, `Failed` or `Interrupted`."""
        self._send(request)

    def stop(self) -> None:
        """Tell it to give up the running request at the next step."""
        self._send(Stop())

    def read_events(self) -> Iterator[Event]:
        """Yield the events that have come.

        Raises:
            EngineError: the worker, which the message follows, has lost its senses.
        """
        for line in self.events.read():
            try:
                yield EVENTS.validate_json(line)
            except ValidationError as error:
                msg = f"said what is no event ({line[:_SHOWN_CHARACTERS].decode(errors='replace')!r})"
                raise EngineError(msg) from error

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
        with contextlib.suppress(BrokenPipeError):
            self._commands.close()
        try:
            self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            self._process.wait()
        for reader in (self.events, self.chatter):
            reader.close()
        return _ending(self._process.returncode)

    def _send(self, command: Request | Stop) -> None:
        # If it is gone, the end of its events tells.
        with contextlib.suppress(BrokenPipeError):
            self._commands.write(to_line(command))
            self._commands.flush()


def _ending(status: int) -> str:
    if status < 0:
        known = -status in set(signal.Signals)
        return f"was killed by {signal.Signals(-status).name if known else f'signal {-status}'}"
    return f"exited with status {status}"
