"""What ends the main loop's sleep: signals, and hints from other threads."""

import contextlib
import os
import signal
from collections.abc import Iterator
from typing import Final, Self

STOP_SIGNALS: Final = frozenset({signal.SIGTERM, signal.SIGINT})
_HINT: Final = b"\0"
_MANY: Final = 1 << 12


class Wake:
    """A pipe to which every signal and every hint writes a byte."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._stopped = False

    @classmethod
    @contextlib.contextmanager
    def by_signals(cls) -> Iterator[Self]:
        """Let `STOP_SIGNALS` do nothing but wake, while the block runs; for the main thread."""
        wake = cls()
        previous = {number: signal.signal(number, wake._stop) for number in STOP_SIGNALS}
        signal.set_wakeup_fd(wake._writer, warn_on_full_buffer=False)
        try:
            yield wake
        finally:
            signal.set_wakeup_fd(-1)
            for number, handler in previous.items():
                signal.signal(number, handler)
            wake.close()

    def fileno(self) -> int:
        """Return the descriptor to wait for."""
        return self._reader

    def hint(self) -> None:
        """Wake the main loop, from any thread."""
        with contextlib.suppress(BlockingIOError):  # full: it will wake anyway
            os.write(self._writer, _HINT)

    def read(self) -> tuple[bool, bool]:
        """Return whether a hint has come since the last call, and whether a signal to stop ever has."""
        try:
            data = os.read(self._reader, _MANY)
        except BlockingIOError:
            data = b""
        return _HINT[0] in data, self._stopped

    def close(self) -> None:
        """Close both ends."""
        os.close(self._reader)
        os.close(self._writer)

    def _stop(self, *_: object) -> None:
        """Take the place of the default action; a pipe full of hints has no room for the signal's number."""
        self._stopped = True
