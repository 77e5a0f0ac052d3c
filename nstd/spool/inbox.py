"""The inbox: what lies in it, what of that is a drop, and why the rest is not."""

import errno
import os
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nstd.spool.disposal import undisposed
from nstd.spool.drops import Drop, fingerprint, identity_of
from nstd.spool.durable import opened, trouble
from nstd.spool.folders import Folders
from nstd.spool.names import to_text

_TEMPORARY_SUFFIXES: Final = ("~", ".part", ".tmp", ".crdownload")
_KINDS: Final = {
    stat.S_IFLNK: "is a symbolic link: links are not followed",
    stat.S_IFIFO: "is a named pipe: only regular files are taken",
    stat.S_IFSOCK: "is a socket: only regular files are taken",
    stat.S_IFBLK: "is a device: only regular files are taken",
    stat.S_IFCHR: "is a device: only regular files are taken",
}
# Nothing is wrong with the folder then.
_OUR_OWN_TROUBLE: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
_NO_SUCH_PRESET: Final = "is a folder, but there is no preset of this name"
_FOLDER_IN_PRESET: Final = "is a folder: photos go directly into the preset's own folder"
_PRESET_IS_FILE: Final = "is a file, but should be the folder of the preset of this name"
_NO_DEFAULT: Final = "lies in the inbox's own top folder, but default_presets names no preset"


@dataclass(frozen=True, slots=True)
class Ignored:
    """Something in the inbox that is left alone.

    Attributes:
        path: below the inbox, as text.
        reason: for a person; follows the path in a sentence.
    """

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Scan:
    """What lies in the inbox, each sorted by name."""

    drops: tuple[Drop, ...]
    ignored: tuple[Ignored, ...]


def scan(folders: Folders, presets: Collection[str], default_presets: tuple[str, ...]) -> Scan:
    """Look through the inbox, following no link.

    Hidden and temporary names are passed over, and so are drops that are jobs already.

    Args:
        folders: where the inbox is.
        presets: names of all presets.
        default_presets: for photos in the inbox's own top folder.

    Raises:
        SpoolError: the inbox cannot be read.
    """
    with trouble("look through the inbox"):
        known = {fingerprint(identity) for identity in undisposed(folders)}
        found = sorted(_top(folders.inbox, presets, default_presets), key=_path)
    drops = (one for one in found if isinstance(one, Drop) and fingerprint(one.identity) not in known)
    return Scan(tuple(drops), tuple(one for one in found if isinstance(one, Ignored)))


def _top(inbox: Path, presets: Collection[str], default_presets: tuple[str, ...]) -> Iterator[Drop | Ignored]:
    for name, found in _entries(inbox):
        if name in presets:
            yield from _preset_folder(inbox, name, found)
        elif _is_passed_over(name):
            continue
        elif stat.S_ISDIR(found.st_mode):
            yield Ignored(to_text(name), _NO_SUCH_PRESET)
        elif stat.S_ISREG(found.st_mode) and not default_presets:
            yield Ignored(to_text(name), _NO_DEFAULT)
        else:
            yield _judge(name, found, default_presets)


def _preset_folder(inbox: Path, preset: str, found: os.stat_result) -> Iterator[Drop | Ignored]:
    if stat.S_ISREG(found.st_mode):
        yield Ignored(to_text(preset), _PRESET_IS_FILE)
    elif not stat.S_ISDIR(found.st_mode):
        yield _judge(preset, found, ())
    else:
        try:
            yield from _in_preset(inbox, preset)
        except OSError as error:
            if error.errno in _OUR_OWN_TROUBLE:
                raise
            yield Ignored(to_text(preset), f"cannot be read: {error.strerror}")


def _in_preset(inbox: Path, preset: str) -> Iterator[Drop | Ignored]:
    for name, found in _entries(inbox / preset):
        if _is_passed_over(name):
            continue
        if stat.S_ISDIR(found.st_mode):
            yield Ignored(to_text(f"{preset}/{name}"), _FOLDER_IN_PRESET)
        else:
            yield _judge(f"{preset}/{name}", found, (preset,))


def _judge(relative: str, found: os.stat_result, presets: tuple[str, ...]) -> Drop | Ignored:
    if stat.S_ISREG(found.st_mode):
        return Drop(identity_of(relative, found), presets)
    return Ignored(to_text(relative), _KINDS[stat.S_IFMT(found.st_mode)])


def _entries(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    with opened(folder, os.O_DIRECTORY | os.O_NOFOLLOW) as descriptor, os.scandir(descriptor) as entries:
        for entry in entries:
            try:
                yield entry.name, entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue  # it went away while we looked


def _is_passed_over(name: str) -> bool:
    return name.startswith(".") or name.lower().endswith(_TEMPORARY_SUFFIXES)


def _path(one: Drop | Ignored) -> str:
    return one.identity.path if isinstance(one, Drop) else one.path
