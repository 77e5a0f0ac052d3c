"""Log lines as entries of systemd's journal, with a priority and fields by which they can be found.

Reference:
    systemd.journal-fields(7). Besides MESSAGE and PRIORITY an entry has NSTD_EVENT, and a field for each value that
    belongs to the event, such as NSTD_JOB, NSTD_PHOTO and NSTD_PRESET.
"""

import json
from typing import Any, Final, TextIO

import structlog
from logging_journald import JournaldTransport
from structlog.typing import EventDict

_PRIORITIES: Final = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
_to_pairs: Final = structlog.processors.LogfmtRenderer()


class Journal:
    """A logger whose lines become entries of the journal.

    Args:
        spare: where lines go while the journal takes none, with their priority as systemd reads it off a line.
        transport: to the journal.
    """

    def __init__(self, spare: TextIO, transport: JournaldTransport | None = None) -> None:
        self._spare = spare
        # The journal may be restarted at any time: each entry finds its own way.
        self._transport = transport or JournaldTransport(connected=False)

    def log(self, **fields: Any) -> None:  # noqa: ANN401  whatever belongs to the event
        """Write an entry."""
        try:
            self._transport.send(fields.items())
        except OSError:
            message = fields["MESSAGE"].replace("\n", "\n ")
            self._spare.write(f"<{fields['PRIORITY']}>{message}\n")

    debug = info = warning = error = critical = log


def to_fields(logger: object, method: str, event: EventDict) -> EventDict:
    """Name what belongs to an event as the journal wants it; the last of structlog's processors."""
    name, level = event.pop("event"), event.pop("level")
    trace = event.pop("exception", None)
    values = {key: value for key, value in event.items() if value is not None}
    message = f"{name} {_to_pairs(logger, method, dict(values))}".rstrip()
    return {
        "MESSAGE": _encodable(message if trace is None else f"{message}\n{trace}"),
        "PRIORITY": _PRIORITIES[level],
        "SYSLOG_IDENTIFIER": "nstd",
        "NSTD_EVENT": name,
        **{f"NSTD_{key.upper()}": _to_text(value) for key, value in values.items()},
    }


def _to_text(value: object) -> str:
    return _encodable(value) if isinstance(value, str) else json.dumps(value, default=str)


def _encodable(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()
