"""YAML scalars to values, without YAML 1.1's surprises.

PyYAML would silently turn `22:30` into 1350 and `010` into 8, and leave `1e5` a text. Here the first two stay
the text that was written, so that they fit where a name is wanted and are refused where a number is wanted, and
`1e5` is a number.
"""

import re
from dataclasses import dataclass
from typing import Final

from yaml import ScalarNode
from yaml.constructor import SafeConstructor

from nstd.config.problems import shorten

_TAG: Final = "tag:yaml.org,2002:"
_TEXT_TAGS: Final = {f"{_TAG}{kind}" for kind in ("str", "timestamp", "merge", "value")}
_EXPONENT: Final = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+")
_OCTAL: Final = re.compile(r"[-+]?0[0-9_]+")


@dataclass(frozen=True)
class Scalar:
    """A scalar's value, and how messages quote it."""

    value: str | float | bool | None
    shown: str


def is_supported(node: ScalarNode) -> bool:
    """Tell whether the scalar's tag is one of those that stand for a plain value."""
    return node.tag in _TEXT_TAGS | {f"{_TAG}{kind}" for kind in ("null", "bool", "int", "float")}


def is_text(node: ScalarNode) -> bool:
    """Tell whether YAML reads the scalar as text."""
    return node.tag == f"{_TAG}str"


def read_scalar(node: ScalarNode) -> Scalar:
    """Return the scalar's value; texts, and numbers that are not what they seem, come back as written."""
    written = shorten(node.value)
    match node.tag.removeprefix(_TAG):
        case "null":
            return Scalar(None, written or "nothing")
        case "bool":
            return _read_bool(node)
        case "int" | "float":
            return _read_number(node)
    if not node.style and _EXPONENT.fullmatch(node.value):
        return Scalar(float(node.value), written)
    return Scalar(node.value, repr(written))


def _read_bool(node: ScalarNode) -> Scalar:
    value = SafeConstructor.bool_values.get(node.value.lower())
    if value is None:  # only an explicit tag leads here, as in `!!bool maybe`
        return Scalar(node.value, repr(shorten(node.value)))
    plain = str(value).lower()
    return Scalar(value, plain if node.value == plain else f"{node.value}, which YAML reads as {plain}")


def _read_number(node: ScalarNode) -> Scalar:
    written = shorten(node.value)
    try:
        number = _construct_number(node)
        reading = shorten(str(number))
    except (ValueError, LookupError, ArithmeticError):  # `!!int x`, or more digits than Python converts
        return Scalar(node.value, repr(written))
    if ":" in node.value or (isinstance(number, int) and _OCTAL.fullmatch(node.value)):
        return Scalar(node.value, f"{written}, which YAML reads as {reading}")
    return Scalar(number, written)


def _construct_number(node: ScalarNode) -> int | float:
    constructor = SafeConstructor()
    is_int = node.tag == f"{_TAG}int"
    return constructor.construct_yaml_int(node) if is_int else constructor.construct_yaml_float(node)
