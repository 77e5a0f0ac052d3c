"""Find and load the config file; check settings that come from a program by the same rules."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from nstd.config.document import Document, document_of
from nstd.config.paths import CheckImage, unusable_paths, with_absolute_paths
from nstd.config.problems import Problem, dotted, report
from nstd.config.rules import broken_rules
from nstd.config.settings import Config, Limits
from nstd.config.syntax import MAX_BYTES
from nstd.config.tree import read_document
from nstd.config.wording import problems_of
from nstd.errors import ConfigError
from nstd.preset import Preset

PLACES: Final = (Path("config.yaml"), Path("/etc/nstd/config.yaml"))


def find_config(explicit: Path | None, places: Sequence[Path] = PLACES) -> Path:
    """Return the config file to use.

    Args:
        explicit: the file that the user named, if any; it need not exist.
        places: where to look otherwise, best first.

    Raises:
        ConfigError: no file was named, and none of the places has one.
    """
    if explicit is not None:
        return explicit
    for place in places:
        if _seems_to_exist(place):
            return place
    names = " nor ".join(map(str, places))
    msg = f"no config file: neither {names} exists; `nstd init` writes one"
    raise ConfigError(msg)


def _seems_to_exist(place: Path) -> bool:
    try:
        return place.exists()
    except PermissionError:  # loading it will say so
        return True


def load_config(path: Path, *, check_image: CheckImage) -> Config:
    """Load and check a config file.

    Args:
        path: the file, spelled as in messages.
        check_image: raises InputError or SpoolError if a file is no readable image within the limits; called once for
            each style image.

    Returns:
        The settings, with absolute paths.

    Raises:
        ConfigError: its text holds all that is wrong, one problem a line, each with file, line and column.
    """
    document = read_document(_read(path), path)
    folder = path.absolute().parent
    config, problems = _validate(document)
    problems += document.problems
    problems += broken_rules(document)
    problems += unusable_paths(document, folder, config.limits if config else Limits(), check_image)
    if config is None or problems:
        raise report(path, problems)
    return with_absolute_paths(config, folder)


def load_spool(path: Path) -> Config:
    """Load only what leads to the spool and names its presets, whatever is wrong with the other settings.

    For a look at a spool whose daemon goes on by its last good config, and would say so.

    Args:
        path: the file, spelled as in messages.

    Returns:
        The settings of the spool, with absolute paths; all others are defaults, and no style image is the right one.

    Raises:
        ConfigError: the file is no YAML, or just these settings are wrong.
    """
    document = read_document(_read(path), path)
    needed: dict[str, object] = {name: document.get(name) for name in ("spool", "default_presets")}
    needed["presets"] = {name: {"styles": [path.name]} for name in document.entries("presets")}
    document.value = needed
    config, problems = _validate(document)
    if config is None:
        raise report(path, problems)
    return with_absolute_paths(config, path.absolute().parent)


def make_preset(styles: Sequence[Path], settings: Mapping[str, object]) -> Preset:
    """Make a preset of a program's arguments, checked like one of the config file.

    Args:
        styles: the style images' files; whether they exist is not checked.
        settings: a preset's other settings, by name.

    Raises:
        ConfigError: its text holds all that is wrong, one problem a line.
    """
    path = ("presets", "arguments")
    document = document_of({"presets": {"arguments": {**settings, "styles": [*styles]}}})
    config, problems = _validate(document)
    problems += broken_rules(document)
    if config is None or problems:
        raise ConfigError("\n".join(f"{dotted(problem.path[len(path) :])}: {problem.message}" for problem in problems))
    return config.presets["arguments"]


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror}"
        raise ConfigError(msg) from error


def _validate(document: Document) -> tuple[Config | None, list[Problem]]:
    # A section whose settings are all commented out reads as null: it has its defaults.
    sections = {
        name: value for name, value in document.value.items() if value is not None or name not in Config.model_fields
    }
    try:
        return Config.model_validate(sections), []
    except ValidationError as error:
        return None, [*problems_of(error, document)]
