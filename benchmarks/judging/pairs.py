"""The panel's pairs: photos and styles of the project's own, and well-known ones from a folder."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

from PIL import Image, ImageOps

from nstd.images.resize import fitted_size, same_pixels_size

ASSETS: Final = Path(__file__).parents[2] / "nstd" / "assets"


class Pair(NamedTuple):
    """A photo and a style image.

    Attributes:
        photo: name of the file, without its ending.
        style: the same.
        box: left, top, right and bottom of what is cut out of the photo, as shares of its sides.
        copies: how many times the photo is laid side by side, each the last one's mirror image.
    """

    photo: str
    style: str
    box: tuple[float, float, float, float] = (0, 0, 1, 1)
    copies: int = 1

    @property
    def name(self) -> str:
        """In file names and tables."""
        size = "-face" if self.box != (0, 0, 1, 1) else "-row" if self.copies > 1 else ""
        return f"{self.photo}{size}_{self.style}"


_FACE: Final = (0.24, 0.0, 0.64, 0.4)

PAIRS: Final = (
    Pair("astronaut", "swirls"),
    Pair("astronaut", "woodcut"),
    Pair("astronaut", "embers", box=_FACE),
    Pair("chelsea", "embers"),
    Pair("coffee", "swirls"),
    Pair("rocket", "glass"),
    Pair("chelsea", "dots"),
    Pair("astronaut", "woman-with-hat-matisse"),
    Pair("astronaut", "woman-with-hat-matisse", copies=3),
    Pair("tubingen", "starry_night_google"),
    Pair("golden_gate", "the_scream"),
    Pair("tubingen", "shipwreck"),
)


def found(images: Path | None) -> Iterable[tuple[Pair, Path, Path]]:
    """Yield each pair with the files of its photo and style image; those that are nowhere are left out.

    Args:
        images: folder with photos and styles that do not belong to the project.
    """
    for pair in PAIRS:
        photo, style = _file("photos", pair.photo, images), _file("styles", pair.style, images)
        if photo and style:
            yield pair, photo, style


def prepare(pair: Pair, photo: Path, style: Path, size_px: int, folder: Path) -> tuple[Path, Path]:
    """Write photo and style image as PNG, the photo as it is painted and the style at as many pixels, to be compared.

    Returns:
        The file of the photo, with a long side of `size_px`, and that of the style image.
    """
    cut = _composed(pair, _opened(photo))
    width, height = fitted_size(*cut.size, size_px)
    painting = _opened(style)
    files = folder / f"{pair.name}.photo.png", folder / f"{pair.name}.style.png"
    cut.resize((width, height), Image.Resampling.LANCZOS).save(files[0])
    painting.resize(same_pixels_size(*painting.size, width * height), Image.Resampling.LANCZOS).save(files[1])
    return files


def _composed(pair: Pair, photo: Image.Image) -> Image.Image:
    left, top, right, bottom = pair.box
    width, height = photo.size
    cut = photo.crop((round(left * width), round(top * height), round(right * width), round(bottom * height)))
    row = Image.new("RGB", (cut.width * pair.copies, cut.height))
    for number in range(pair.copies):
        row.paste(ImageOps.mirror(cut) if number % 2 else cut, (number * cut.width, 0))
    return row


def _opened(file: Path) -> Image.Image:
    with Image.open(file) as image:
        return ImageOps.exif_transpose(image).convert("RGB")


def _file(kind: str, name: str, images: Path | None) -> Path | None:
    files = (folder / f"{name}.jpg" for folder in (ASSETS / kind, images) if folder)
    return next((file for file in files if file.exists()), None)
