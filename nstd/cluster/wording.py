"""What Ray's errors, which may be pages long, say in a line."""

from collections.abc import Iterator


def first_line(error: BaseException) -> str:
    """Return what an error says first, or its kind if it says nothing."""
    return next(_lines_of(error), type(error).__name__)


def last_line(error: BaseException) -> str:
    """Return what an error says last, or its kind if it says nothing."""
    return [type(error).__name__, *_lines_of(error)][-1]


def in_a_line(error: BaseException) -> str:
    """Return all that an error says, but for the places in Ray's own code."""
    if words := getattr(error, "strerror", None):
        return str(words)
    lines = [*_lines_of(error)]
    if any(line.startswith("Traceback ") for line in lines):  # of Ray's server; how it ends is why
        lines = [lines[0], lines[-1]]
    return " ".join(lines) or type(error).__name__


def _lines_of(error: BaseException) -> Iterator[str]:
    return filter(None, map(str.strip, str(error).splitlines()))
