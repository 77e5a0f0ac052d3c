"""Pydantic's errors in plain words, at their places in the config file."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Final, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from nstd.config.document import Document
from nstd.config.problems import Problem, SettingPath, nearest, nearest_or_all
from nstd.config.settings import (
    Config,
    EngineSettings,
    Limits,
    MetricsSettings,
    RaySettings,
    SpoolSettings,
    WorkerSettings,
)
from nstd.preset import Preset, StyleImage

_WORDS: Final = {
    "greater_than": "must be > {gt}",
    "greater_than_equal": "must be >= {ge}",
    "less_than": "must be < {lt}",
    "less_than_equal": "must be <= {le}",
    "finite_number": "must be a finite number",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "string_type": "must be text",
    "path_type": "must be a path",
    "model_type": "must be a mapping of settings",
    "tuple_type": "must be a list",
    "dict_type": "must be a mapping",
    "literal_error": "must be {expected}",
    "too_short": "must not be empty",
    "too_long": "must have at most {max_length} entries",
    "value_error": "{error}",
}
_SECTIONS: Final[dict[str, type[BaseModel]]] = {
    "spool": SpoolSettings,
    "worker": WorkerSettings,
    "engine": EngineSettings,
    "ray": RaySettings,
    "metrics": MetricsSettings,
    "limits": Limits,
    "presets.NAME": Preset,
}
_LEGIBLE: Final = 1e15


def problems_of(error: ValidationError, document: Document) -> Iterator[Problem]:
    """Translate what pydantic found wrong with a document's values."""
    for details in error.errors(include_url=False, include_input=False):
        path = details["loc"]
        match details["type"]:
            case "missing":
                yield document.problem(path, "is required")
            case "extra_forbidden":
                yield document.problem(path, _unknown_setting(path), at_key=True)
            case "too_short" if document.get(*path):
                continue  # it has entries, each of them wrong and reported by itself
            case _ if path[-1] == "[key]":
                yield document.problem(path[:-1], _words(details), at_key=True)
            case _:
                yield _wrong_value(details, document)


def _unknown_setting(path: SettingPath) -> str:
    name = str(path[-1])
    for section, kind in _SECTIONS.items():
        if name in kind.model_fields:
            return f"is not a known setting here; did you mean '{section}.{name}'?"
    return f"is not a known setting{nearest_or_all(name, _kind_at(path[:-1]).model_fields)}"


def _wrong_value(details: ErrorDetails, document: Document) -> Problem:
    path = document.known(details["loc"])  # pydantic takes `iterations: x` for a list of x
    value, shown = document.get(*path), document.places[path].shown
    if details["type"] == "enum":
        return document.problem(path, _not_one_of([*_kind_at(path)], value, shown))
    return document.problem(path, f"{_words(details)} (got {shown}){_remedy(details['type'], value)}")


def _not_one_of(choices: Sequence[str], value: object, shown: str) -> str:
    hint = nearest(value, choices) if isinstance(value, str) else ""
    return f"must be one of: {', '.join(choices)} (got {shown}){hint}"


def _words(details: ErrorDetails) -> str:
    context = {name: _plain(value) for name, value in details.get("ctx", {}).items()}
    if context.get("class_name") == StyleImage.__name__:
        return "must be an image's path, or a mapping with 'image' and 'weight'"
    return _WORDS.get(details["type"], "is not valid").format_map(context)


def _plain(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _remedy(kind: str, value: object) -> str:
    if kind == "int_type" and isinstance(value, float) and value.is_integer() and abs(value) < _LEGIBLE:
        return f"; write {int(value)}"
    if kind in {"string_type", "path_type"} and isinstance(value, bool | int | float):
        return "; put quotes around it"
    return ""


def _kind_at(path: SettingPath) -> Any:  # noqa: ANN401  the type of a setting, whatever it is
    kind: Any = Config
    for part in path:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            kind = kind.model_fields[str(part)].annotation
        else:
            kind = get_args(kind)[-1 if get_origin(kind) is dict else 0]
        if get_origin(kind) is Annotated:
            kind = get_args(kind)[0]
    return kind
