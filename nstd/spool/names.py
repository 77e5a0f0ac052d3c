r"""File names: as text that JSON and terminals can carry, and as names that are free.

A file name is bytes. Records, logs and messages hold it as text: what is not UTF-8, and what would not survive a
terminal, is written `\xe9`, and a backslash `\\`, so that the exact name can be had back.
"""

import itertools
import os
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Final

NAME_MAX_BYTES: Final = 255
_EXTENSION_MAX_BYTES: Final = 16
_ESCAPED_CATEGORIES: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})
_ESCAPE: Final = re.compile(rb"\\(\\|x[0-9a-f]{2})")
_SAFE_EXTENSION: Final = re.compile(r"\.[a-z0-9]{1,8}")


def to_text(name: str | Path) -> str:
    """Write a file's name or path as text.

    Args:
        name: as Python has it from the file system: undecodable bytes are surrogates.

    Returns:
        Valid Unicode without control characters, which `to_name` turns back.
    """
    text = str(name)
    if text.isascii() and text.isprintable() and "\\" not in text:
        return text
    return "".join(map(_escape, text))


def to_name(text: str) -> str:
    """Give back the name that `to_text` wrote."""
    return os.fsdecode(_ESCAPE.sub(_unescape, text.encode()))


def join_name(stem: str, tail: str) -> str:
    """Join the two parts of a file name, shortening the stem where the whole would be too long.

    Args:
        stem: may lose characters at its end.
        tail: kept whole; at most 255 bytes.

    Returns:
        A name of at most 255 bytes.
    """
    room = NAME_MAX_BYTES - len(os.fsencode(tail))
    while stem and len(os.fsencode(stem)) > room:
        stem = stem[:-1]
    return stem + tail


def candidates(name: str) -> Iterator[str]:
    """Yield the name, then `cat_2.jpg`, `cat_3.jpg` and so on."""
    yield name
    stem, extension = Path(name).stem, Path(name).suffix
    if len(os.fsencode(extension)) > _EXTENSION_MAX_BYTES:
        stem, extension = name, ""
    for number in itertools.count(2):
        yield join_name(stem, f"_{number}{extension}")


def content_name(name: str) -> str:
    """Name a job's copy of its photo: `content`, with the photo's extension if that is harmless."""
    extension = Path(name).suffix.lower()
    return f"content{extension}" if _SAFE_EXTENSION.fullmatch(extension) else "content"


def _escape(character: str) -> str:
    if character == "\\":
        return "\\\\"
    if unicodedata.category(character) in _ESCAPED_CATEGORIES:
        return "".join(f"\\x{byte:02x}" for byte in os.fsencode(character))
    return character


def _unescape(match: re.Match[bytes]) -> bytes:
    code = match[1]
    return code if code == b"\\" else bytes.fromhex(code[1:].decode())
