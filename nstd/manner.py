"""Recipes: what pictures are to look like, in a word."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple


class Manner(StrEnum):
    """What a picture is to look like."""

    PAINT = "paint"
    TEXTURE = "texture"


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
        content_layers: weight of each layer in this comparison.
    """

    nearest_weight: float
    content_statistics: ContentStatistics
    content_layers: Mapping[str, float]


RECIPES: Final[Mapping[Manner, tuple[float, ContentStatistics]]] = {
    Manner.PAINT: (1, ContentStatistics.SELF_SIMILARITY),
    Manner.TEXTURE: (0, ContentStatistics.FEATURES),
}
"""Weight of the nearest-neighbour loss, and content statistics."""

CONTENT_LAYERS: Final[Mapping[ContentStatistics, Mapping[str, float]]] = {
    ContentStatistics.FEATURES: {"block4_conv2": 1},
    # block3_conv3 sees what is as small as the eyes in a face of 90 px.
    ContentStatistics.SELF_SIMILARITY: {"block3_conv3": 1, "block4_conv2": 1},
}
"""Where each is compared."""
