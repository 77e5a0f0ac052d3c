"""Recipes: what pictures are to look like, in a word."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple


class Manner(StrEnum):
    """What a picture is to look like."""

    TEXTURE = "texture"
    PAINT = "paint"


class ContentStatistics(StrEnum):
    """What is compared of the photo's features."""

    AUTO = "auto"
    FEATURES = "features"
    SELF_SIMILARITY = "self_similarity"


class Recipe(NamedTuple):
    """What a manner decides, where the settings leave it to it.

    Attributes:
        nearest_weight: factor of the nearest-neighbour loss.
        content_statistics: what is compared of the photo's features.
    """

    nearest_weight: float
    content_statistics: ContentStatistics


RECIPES: Final[Mapping[Manner, Recipe]] = {
    Manner.TEXTURE: Recipe(0, ContentStatistics.FEATURES),
    Manner.PAINT: Recipe(1, ContentStatistics.SELF_SIMILARITY),
}
