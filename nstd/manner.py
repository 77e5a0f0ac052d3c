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
    BOTH = "both"


class Comparison(NamedTuple):
    """How a term of the loss compares the picture with the photo.

    Attributes:
        weight: factor of its loss.
        layers: weight of each layer in it.
    """

    weight: float
    layers: Mapping[str, float]


class Recipe(NamedTuple):
    """What a manner decides, where the settings leave it to it.

    Attributes:
        nearest_weight: factor of the nearest-neighbour loss.
        content: how the photo is compared, by the names of the terms that do so.
    """

    nearest_weight: float
    content: Mapping[str, Comparison]


RECIPES: Final[Mapping[Manner, tuple[float, ContentStatistics]]] = {
    Manner.PAINT: (1, ContentStatistics.BOTH),
    Manner.TEXTURE: (0, ContentStatistics.FEATURES),
}
"""Weight of the nearest-neighbour loss, and content statistics."""

CONTENT_WEIGHTS: Final[Mapping[ContentStatistics, Mapping[str, float]]] = {
    ContentStatistics.FEATURES: {"content": 1},
    ContentStatistics.SELF_SIMILARITY: {"self_similarity": 1},
    # Self-similarity leaves colours and shapes to the style; features keep a pupil in its eye, and a mouth in its face.
    ContentStatistics.BOTH: {"self_similarity": 0.4, "content": 0.7},
}
"""Names of the terms that compare them, with the weights of these."""

CONTENT_LAYERS: Final[Mapping[str, Mapping[str, float]]] = {
    "content": {"block4_conv2": 1},
    # block3_conv3 sees what is as small as the eyes in a face of 90 px.
    "self_similarity": {"block3_conv3": 1, "block4_conv2": 1},
}
"""Where each of these terms compares."""
