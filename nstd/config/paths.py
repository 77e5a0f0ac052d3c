"""Paths in the config file: where they lead, and which of them get in each other's way."""

import contextlib
import itertools
import os
import stat
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import Final

from nstd.config.document import Document
from nstd.config.problems import Problem, SettingPath, dotted
from nstd.config.settings import Config, Limits, SpoolSettings
from nstd.errors import InputError, SpoolError

_INBOX: Final = ("spool", "inbox")
_TEXTFILE: Final = ("metrics", "textfile")
_FOLDERS: Final = ("inbox", "outbox", "originals", "failed", "state")

Located = dict[SettingPath, Path]
CheckImage = Callable[[Path, Limits], object]


def with_absolute_paths(config: Config, folder: Path) -> Config:
    """Return the config with every path resolved against the config file's folder.

    Args:
        config: valid settings whose paths `unusable_paths` had nothing to say against.
        folder: the config file's folder, absolute.
    """
    spool = {name: _resolve(str(getattr(config.spool, name)), folder) for name in _FOLDERS}
    metrics = {"textfile": config.metrics.textfile and _resolve(str(config.metrics.textfile), folder)}
    presets = {}
    for name, preset in config.presets.items():
        images = [_resolve(str(style.image), folder) for style in preset.styles]
        styles = tuple(
            style.model_copy(update={"image": image}) for style, image in zip(preset.styles, images, strict=True)
        )
        presets[name] = preset.model_copy(update={"styles": styles})
    return config.model_copy(
        update={
            "spool": config.spool.model_copy(update=spool),
            "metrics": config.metrics.model_copy(update=metrics),
            "presets": presets,
        }
    )


def unusable_paths(document: Document, folder: Path, limits: Limits, check_image: CheckImage) -> Iterator[Problem]:
    """Check the spool's folders and the style images.

    Args:
        document: the config file's values.
        folder: the config file's folder, absolute.
        limits: for style images.
        check_image: raises InputError or SpoolError if a file is no readable image; called once for each file.
    """
    folders = yield from _located(document, folder, _folder_texts(document))
    images = yield from _located(document, folder, _image_texts(document))
    textfile = yield from _located(document, folder, {_TEXTFILE: document.get(*_TEXTFILE)})
    yield from _no_folders(document, folders)
    yield from _clashes(document, folders)
    yield from _drops_by_mistake(document, folder, folders, images | textfile)
    yield from _unusable_images(document, images, lambda image: check_image(image, limits))


def _folder_texts(document: Document) -> dict[SettingPath, object]:
    given = document.entries("spool")
    defaults = SpoolSettings.model_fields
    return {("spool", name): given.get(name, str(defaults[name].default)) for name in _FOLDERS}


def _image_texts(document: Document) -> dict[SettingPath, object]:
    texts: dict[SettingPath, object] = {}
    for preset in document.entries("presets"):
        styles = document.get("presets", preset, "styles")
        for index, style in enumerate(styles if isinstance(styles, list) else []):
            path = ("presets", preset, "styles", index)
            if isinstance(style, dict):
                texts[*path, "image"] = style.get("image")
            else:
                texts[path] = style
    return texts


def _located(
    document: Document, folder: Path, texts: Mapping[SettingPath, object]
) -> Generator[Problem, None, Located]:
    located: Located = {}
    for path, text in texts.items():
        if isinstance(text, str):  # anything else is reported with the settings' types
            try:
                located[path] = _resolve(text, folder)
            except ValueError as error:
                yield document.problem(path, f"{error} (got {document.places[path].shown})")
    return located


def _resolve(text: str, folder: Path) -> Path:
    if not text or "\0" in text:
        raise ValueError("must be a path")
    try:
        return folder / Path(text).expanduser()
    except RuntimeError:
        raise ValueError("must begin with the name of a user who has a home folder, after '~'") from None


def _no_folders(document: Document, folders: Located) -> Iterator[Problem]:
    for path, folder in folders.items():
        with contextlib.suppress(OSError):  # what does not exist yet will be created
            if not stat.S_ISDIR(folder.stat().st_mode):
                yield document.problem(path, f"must be a folder (got the file {folder})")


def _clashes(document: Document, folders: Located) -> Iterator[Problem]:
    """Each folder belongs to one part of the program: in another's, its files would be taken, listed or removed."""
    real = {path: Path(os.path.realpath(folder)) for path, folder in folders.items()}
    for one, other in itertools.combinations(real, 2):
        if real[one] == real[other]:
            yield _clash(document, other, "must not be the same folder as", one, "must not be the same folder as")
        elif real[other] in real[one].parents:
            yield _clash(document, one, "must not lie inside", other, "must not contain")
        elif real[one] in real[other].parents:
            yield _clash(document, other, "must not lie inside", one, "must not contain")


def _clash(document: Document, path: SettingPath, relation: str, other: SettingPath, inverse: str) -> Problem:
    if path in document.places:
        return document.problem(path, f"{relation} {dotted(other)}")
    return document.problem(other, f"{inverse} {dotted(path)}")


def _drops_by_mistake(document: Document, folder: Path, folders: Located, others: Located) -> Iterator[Problem]:
    if _INBOX not in folders:
        return
    inbox = Path(os.path.realpath(folders[_INBOX]))
    if inbox in Path(os.path.realpath(folder / document.file.name)).parents:
        yield document.problem(_INBOX, "must not contain this config file: it would be taken for a photo")
    for path, other in others.items():
        if inbox in Path(os.path.realpath(other)).parents:
            yield document.problem(path, "must not lie inside spool.inbox: it would be taken for a photo")


def _unusable_images(document: Document, images: Located, check_image: Callable[[Path], object]) -> Iterator[Problem]:
    verdicts: dict[Path, str] = {}
    for path, image in images.items():
        if image not in verdicts:
            verdicts[image] = _verdict(image, check_image)
        if verdicts[image]:
            yield document.problem(path, verdicts[image])


def _verdict(image: Path, check_image: Callable[[Path], object]) -> str:
    try:
        is_file = stat.S_ISREG(image.stat().st_mode)
    except OSError as error:
        return f"cannot be read: {error.strerror} ({image})"
    if not is_file:
        return f"must be an image file (got {image})"
    try:
        check_image(image)
    except (InputError, SpoolError) as error:
        return f"must be a readable image ({error})"
    return ""
