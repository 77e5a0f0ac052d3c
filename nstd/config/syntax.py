"""Bytes to a YAML node tree; what is no YAML is told in plain words, with its place."""

import re
from pathlib import Path
from typing import Any, Final, Protocol

import yaml
from yaml.reader import Reader

from nstd.config.problems import Position, Problem, report

MAX_DEPTH: Final = 50
MAX_BYTES: Final = 1024 * 1024

FAST_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's loader; PyYAML built without it has only its own."""

_TOO_DEEP: Final = f"is nested more than {MAX_DEPTH} deep"
_ONE_DOCUMENT: Final = "only one document is allowed; remove the lines '---' and '...'"
_INDENTATION: Final = "does not fit the lines above; check the indentation, and put quotes around special text"
_ESCAPE: Final = "no such escape in double quotes; put text with backslashes into single quotes"
_TAB: Final = "a tab cannot indent; use spaces"

# What libyaml or PyYAML say (pattern), what we say, and whether the context's place is the one to show.
_WORDS: Final = (
    (r"quoted.*unexpected (end of stream|document separator)", "the quoted text is never closed", True),
    (r"quoted.*(unknown escape|hexa?decimal|invalid Unicode)", _ESCAPE, False),
    (r"tab character", _TAB, False),
    (r"mapping values are not allowed", f"':' is not expected here; {_INDENTATION}", False),
    (r"sequence entries are not allowed", "'-' is not expected here; begin the list on its own line", False),
    (r"could not find expected ':'", "a ':' is missing after this name", True),
    (r"flow sequence", "the list that begins here lacks a ',' or its ']'", True),
    (r"flow mapping", "the mapping that begins here lacks a ',' or its '}'", True),
    (r"undefined alias", "no '&anchor' above has this alias's name", False),
    (r"duplicate anchor", "another '&anchor' above has the same name", False),
    (r"single document|expected '?<document start>", _ONE_DOCUMENT, False),
    (r"expected (key|'-' indicator|<block end>)", _INDENTATION, False),
    (r"node content", "a value is expected here", False),
    (r"nesting depth", _TOO_DEEP, False),  # libyaml's own limit, which it may reach first
)


class Mark(Protocol):
    """A place as PyYAML or libyaml tells it, counted from 0."""

    line: int
    column: int


def compose(data: bytes, file: Path, loader: Any = FAST_LOADER) -> yaml.Node | None:  # noqa: ANN401  typeshed has no name for PyYAML's loaders
    """Return the root of the file's node tree, or None if it holds nothing.

    Args:
        data: the file's bytes.
        file: its name in messages.
        loader: a PyYAML loader class.

    Raises:
        ConfigError: the bytes are too many, no UTF-8, or no YAML.
    """
    text = _decode(data, file)
    _refuse_what_would_crash(text, file, loader)
    try:
        return yaml.compose(text, loader)
    except yaml.MarkedYAMLError as error:
        raise report(file, [_translate(error, text)]) from None


def _decode(data: bytes, file: Path) -> str:
    if len(data) > MAX_BYTES:
        message = f"is too large for a config file (more than {MAX_BYTES} bytes)"
        raise report(file, [Problem(Position(1, 1), (), message)])
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = error.object[: error.start].decode()
        message = f"byte 0x{error.object[error.start]:02x} is not UTF-8; save the file as UTF-8"
        raise report(file, [Problem(_end_of(before), (), message)]) from None
    if found := Reader.NON_PRINTABLE.search(text):
        message = f"character U+{ord(found[0]):04X} is not allowed; write it as an escape in double quotes"
        raise report(file, [Problem(_end_of(text[: found.start()]), (), message)])
    return text


def _end_of(text: str) -> Position:
    lines = re.split(r"\r\n|\r|\n", text)
    return Position(len(lines), len(lines[-1]) + 1)


def _refuse_what_would_crash(text: str, file: Path, loader: Any) -> None:  # noqa: ANN401  as above
    """Raise for deep nesting, at which libyaml's composer dies of a stack overflow, and for broken escapes."""
    depth = 0
    position = Position(1, 1)
    try:
        for event in yaml.parse(text, loader):
            position = position_of(event.start_mark)
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                raise report(file, [Problem(position, (), _TOO_DEEP)])
            if isinstance(event, yaml.ScalarEvent):
                event.value.encode()
    except yaml.MarkedYAMLError as error:
        raise report(file, [_translate(error, text)]) from None
    except ValueError:  # only from PyYAML's own loader: libyaml refuses surrogates and what is beyond Unicode
        raise report(file, [Problem(position, (), _ESCAPE)]) from None


def position_of(mark: Mark | None) -> Position:
    """Return the mark's place, counted from 1; the file's beginning if there is no mark."""
    return Position(mark.line + 1, mark.column + 1) if mark else Position(1, 1)


def _translate(error: yaml.MarkedYAMLError, text: str) -> Problem:
    words, at_context = _words_for(error, text)
    return Problem(position_of(error.context_mark if at_context else error.problem_mark), (), words)


def _words_for(error: yaml.MarkedYAMLError, text: str) -> tuple[str, bool]:
    said = f"{error.context}: {error.problem}"
    if "cannot start any token" in said and error.problem_mark:
        character = text[error.problem_mark.index]
        return (_TAB if character == "\t" else f"put quotes around text that begins with {character!r}"), False
    for pattern, words, at_context in _WORDS:
        if re.search(pattern, said):
            return words, at_context
    return f"cannot be read as YAML: {error.problem}", False
