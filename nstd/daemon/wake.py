"""What ends the main loop's sleep: signals, and hints from other threads."""

import contextlib
import os
import signal
from collections.abc import Iterator
from typing import Final, NamedTuple, Self

STOP_SIGNALS: Final = frozenset({signal.SIGTERM, signal.SIGINT})
RELOAD_SIGNAL: Final = signal.SIGHUP
_STDOUT: Final = 1
_HINT: Final = b"\0"
_MANY: Final = 1 << 12


class Woken(NamedTuple):
    """Why the main loop woke.

    Attributes:
        hinted: a hint has come since the last time.
        stops: how many signals to stop have ever come.
        reload: a signal to read the config file again has come since the last time.
    """

    hinted: bool
    stops: int
    reload: bool


class Wake:
    """A pipe to which every signal and every hint writes a byte."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._stops = 0
        self._reload = False
        self._had_terminal = os.isatty(_STDOUT)

    @classmethod
    @contextlib.contextmanager
    def by_signals(cls) -> Iterator[Self]:
        """Let `STOP_SIGNALS` and `RELOAD_SIGNAL` do nothing but wake, while the block runs; for the main thread."""
        wake = cls()
        previous = {number: signal.signal(number, wake._note) for number in STOP_SIGNALS | {RELOAD_SIGNAL}}
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

    def read(self) -> Woken:
        """Say what has come."""
        try:
            data = os.read(self._reader, _MANY)
        except BlockingIOError:
            data = b""
        reload, self._reload = self._reload, False
        return Woken(_HINT[0] in data, self._stops, reload)

    def close(self) -> None:
        """Close both ends."""
        os.close(self._reader)
        os.close(self._writer)

    def _note(self, number: int, _: object) -> None:
        """Take the place of the default action; a pipe full of hints has no room for the signal's number."""
        # A terminal that is closed sends SIGHUP, too, and whoever ran us there wants us to end.
        is_hangup = self._had_terminal and not os.isatty(_STDOUT)
        if number == RELOAD_SIGNAL and not is_hangup:
            self._reload = True
        else:
            self._stops += 1
