"""The daemon's end of the line to a worker: commands go out by one pipe, events come in by another."""

import contextlib
import os
from collections import deque
from collections.abc import Iterator
from typing import IO, ClassVar, Final, Protocol

from pydantic import ValidationError

from nstd.errors import EngineError
from nstd.worker.messages import EVENTS, Event, Request, Setup, Stop, to_line

_CHUNK_BYTES: Final = 1 << 16
_CHUNKS_AT_ONCE: Final = 16
# The history of a hundred thousand steps, which are as many as a level may have, takes 25 MB.
_LONGEST_EVENT_BYTES: Final = 128 << 20
_SHOWN_CHARACTERS: Final = 80


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


class Line:
    """Tell a worker what to do, and hear what it says; nothing here waits.

    Args:
        commands: what it reads.
        events: what it writes.

    Attributes:
        events: wait for it, then call `read_events`.
    """

    def __init__(self, commands: IO[bytes], events: IO[bytes]) -> None:
        self._commands = commands
        self.events = LineReader(events, _LONGEST_EVENT_BYTES)

    def request(self, request: Request) -> None:
        """Tell it to paint; its last event about it is `Done`, `Failed`, `Interrupted` or `Fallen`."""
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

    def hang_up(self) -> None:
        """Say nothing more; a worker takes that as goodbye."""
        with contextlib.suppress(BrokenPipeError):
            self._commands.close()

    def _send(self, command: Request | Stop) -> None:
        # If it is gone, the end of its events tells.
        with contextlib.suppress(BrokenPipeError):
            self._commands.write(to_line(command))
            self._commands.flush()


class Worker(Protocol):
    """What the daemon asks of a worker, wherever that is; nothing waits, except `close`.

    Attributes:
        setup: what it was started with.
        pid: of a process of this machine that it ends with.
        events: to wait for; `closed` if it has ended.
        falls_by_its_job: its end may be the running job's doing.
        last_lines: the last lines that it has printed, if they are known.
    """

    setup: Setup
    events: LineReader
    falls_by_its_job: ClassVar[bool]
    last_lines: deque[str]

    @property
    def pid(self) -> int: ...  # noqa: D102  as above

    @property
    def outlets(self) -> tuple[LineReader, ...]:
        """What to wait for."""

    def request(self, request: Request) -> None:
        """Tell it to paint."""

    def stop(self) -> None:
        """Tell it to give up the running request at the next step."""

    def read_events(self) -> Iterator[Event]:
        """Yield the events that have come; raises EngineError if they make no sense."""

    def read_chatter(self) -> list[str]:
        """Return what it and its libraries have printed since the last time, by lines."""

    def kill(self) -> None:
        """End it now."""

    def close(self, timeout_seconds: float = 5) -> str:
        """End it; return how it ended, to follow "the worker"."""
