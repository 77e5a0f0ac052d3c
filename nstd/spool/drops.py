"""Drops: files that someone put into the inbox, and how one is told from another."""

import os
from dataclasses import dataclass
from pathlib import Path

from nstd.job import DropIdentity
from nstd.spool.names import to_text


@dataclass(frozen=True, slots=True)
class Drop:
    """A regular file in the inbox, with the presets it is meant for."""

    identity: DropIdentity
    presets: tuple[str, ...]


def identity_of(relative: str | Path, found: os.stat_result) -> DropIdentity:
    """Describe which file this is.

    Args:
        relative: its path below the inbox, as the file system has it.
        found: what the file system said about it.
    """
    return DropIdentity(
        path=to_text(relative),
        device=found.st_dev,
        inode=found.st_ino,
        bytes=found.st_size,
        mtime_ns=found.st_mtime_ns,
    )


def fingerprint(identity: DropIdentity) -> tuple[str, int, int, int]:
    """Return what a drop is known by after a restart: all but the device, whose number a reboot may change."""
    return identity.path, identity.inode, identity.bytes, identity.mtime_ns


def is_still(identity: DropIdentity, path: Path) -> bool:
    """Tell whether this very file, unchanged, lies at a path."""
    try:
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return fingerprint(identity)[1:] == (found.st_ino, found.st_size, found.st_mtime_ns)
