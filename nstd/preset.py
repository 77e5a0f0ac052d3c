"""Presets: named recipes for a painting, as plain validated records."""

import itertools
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
)


class Network(StrEnum):
    """The networks whose features nstd can compare."""

    VGG19 = "vgg19"
    VGG16 = "vgg16"


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


class OutputFormat(StrEnum):
    """File formats of the published picture."""

    PNG = "png"
    JPEG = "jpeg"


_CONVOLUTIONS_PER_BLOCK: Final = {Network.VGG19: (2, 2, 4, 4, 4), Network.VGG16: (2, 2, 3, 3, 3)}


def layer_names(network: Network) -> tuple[str, ...]:
    """Return the names of the network's convolutions, shallow to deep, as Keras spells them."""
    return tuple(
        f"block{block}_conv{convolution}"
        for block, count in enumerate(_CONVOLUTIONS_PER_BLOCK[network], start=1)
        for convolution in range(1, count + 1)
    )


class Record(BaseModel):
    """Base of the records: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


# Strict: true is no 1, and "5" is no 5.
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)]
NonNegativeFloat = Annotated[float, Field(ge=0, allow_inf_nan=False, strict=True)]
Fraction = Annotated[float, Field(gt=0, le=1, strict=True)]
Steps = Annotated[int, Field(ge=1, le=100_000, strict=True)]
StepsOfLevels = Annotated[tuple[Steps, ...], Field(min_length=1)]
LayerWeights = Annotated[
    dict[str, PositiveFloat],
    Field(min_length=1, json_schema_extra={"propertyNames": {"enum": [*layer_names(Network.VGG19)]}}),
]


# With equal weights block 4 makes up 95 % of the style loss, and the style's colours come hundreds of steps later.
_STYLE_LAYERS: Final = {"block1_conv1": 50, "block2_conv1": 5, "block3_conv1": 4, "block4_conv1": 1, "block5_conv1": 4}


def _one_or_many(value: object) -> object:
    return value if isinstance(value, list | tuple) else (value,)


def _ends_at_full_size(levels: tuple[float, ...]) -> tuple[float, ...]:
    if any(a >= b for a, b in itertools.pairwise(levels)) or levels[-1] != 1:
        msg = "must ascend and end with 1"
        raise ValueError(msg)
    return levels


class TransferSettings(Record):
    """How a generated image is computed from content and style, whatever their files are.

    Attributes:
        levels: sizes of the coarse-to-fine pyramid, as fractions of the result's size; ascending, last is 1.
        content_layers: weight of each layer in the content loss.
        style_layers: weight of each layer in the style loss.
        style_statistics: what is compared of the features of the style layers.
        pooling: what halves the features between the network's blocks.
        content_weight: factor of the content loss.
        style_weight: factor of the style loss.
        tv_weight: factor of the total variation loss; smooths.
        padding: what the network sees beyond the picture's border.
        init: what the generated image starts from.
        seed: of the noise, for `init: noise`.
        optimizer: how the gradient moves the pixels.
        iterations: optimiser steps of each level; one number serves all levels.
    """

    levels: Annotated[
        tuple[Fraction, ...],
        Field(min_length=1, max_length=8),
        AfterValidator(_ends_at_full_size),
    ] = (0.5, 1)
    content_layers: LayerWeights = {"block4_conv2": 1}
    style_layers: LayerWeights = dict(_STYLE_LAYERS)
    style_statistics: StyleStatistics = StyleStatistics.GRAM
    pooling: Pooling = Pooling.MAX
    content_weight: NonNegativeFloat = 1
    style_weight: PositiveFloat = 1
    tv_weight: NonNegativeFloat = 0
    padding: Padding = Padding.MIRROR
    init: Init = Init.CONTENT
    seed: Annotated[int, Field(ge=0, lt=2**31, strict=True)] = 0
    optimizer: Optimizer = Optimizer.LBFGS
    iterations: Annotated[
        StepsOfLevels,
        BeforeValidator(_one_or_many, json_schema_input_type=Steps | StepsOfLevels),
    ] = (100,)

    @field_validator("iterations")
    @classmethod
    def _fits_levels(cls, iterations: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        levels = info.data.get("levels")  # absent if they are wrong themselves
        if levels is not None and len(iterations) not in {1, len(levels)}:
            msg = f"must be one number or one for each of the {len(levels)} levels"
            raise ValueError(msg)
        return iterations

    @property
    def schedule(self) -> tuple[tuple[float, int], ...]:
        """Each level's fraction of the result's size, with its number of optimiser steps."""
        steps = self.iterations if len(self.iterations) > 1 else self.iterations * len(self.levels)
        return tuple(zip(self.levels, steps, strict=True))


class StyleImage(Record):
    """A style image's file and its share in the style statistics.

    Attributes:
        image: path of the image file.
        weight: share in the style statistics, relative to the preset's other style images.
    """

    image: Path
    weight: PositiveFloat = 1


def _style_from_path(value: object) -> object:
    return {"image": value} if isinstance(value, str | Path) else value


class Preset(TransferSettings):
    """A named recipe: style images, the transfer's settings and the shape of the result.

    Attributes:
        styles: style images; their statistics are averaged by weight.
        size_px: long side of the result, in pixels.
        format: file format of the result.
        jpeg_quality: 1 to 100, for `format: jpeg`.
    """

    styles: Annotated[
        tuple[
            Annotated[StyleImage, BeforeValidator(_style_from_path, json_schema_input_type=str | StyleImage)],
            ...,
        ],
        Field(min_length=1),
    ]
    size_px: Annotated[int, Field(ge=32, le=16384, strict=True)] = 512
    format: OutputFormat = OutputFormat.PNG
    jpeg_quality: Annotated[int, Field(ge=1, le=100, strict=True)] = 92

    @property
    def extension(self) -> str:
        """The result's file name extension, without the dot."""
        return "jpg" if self.format is OutputFormat.JPEG else "png"
