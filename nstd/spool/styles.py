"""Style images, frozen by content: a job paints with what they were when its photo came in."""

import errno
import os
import secrets
import stat
from collections.abc import Iterable
from pathlib import Path

from nstd.errors import ConfigError
from nstd.job import FrozenStyle
from nstd.preset import Preset, StyleImage
from nstd.spool.durable import Copied, copy_durably, fsync_folder, opened
from nstd.spool.names import to_text

_Version = tuple[Path, int, int, int, int]


class StyleStore:
    """The folder of frozen style images; each content is in it once, named by its SHA-256.

    Remembers which version of a file it has frozen, so that a thousand drops do not copy it a thousand times.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._frozen: dict[_Version, Copied] = {}

    def freeze(self, preset_name: str, preset: Preset) -> tuple[FrozenStyle, ...]:
        """Commit a preset's style images to the store.

        Raises:
            ConfigError: a style image cannot be read; names the preset and the file.
            OSError: the store cannot be written.
        """
        return tuple(self._freeze_one(preset_name, style) for style in preset.styles)

    def _freeze_one(self, preset_name: str, style: StyleImage) -> FrozenStyle:
        try:
            version = _version(style.image)
        except OSError as error:
            msg = f"presets.{preset_name}.styles: {to_text(style.image)}: cannot be read: {error.strerror}"
            raise ConfigError(msg) from error
        facts = self._frozen.get(version)
        if facts is None or not (self._folder / facts.sha256).exists():
            facts = self._frozen[version] = _store(style.image, self._folder)
        name = to_text(style.image.name)
        return FrozenStyle(name=name, bytes=facts.bytes, sha256=facts.sha256, weight=style.weight)


def remove_unreferenced(folder: Path, referenced: Iterable[str]) -> list[str]:
    """Remove frozen style images that no job needs, and remains of half-made ones.

    Args:
        folder: of the store.
        referenced: what is needed; read only as far as that can change anything, for there may be many jobs.

    Returns:
        The names of the removed files.
    """
    garbage = {path.name for path in folder.iterdir() if path.is_file()}
    needed = iter(referenced)
    while garbage and (name := next(needed, None)):
        garbage.discard(name)
    for name in garbage:
        (folder / name).unlink()
    return sorted(garbage)


def _version(path: Path) -> _Version:
    with opened(path, os.O_NONBLOCK) as descriptor:
        found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "not a regular file")
    return path, found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _store(image: Path, folder: Path) -> Copied:
    temporary = folder / f".{secrets.token_hex(8)}.tmp"
    with opened(image) as source:
        facts = copy_durably(source, temporary)
    temporary.rename(folder / facts.sha256)
    fsync_folder(folder)
    return facts
