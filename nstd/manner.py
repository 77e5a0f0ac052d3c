"""Recipes: what pictures are to look like, in a word."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Manner(StrEnum):
    """What a picture is to look like."""

    TEXTURE = "texture"
    PAINT = "paint"


RECIPES: Final[Mapping[str, Mapping[str, object]]] = {
    Manner.TEXTURE: {},
    Manner.PAINT: {"nearest_weight": 1.0, "content_statistics": "self_similarity"},
}
"""Defaults of `TransferSettings` that are others with a manner."""
