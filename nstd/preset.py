"""Presets: named recipes for a painting, as plain validated records."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field

from nstd.record import PositiveFloat, Record
from nstd.transfer_settings import TransferSettings


class OutputFormat(StrEnum):
    """File formats of the published picture."""

    PNG = "png"
    JPEG = "jpeg"


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
