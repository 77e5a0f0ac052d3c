"""What a new user starts from: an example config with style images, and a demo."""

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final

from nstd.config.schema import config_schema
from nstd.errors import ConfigError

CONFIG_NAME: Final = "config.yaml"
DEMO_PHOTO: Final = "coffee.jpg"
_SCHEMA_NAME: Final = "config.schema.json"
_SPOOL_FOLDER: Final = re.compile(r"^(  (?:inbox|outbox|originals|failed|state): )(\w+)$", re.MULTILINE)


@contextmanager
def writing(place: Path) -> Iterator[None]:
    """Turn the machine's errors into ConfigError.

    Args:
        place: what is written, where the machine does not name it.

    Raises:
        ConfigError: the block raised an OSError.
    """
    try:
        yield
    except OSError as error:
        msg = f"{error.filename or place}: cannot be written: {error.strerror}"
        raise ConfigError(msg) from error


def create_project(folder: Path, example: str = "config.example.yaml", *, spool: Path | None = None) -> Path:
    """Write a config, its schema for editors, and the style images that it names.

    Args:
        folder: made if missing.
        example: which of the package's configs.
        spool: where the spool's folders are to lie; None: beside the config.

    Returns:
        The config file.

    Raises:
        ConfigError: there is a config already, or the folder cannot be written.
    """
    config = folder / CONFIG_NAME
    with writing(folder):
        if config.exists():
            msg = f"{config}: exists already; nothing was changed"
            raise ConfigError(msg)
        folder.mkdir(parents=True, exist_ok=True)
        with as_file(files("nstd") / "assets") as assets:
            _copy_missing(assets / "styles", folder / "styles")
            (folder / _SCHEMA_NAME).write_text(json.dumps(config_schema(), indent=2) + "\n")
            config.write_text(_with_spool((assets / example).read_text(), spool))
    return config


def create_demo(folder: Path) -> Path:
    """Write the demo's config, if there is none yet, and drop its photo into the inbox.

    Returns:
        The config file.

    Raises:
        ConfigError: the folder cannot be written.
    """
    config = folder / CONFIG_NAME
    with writing(folder):
        if not config.exists():
            create_project(folder, "demo.yaml")
        (folder / "inbox").mkdir(exist_ok=True)
        with as_file(files("nstd") / "assets" / "photos" / DEMO_PHOTO) as photo:
            shutil.copyfile(photo, folder / "inbox" / DEMO_PHOTO)
    return config


def _with_spool(text: str, spool: Path | None) -> str:
    return _SPOOL_FOLDER.sub(rf"\1{spool}/\2", text) if spool else text


def _copy_missing(source: Path, destination: Path) -> None:
    """Copy a folder's files, but none over one that is there."""
    destination.mkdir(exist_ok=True)
    for file in source.iterdir():
        if not (destination / file.name).exists():
            shutil.copyfile(file, destination / file.name)
