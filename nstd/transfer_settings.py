"""How a picture is computed, as plain validated values: all that the engine is told, beside the images."""

import itertools
from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, ValidationInfo, field_validator

from nstd.manner import CONTENT_LAYERS, CONTENT_WEIGHTS, RECIPES, Comparison, ContentStatistics, Manner, Recipe
from nstd.network import Network, layer_names
from nstd.pyramid import Quality, levels_for, steps_for
from nstd.record import Auto, NonNegativeFloat, PositiveFloat, Record, auto_for_none, none_for


class Init(StrEnum):
    """What the generated image starts from."""

    CONTENT = "content"
    STYLE = "style"
    NOISE = "noise"


class Optimizer(StrEnum):
    """How the gradient moves the pixels."""

    LBFGS = "lbfgs"
    ADAM = "adam"


class StyleStatistics(StrEnum):
    """What is compared of the style's features."""

    GRAM = "gram"
    WASSERSTEIN = "wasserstein"


class Padding(StrEnum):
    """What the network sees beyond the picture's border."""

    MIRROR = "mirror"
    ZERO = "zero"


class Pooling(StrEnum):
    """What halves the features between the network's blocks."""

    MAX = "max"
    AVERAGE = "average"
    L2 = "l2"


def _ends_at_full_size(levels: tuple[float, ...]) -> tuple[float, ...]:
    if any(a >= b for a, b in itertools.pairwise(levels)) or levels[-1] != 1:
        msg = "must ascend and end with 1"
        raise ValueError(msg)
    return levels


Fraction = Annotated[float, Field(gt=0, le=1, strict=True)]
Steps = Annotated[int, Field(ge=1, le=100_000, strict=True)]
Levels = Annotated[tuple[Fraction, ...], Field(min_length=1, max_length=8), AfterValidator(_ends_at_full_size)]
StepsOfLevels = Annotated[tuple[Steps, ...], Field(min_length=1)]
Share = Annotated[float, Field(ge=0, le=1, strict=True)]
Raw = Literal["raw"]
LayerWeights = Annotated[
    dict[str, PositiveFloat],
    Field(min_length=1, json_schema_extra={"propertyNames": {"enum": [*layer_names(Network.VGG19)]}}),
]


# With equal weights block 4 makes up 95 % of the style loss, and the style's colours come hundreds of steps later.
_STYLE_LAYERS: Final = {"block1_conv1": 50, "block2_conv1": 5, "block3_conv1": 4, "block4_conv1": 1, "block5_conv1": 4}

# With block 1 there are coloured speckles.
_NEAREST_LAYERS: Final = (
    "block2_conv1",
    "block2_conv2",
    "block3_conv1",
    "block3_conv2",
    "block3_conv3",
    "block4_conv1",
    "block4_conv2",
)


def _one_or_many(value: object) -> object:
    return value if isinstance(value, list | tuple) else (value,)


def _raw_for_none(value: object) -> object:
    return "raw" if value is None else value


class TransferSettings(Record):
    """How a generated image is computed from content and style, whatever their files are.

    Attributes:
        manner: the recipe; decides what is left to it by `nearest_weight` and `content_statistics`. Paint: parts of the
            picture are like parts of the style. Texture: the style's textures are laid over the photo.
        strength: how much style, 0 to 1, measured by the photo's own losses. None: the terms' weights count as such.
        quality: how much work goes into it; decides what is left to it by `levels` and `iterations`.
        levels: sizes of the coarse-to-fine pyramid, as fractions of the result's size; ascending, last is 1. None: by
            the result's size.
        iterations: optimiser steps of each level, at most; one number serves all levels. None: by the quality.
        time_budget_seconds: time for the optimisation, at most; 0 for any.
        tolerance: a level ends when its last 20 steps, or all of its last round, have lowered the loss by less than
            this share.
        style_scale: size of the style images, relative to the generated image's.
        palette: how far the photo's colours are carried to those of the styles before it is painted, 0 to 1.
        content_weight: factor of the content loss.
        style_weight: factor of the style loss.
        tv_weight: factor of the total variation loss; smooths.
        chroma_weight: factor of the chroma loss: of coloured noise that the style does not have.
        nearest_weight: factor of the nearest-neighbour loss: each part of the picture is to be like some part of the
            style, and the other way round. None: by the manner.
        nearest_layers: weight of each layer in it.
        style_turns: how many quarter turns of the style images are offered to it; 0 for the images as they are.
        round_steps: optimiser steps until nearest neighbours are looked for anew.
        style_statistics: what is compared of the features of the style layers.
        style_layers: weight of each layer in the style loss.
        content_statistics: what is compared of the features of the content layers; or `auto`, by the manner.
        content_layers: weight of each layer in each of the content losses. None: as fits what is compared.
        pooling: what halves the features between the network's blocks.
        padding: what the network sees beyond the picture's border.
        init: what the generated image starts from.
        seed: of the noise, for `init: noise`, and of the parts that nearest neighbours are looked for.
        optimizer: how the gradient moves the pixels.
    """

    manner: Manner = Manner.PAINT
    strength: Annotated[
        Share | None,
        BeforeValidator(none_for("raw", "a number from 0 to 1"), json_schema_input_type=Raw | Share),
        PlainSerializer(_raw_for_none),
    ] = 0.5
    quality: Quality = Quality.STANDARD
    levels: Annotated[
        Levels | None,
        BeforeValidator(none_for("auto", "a list"), json_schema_input_type=Auto | Levels),
        PlainSerializer(auto_for_none),
    ] = Field("auto", validate_default=True)
    iterations: Annotated[
        Annotated[StepsOfLevels, BeforeValidator(_one_or_many)] | None,
        BeforeValidator(none_for("auto", "a number or a list"), json_schema_input_type=Auto | Steps | StepsOfLevels),
        PlainSerializer(auto_for_none),
    ] = Field("auto", validate_default=True)
    time_budget_seconds: NonNegativeFloat = 0
    tolerance: Annotated[float, Field(ge=0, lt=1, strict=True)] = 0.001
    style_scale: Annotated[float, Field(ge=0.1, le=4, strict=True)] = 1
    palette: Share = 0
    content_weight: NonNegativeFloat = 1
    style_weight: PositiveFloat = 1
    tv_weight: NonNegativeFloat = 0
    chroma_weight: NonNegativeFloat = 1
    nearest_weight: Annotated[
        NonNegativeFloat | None,
        BeforeValidator(none_for("auto", "a number"), json_schema_input_type=Auto | NonNegativeFloat),
        PlainSerializer(auto_for_none),
    ] = Field("auto", validate_default=True)
    style_statistics: StyleStatistics = StyleStatistics.GRAM
    style_layers: LayerWeights = Field(dict(_STYLE_LAYERS))
    nearest_layers: LayerWeights = Field(dict.fromkeys(_NEAREST_LAYERS, 1))
    style_turns: Literal[0, 4] = 4
    round_steps: Annotated[int, Field(ge=2, le=100_000, strict=True)] = 20
    content_statistics: ContentStatistics = ContentStatistics.AUTO
    content_layers: Annotated[
        LayerWeights | None,
        BeforeValidator(none_for("auto", "a mapping"), json_schema_input_type=Auto | LayerWeights),
        PlainSerializer(auto_for_none),
    ] = Field("auto", validate_default=True)
    pooling: Pooling = Pooling.MAX
    padding: Padding = Padding.MIRROR
    init: Init = Init.CONTENT
    seed: Annotated[int, Field(ge=0, lt=2**31, strict=True)] = 0
    optimizer: Optimizer = Optimizer.LBFGS

    @property
    def recipe(self) -> Recipe:
        """What the manner decides, and what is set by hand instead."""
        nearest_weight, statistics = RECIPES[self.manner]
        if self.nearest_weight is not None:
            nearest_weight = self.nearest_weight
        if self.content_statistics is not ContentStatistics.AUTO:
            statistics = self.content_statistics
        content = {
            term: Comparison(weight, self.content_layers or CONTENT_LAYERS[term])
            for term, weight in CONTENT_WEIGHTS[statistics].items()
        }
        return Recipe(nearest_weight, content)

    @property
    def terms(self) -> tuple[str, ...]:
        """Names of the terms of the loss that are asked for; each is a module of `nstd.engine.terms`."""
        nearest_weight, content = self.recipe
        optional = {"nearest": nearest_weight, "variation": self.tv_weight, "chroma": self.chroma_weight}
        return *content, self.style_statistics.value, *(name for name, weight in optional.items() if weight)

    @property
    def has_rounds(self) -> bool:
        """Whether the loss depends on a match, which is made anew every round."""
        return self.recipe.nearest_weight > 0

    @field_validator("iterations")
    @classmethod
    def _fits_levels(cls, iterations: tuple[int, ...] | None, info: ValidationInfo) -> tuple[int, ...] | None:
        if iterations is None or len(iterations) == 1 or "levels" not in info.data:  # it is wrong itself
            return iterations
        levels = info.data["levels"]
        if levels is None:
            raise ValueError("must be one number, as long as levels is auto")
        if len(iterations) != len(levels):
            msg = f"must be one number or one for each of the {len(levels)} levels"
            raise ValueError(msg)
        return iterations

    def schedule(self, long_side_px: int) -> tuple[tuple[float, int], ...]:
        """Return each level's fraction of the result's size, with its number of optimiser steps at most."""
        levels = self.levels or levels_for(long_side_px)
        steps = self.iterations or steps_for(self.quality, len(levels), with_rounds=self.has_rounds)
        return tuple(zip(levels, steps * len(levels) if len(steps) == 1 else steps, strict=True))
