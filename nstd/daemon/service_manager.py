"""What the daemon tells the service manager that has started it.

Reference:
    sd_notify(3), sd_watchdog_enabled(3): lines of text in one datagram to the socket that NOTIFY_SOCKET names.
"""

import os
import socket
import time
from collections.abc import Callable, Mapping
from typing import Final

import structlog

_BEATS_AN_INTERVAL: Final = 3

_log = structlog.get_logger()


class ServiceManager:
    """Tell systemd, or whatever else listens, how the daemon is; never raises, and does nothing where nobody listens.

    Args:
        signs: what must be well for the watchdog to be fed, by name.
        environ: the variables by which the service manager says what it wants to be told.
        clock: seconds that never run backwards; for `RELOADING`, CLOCK_MONOTONIC.
    """

    def __init__(
        self,
        signs: Mapping[str, Callable[[], bool]],
        environ: Mapping[str, str] = os.environ,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._signs = signs
        self._clock = clock
        self._socket = environ.get("NOTIFY_SOCKET", "")
        self._beat_seconds = _watchdog_seconds(environ) / _BEATS_AN_INTERVAL
        self._beat_due = clock()
        self._missed: list[str] = []
        self._said = ""
        self._is_reloading = False
        self._is_deaf = False

    def ready(self) -> None:
        """Tell that the daemon works."""
        self._notify("READY=1")

    def reloading(self) -> None:
        """Tell that the config is being read again."""
        self._is_reloading = True
        self._notify("RELOADING=1", f"MONOTONIC_USEC={round(self._clock() * 1e6)}")

    def reloaded(self) -> None:
        """Tell that a new config is in force or refused, if one was being read."""
        if self._is_reloading:
            self._is_reloading = False
            self._notify("READY=1")

    def stopping(self, seconds_at_most: float) -> None:
        """Tell that the daemon is about to end."""
        self._notify("STOPPING=1", f"EXTEND_TIMEOUT_USEC={round(seconds_at_most * 1e6)}")

    def say(self, text: str) -> None:
        """Tell a person, by a line in `systemctl status`, what the daemon does."""
        # A line break, as a photo's name may have, would begin another assignment.
        line = "".join(character if character.isprintable() else "?" for character in text)
        if line != self._said:
            self._said = line
            self._notify(f"STATUS={line}")

    def beat(self) -> None:
        """Feed the watchdog, if that is due and all signs are well."""
        if not self._beat_seconds or self._clock() < self._beat_due:
            return
        self._beat_due = self._clock() + self._beat_seconds
        missed, self._missed = self._missed, [name for name, is_well in self._signs.items() if not is_well()]
        if not self._missed:
            self._notify("WATCHDOG=1")
        elif missed != self._missed:
            _log.error("watchdog_not_fed", unwell=self._missed)

    def seconds_to_beat(self) -> float:
        """Say when `beat` has something to do; infinite if there is no watchdog."""
        return max(0.0, self._beat_due - self._clock()) if self._beat_seconds else float("inf")

    def _notify(self, *lines: str) -> None:
        if not self._socket:
            return
        # An "@" stands for the null byte of an abstract address.
        where = "\0" + self._socket[1:] if self._socket.startswith("@") else self._socket
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as manager:
                manager.sendto("\n".join(lines).encode(), where)
        except OSError as error:
            if not self._is_deaf:
                _log.warning("service_manager_not_told", reason=str(error))
            self._is_deaf = True
        else:
            self._is_deaf = False


def _watchdog_seconds(environ: Mapping[str, str]) -> float:
    """Return the time without a beat after which the daemon is killed; 0 if nobody watches this process."""
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return 0.0
    usec = environ.get("WATCHDOG_USEC", "")
    return int(usec) / 1e6 if usec.isdecimal() else 0.0
