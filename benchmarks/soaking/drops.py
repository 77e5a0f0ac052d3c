"""Dropping: good and bad files of all kinds, in all ways in which files come into a folder."""

import itertools
import os
import random
from collections import Counter
from pathlib import Path

from nstd.spool.durable import rename_without_replacing

from .agenda import Agenda
from .ledger import Entry, Ledger
from .photos import PHOTOS, RUBBISH, Camera
from .spool import PRESETS, Spool

_NAMES = ("cat", "IMG", "-dash", "Größe", "two words", "写真", "new\nline", "b\\slash", "a" * 180)
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_FORMATS = ("JPEG", "PNG", "WebP")
_OBJECTS = ("link", "pipe", "folder")
_WEIGHTS = {
    "JPEG": 6,
    "PNG": 5,
    "WebP": 4,
    "moved in": 4,
    "written slowly": 4,
    "for two presets": 4,
    "same bytes again": 3,
    "same name again": 3,
    **dict.fromkeys(RUBBISH, 1.5),
    **dict.fromkeys(_OBJECTS, 0.7),
}


class Dropper:
    """Drops files into the inbox, and enters each into the ledger once it is complete.

    Args:
        spool: whose inbox it is.
        ledger: told of each drop.
        agenda: for those who write slowly.
        dice: for all chance.

    Attributes:
        given_up: how many drops could not be finished by whoever dropped them, by the reason.
        writing: how many are being written.
    """

    def __init__(self, spool: Spool, ledger: Ledger, agenda: Agenda, dice: random.Random) -> None:
        self._spool = spool
        self._ledger = ledger
        self._agenda = agenda
        self._dice = dice
        self._camera = Camera(dice)
        self._numbers = itertools.count(1)
        self._dropped: list[tuple[Entry, bytes]] = []
        self.given_up: Counter[str] = Counter()
        self.writing = 0

    def drop_anything(self) -> None:
        """Drop a file of any kind."""
        self.drop(self._dice.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0])

    def drop(self, kind: str) -> None:
        """Drop a file of this kind."""
        photo = self._camera.photo
        if kind in _OBJECTS:
            self._make(self._entry(kind, ".jpg"))
        elif kind in RUBBISH:
            self._write(self._entry(kind, ".jpg"), self._camera.rubbish(kind))
        elif kind == "moved in":
            self._move(self._entry(kind, ".jpg"), photo("JPEG"))
        elif kind == "written slowly":
            self._write(self._entry(kind, ".png"), photo("PNG"), parts=self._dice.randint(2, 6))
        elif kind == "for two presets":
            self._write(self._entry(kind, ".jpg", place=""), photo("JPEG"))
        elif kind in _FORMATS:
            self._write(self._entry(kind, f".{kind.lower()}"), photo(kind))
        elif self._dropped:
            self._drop_again(kind, *self._dice.choice(self._dropped))

    def _drop_again(self, kind: str, old: Entry, data: bytes) -> None:
        if kind == "same bytes again":
            self._write(self._entry(kind, ".jpg"), data)
        else:
            is_same = self._dice.choice((True, False, False))
            self._write(Entry(kind, old.place, old.name), data if is_same else self._camera.photo("PNG"))

    def _entry(self, kind: str, extension: str, place: str | None = None) -> Entry:
        name = f"{self._dice.choice(_NAMES)}_{next(self._numbers)}{extension}"
        return Entry(kind, self._dice.choice(PRESETS) if place is None else place, name)

    def _make(self, entry: Entry) -> None:
        """Put something into the inbox that is no file."""
        try:
            path = self._path(entry)
            if entry.kind == "link":
                path.symlink_to(self._dice.choice((PHOTOS / "coffee.jpg", Path("nowhere"))))
            elif entry.kind == "pipe":
                os.mkfifo(path)
            else:
                path.mkdir()
        except OSError as error:
            self._give_up(error)
        else:
            self._ledger.enter_object(entry)

    def _move(self, entry: Entry, data: bytes) -> None:
        """Rename a complete and old file into the inbox."""
        staged = self._spool.desk / "photo"
        try:
            staged.write_bytes(data)
            os.utime(staged, (self._dice.randrange(10**9),) * 2)
            rename_without_replacing(staged, self._path(entry))
        except OSError as error:
            self._give_up(error)
        else:
            self._finish(entry, data)

    def _write(self, entry: Entry, data: bytes, parts: int = 1) -> None:
        try:
            descriptor = os.open(self._path(entry), _CREATE)
        except OSError as error:
            self._give_up(error)
        else:
            self.writing += 1
            self._go_on(entry, data, descriptor, 0, len(data) // parts + 1)

    def _go_on(self, entry: Entry, data: bytes, descriptor: int, start: int, size: int) -> None:
        """Write a part; the pause before the next may be longer than settling takes."""
        try:
            _write_all(descriptor, data[start : start + size])
        except OSError as error:
            self._path(entry).unlink()  # while it is open, so that nobody takes the part for the whole
            self._give_up(error)
        else:
            if start + size < len(data):
                pause = self._dice.uniform(0.1, 2)
                self._agenda.later(pause, lambda: self._go_on(entry, data, descriptor, start + size, size))
                return
            self._finish(entry, data)
        os.close(descriptor)
        self.writing -= 1

    def _finish(self, entry: Entry, data: bytes) -> None:
        self._ledger.enter(entry, data)
        if entry.kind not in RUBBISH:
            self._dropped.append((entry, data))

    def _give_up(self, error: OSError) -> None:
        self.given_up[error.strerror or str(error)] += 1

    def _path(self, entry: Entry) -> Path:
        folder = self._spool.inbox / entry.place
        folder.mkdir(parents=True, exist_ok=True)  # as a person would who finds it missing
        return folder / entry.name


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
