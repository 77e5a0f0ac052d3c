"""The pictures that both programs are given: of the size at which they work, so that neither resizes them.

The programs resize by different filters, and a style image's Gram matrices depend on the filter more than on hundreds
of steps: neither could reach the other's target.
"""

from pathlib import Path

from PIL import Image, ImageOps

from nstd.images.resize import fitted_size, same_pixels_size


def prepare(content: Path, style: Path, size_px: int, folder: Path) -> tuple[Path, Path]:
    """Write both as PNG: the photo with a long side of `size_px`, the style image with as many pixels.

    The sizes are those that nstd (with `padding: zero`) and pastiche give to pictures, and both leave them as they are.

    Returns:
        The files of photo and style image.
    """
    photo = _upright(content)
    width, height = fitted_size(*photo.size, size_px)
    painting = _upright(style)
    files = folder / "content.png", folder / "style.png"
    _write(photo, (width, height), files[0])
    _write(painting, same_pixels_size(*painting.size, width * height), files[1])
    return files


def _upright(file: Path) -> Image.Image:
    with Image.open(file) as image:
        return ImageOps.exif_transpose(image).convert("RGB")


def _write(image: Image.Image, size: tuple[int, int], file: Path) -> None:
    # Without its colour profile, of which pastiche takes no notice.
    image.resize(size, Image.Resampling.LANCZOS).save(file, icc_profile=None)
