"""Log lines: coloured key-value pairs for a person at a terminal, fields for the journal, JSON for everything else."""

import contextlib
import os
import sys
from typing import TYPE_CHECKING, Any, TextIO

import structlog

from nstd.daemon.journal import Journal, to_fields

if TYPE_CHECKING:
    from structlog.typing import Processor


class _CurrentOutput:
    """Writes to whatever `sys.stdout` is at the moment: a progress bar replaces it while it is drawn.

    A log that cannot be written, as on a full disk, must not end the work; what is written are whole lines.
    """

    def __init__(self) -> None:
        self._line = ""

    def write(self, text: str) -> int:
        self._line += text
        if text.endswith("\n"):
            line, self._line = self._line, ""
            with contextlib.suppress(OSError):
                sys.stdout.write(line)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            sys.stdout.flush()


def configure_logs(*, verbose: bool = False, output: TextIO | None = None) -> None:
    """Set up structlog for this process.

    Args:
        verbose: also log what only a developer wants to know.
        output: where lines go and which decides on their form; None for standard output.
    """
    stream = output or sys.stdout
    lines: Any = output or _CurrentOutput()
    factory: Any = structlog.PrintLoggerFactory(lines)
    form: list[Processor]
    if stream.isatty():
        stamp = structlog.processors.TimeStamper("%H:%M:%S", utc=False)
        form = [stamp, structlog.dev.ConsoleRenderer(pad_event_to=18)]
    elif _is_journal(stream):
        journal = Journal(lines)
        factory = lambda *_: journal  # noqa: E731  all loggers are the same
        form = [structlog.processors.format_exc_info, to_fields]
    else:
        stamp = structlog.processors.TimeStamper("iso", utc=True)
        form = [stamp, structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, structlog.processors.add_log_level, *form],
        wrapper_class=structlog.make_filtering_bound_logger("debug" if verbose else "info"),
        logger_factory=factory,
        cache_logger_on_first_use=False,
    )


def _is_journal(stream: TextIO) -> bool:
    """Tell whether a stream leads to the journal, as systemd says in JOURNAL_STREAM."""
    try:
        status = os.fstat(stream.fileno())
    except OSError:
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"
