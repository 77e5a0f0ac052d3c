"""Problems of a config file: where they stand and how they read."""

import difflib
import json
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from nstd.errors import ConfigError

SettingPath = tuple[str | int, ...]


class Position(NamedTuple):
    """A place in the config file, counted from 1 as editors do."""

    line: int
    column: int


@dataclass(frozen=True)
class Problem:
    """One thing that the operator must put right; an empty path stands for the file as a whole."""

    position: Position
    path: SettingPath
    message: str

    def __str__(self) -> str:
        place = f"{self.position.line}:{self.position.column}: "
        return place + (f"{dotted(self.path)}: {self.message}" if self.path else self.message)


def report(file: Path, problems: Iterable[Problem]) -> ConfigError:
    """Return one error that tells all problems, one a line, in the file's order.

    What is wrong in settings that several presets share by an anchor is told once.
    """
    unique: dict[tuple[Position, str], Problem] = {}
    for problem in problems:
        unique.setdefault((problem.position, problem.message), problem)
    return ConfigError("\n".join(f"{file}:{unique[key]}" for key in sorted(unique)))


def dotted(path: SettingPath) -> str:
    """Spell a setting's path as a person would: `presets.swirls.styles[0].weight`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            name = part if re.fullmatch(r"[\w-]+|<<", part) else json.dumps(shorten(part), ensure_ascii=False)
            text += f".{name}" if text else name
    return text


def shorten(text: str, length: int = 60) -> str:
    """Cut a text that would drown its message."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


def nearest(word: str, known: Collection[str]) -> str:
    """Continue a message with the nearest right word, if one is near."""
    near = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean '{near[0]}'?" if near else ""


def nearest_or_all(word: str, known: Collection[str]) -> str:
    """Continue a message with the nearest right word, or else with all of them."""
    return nearest(word, known) or f"; known are: {', '.join(known)}"
