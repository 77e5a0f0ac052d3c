"""A config file's plain values, each with its place."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from nstd.config.problems import Position, Problem, SettingPath, shorten


@dataclass(frozen=True)
class Place:
    """Where a setting stands, and how messages quote its value."""

    key: Position | None
    value: Position
    shown: str


_BEGINNING: Final = Place(None, Position(1, 1), "a mapping")


@dataclass
class Document:
    """A config file's plain values, the place of each, and what was wrong with the text already.

    Attributes:
        file: its name in messages.
        value: mappings, lists and scalars; the mappings' keys are text.
        places: of each value, by its path.
        problems: of the text itself, such as duplicate keys.
    """

    file: Path
    value: dict[str, object] = field(default_factory=dict)
    places: dict[SettingPath, Place] = field(default_factory=lambda: {(): _BEGINNING})
    problems: list[Problem] = field(default_factory=list)

    def get(self, *path: str | int) -> object:
        """Return the value at a path, or None."""
        value: object = self.value
        for part in path:
            if isinstance(value, dict):
                value = value.get(part)
            elif isinstance(value, list) and isinstance(part, int):
                value = value[part]
            else:
                return None
        return value

    def entries(self, *path: str | int) -> dict[str, object]:
        """Return the mapping at a path; an empty one if there is none."""
        value = self.get(*path)
        return value if isinstance(value, dict) else {}

    def known(self, path: SettingPath) -> SettingPath:
        """Return the longest part of a path that the file holds."""
        while path not in self.places:
            path = path[:-1]
        return path

    def problem(self, path: SettingPath, message: str, *, at_key: bool = False) -> Problem:
        """Say what is wrong with a setting; one that the file lacks is reported where it should stand."""
        known = self.known(path)
        place = self.places[known]
        position = place.value if known == path and not at_key else place.key or place.value
        return Problem(position, path, message)


def document_of(settings: Mapping[str, object]) -> Document:
    """Return settings that a program gave as if a file held them, all at its beginning."""
    document = Document(Path())
    document.value = {name: _place(document, (name,), value) for name, value in settings.items()}
    return document


def _place(document: Document, path: SettingPath, value: object) -> object:
    document.places[path] = Place(None, Position(1, 1), shorten(repr(value)))
    if isinstance(value, Mapping):
        return {str(name): _place(document, (*path, str(name)), part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_place(document, (*path, index), part) for index, part in enumerate(value)]
    return value
