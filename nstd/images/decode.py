"""Turn image files into pixels; a file is hostile until it is decoded."""

import io
import math
import os
import re
import stat
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import jpeg_factory
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TILELENGTH, TILEWIDTH, TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from nstd.config.settings import Limits
from nstd.errors import InputError, SpoolError
from nstd.images.resize import AMPLE, MIN_SIDE_PX, fitted_size, resize_image
from nstd.images.srgb import srgb_pixels

_READERS: Final[tuple[tuple[re.Pattern[bytes], Callable[[BinaryIO], ImageFile]], ...]] = (
    (re.compile(rb"\xff\xd8\xff"), jpeg_factory),
    (re.compile(rb"\x89PNG\r\n\x1a\n"), PngImageFile),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), WebPImageFile),
    (re.compile(rb"II\*\0|MM\0\*|II\+\0|MM\0\+"), TiffImageFile),
    (re.compile(rb"BM"), BmpImageFile),
    (re.compile(rb"GIF8[79]a"), GifImageFile),
)
_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS: Final = (5, 6, 7, 8)
_MIB: Final = 1024**2
_MEGAPIXEL: Final = 1_000_000
_PILLOWS_GLOBALS: Final = threading.Lock()
# Pillow's words that would not help whoever dropped the file, and ours.
_REASONS: Final = (
    ("unknown pixel mode", "has pixels of a kind that nstd cannot read; save it with 8 bits per channel"),
    ("not identified by this driver", "the file is cut off or damaged: its header gives no size or no kind of pixels"),
    ("Decompressed data too large", "has text or a colour profile that unpacks to over 1 MiB; save it without"),
    ("Too much memory used in text", "has text that unpacks to over 64 MiB in all; save it without"),
)


def decode_image(file: Path | bytes, limits: Limits, *, name: str = "") -> NDArray[np.float32]:
    """Read an image file as sRGB, upright, on white; the first frame of an animation.

    Args:
        file: a JPEG, PNG, WebP, TIFF, BMP or GIF file, whatever its name, or its bytes; links are followed.
        limits: checked before any pixel is decoded.
        name: the file's name in messages, if not the path's own.

    Returns:
        `[H, W, 3]`, contiguous, 0..255; both sides at least 16 px.

    Raises:
        InputError: the file is not an image, damaged, too large or too small.
        SpoolError: the machine cannot read the file: it is missing, not permitted, or the disk fails.
    """
    with _opened(file, limits, name) as (image, called):
        return _pixels(image, called)


def decode_fitted(
    file: Path | bytes, limits: Limits, long_side_px: int, *, name: str = ""
) -> tuple[NDArray[np.float32], tuple[int, int]]:
    """Read an image file as `decode_image` does, and scale it up or down.

    What is far too large becomes smaller before it becomes floating-point numbers: a JPEG is decoded at a half, a
    quarter or an eighth of its size, which the format allows, and all others are resampled in 8 bits. That takes a
    fifth of the time and a quarter of the memory, and makes less than a level of difference.

    Args:
        file: as for `decode_image`.
        limits: as for `decode_image`; they hold for the file, not for the result.
        long_side_px: of the result; >= 16.
        name: as for `decode_image`.

    Returns:
        The picture, and the width and height of the file's own, upright.

    Raises:
        InputError: as for `decode_image`.
        SpoolError: as for `decode_image`.
    """
    with _opened(file, limits, name) as (image, called):
        size = _upright_size(image)
        fitted = fitted_size(*size, long_side_px)
        pixels = _pixels(image, called, fitted)
    return resize_image(pixels, *fitted), size


def decode_scaled(file: Path | bytes, limits: Limits, size: tuple[int, int], *, name: str = "") -> NDArray[np.float32]:
    """Read an image file at a width and height, in pixels, in the ways of `decode_fitted`."""
    with _opened(file, limits, name) as (image, called):
        pixels = _pixels(image, called, size)
    return resize_image(pixels, *size)


def probe_image(file: Path | bytes, limits: Limits, *, name: str = "") -> tuple[int, int]:
    """Read an image file's size without decoding pixels; damage behind the header goes unnoticed.

    Args:
        file: as for `decode_image`.
        limits: as for `decode_image`.
        name: as for `decode_image`.

    Returns:
        Width and height in pixels, upright.

    Raises:
        InputError: the file is not an image, damaged in its header, too large or too small.
        SpoolError: as for `decode_image`.
    """
    with _opened(file, limits, name) as (image, _):
        return _upright_size(image)


@contextmanager
def _opened(file: Path | bytes, limits: Limits, name: str) -> Iterator[tuple[ImageFile, str]]:
    """Open an image within the limits, and name it; whatever then fails inside the block is the file's fault."""
    if isinstance(file, Path):
        name = name or file.name
        data = _read(file, limits, name)
    else:
        data = file
        _check_bytes(len(data), limits, name)
    reader = next((reader for pattern, reader in _READERS if pattern.match(data)), None)
    if reader is None:
        msg = f"{name}: is not an image that nstd can read (expected JPEG, PNG, WebP, TIFF, BMP or GIF)"
        raise InputError(msg)
    with _limits_for_pillow(limits), _blame_on(name, limits):
        image = reader(io.BytesIO(data))
        _check_pixels(image, limits, name)
        yield image, name


def _read(path: Path, limits: Limits, name: str) -> bytes:
    """Read the file at once, so that a failing disk and a damaged file cannot be mistaken for each other."""
    try:
        with _open_regular(path, name) as file:
            size = os.fstat(file.fileno()).st_size
            _check_bytes(size, limits, name)
            return file.read(size)
    except OSError as error:
        msg = f"{name}: cannot be read: {error.strerror}"
        raise SpoolError(msg) from error


def _open_regular(path: Path, name: str) -> BinaryIO:
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # never waits for the other end of a FIFO
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    msg = f"{name}: is not a regular file"
    raise InputError(msg)


def _check_bytes(size: int, limits: Limits, name: str) -> None:
    if size == 0:
        msg = f"{name}: is empty (0 bytes)"
        raise InputError(msg)
    if size > limits.max_file_mib * _MIB:
        msg = (
            f"{name}: {_rounded_up(size / _MIB)} MiB is over the limit of "
            f"{limits.max_file_mib:g} MiB (limits.max_file_mib)"
        )
        raise InputError(msg)


def _check_pixels(image: ImageFile, limits: Limits, name: str) -> None:
    for width, height in (image.size, _tile_size(image)):
        megapixels = width * height / _MEGAPIXEL
        if megapixels > limits.max_megapixels:
            msg = f"{name}: {width} x {height} = {_rounded_up(megapixels)} megapixels {_over(limits)}"
            raise InputError(msg)
    if min(image.size) < MIN_SIDE_PX:
        msg = f"{name}: {image.width} x {image.height} is too small (expected at least {MIN_SIDE_PX} px a side)"
        raise InputError(msg)


def _tile_size(image: ImageFile) -> tuple[int, int]:
    """Size of a TIFF's tiles, which may be far larger than the picture, and are decompressed whole."""
    if not isinstance(image, TiffImageFile):
        return 0, 0
    return image.tag_v2.get(TILEWIDTH, 0), image.tag_v2.get(TILELENGTH, 0)


def _over(limits: Limits) -> str:
    return f"is over the limit of {limits.max_megapixels:g} (limits.max_megapixels)"


def _rounded_up(value: float) -> str:
    """One decimal; up, so that what is over a limit never reads as equal to it."""
    return f"{math.ceil(value * 10) / 10:.1f}"


def _pixels(image: ImageFile, name: str, size: tuple[int, int] | None = None) -> NDArray[np.float32]:
    """Decode, upright; if a smaller size is wanted in the end, not much more than amply so."""
    orientation = _orientation(image)
    ample = (AMPLE * size[0], AMPLE * size[1]) if size else None
    if ample:
        image.draft(None, (ample[1], ample[0]) if orientation in _SIDEWAYS else ample)
    image.load()
    return srgb_pixels(image.transpose(_TURNS[orientation]) if orientation in _TURNS else image, name, ample)


def _upright_size(image: ImageFile) -> tuple[int, int]:
    width, height = image.size
    return (height, width) if _orientation(image) in _SIDEWAYS else (width, height)


def _orientation(image: ImageFile) -> object:
    """EXIF orientation, 1 to 8, of the pixels as Pillow decodes them: it turns TIFFs by itself."""
    if isinstance(image, TiffImageFile):
        return 1
    try:
        # A PNG's own getexif decodes the pixels, to look for EXIF behind them.
        return Image.Image.getexif(image).get(ExifTags.Base.Orientation)
    except Exception:  # noqa: BLE001 - Pillow raises nearly anything, and broken EXIF must not cost the photo
        return 1


@contextmanager
def _limits_for_pillow(limits: Limits) -> Iterator[None]:
    """Give Pillow our limit of pixels, and silence it; both belong to the process, hence the lock.

    Most readers leave the limit to `_check_pixels`; those of GIF and WebP allocate while they open.
    """
    with _PILLOWS_GLOBALS, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, int(limits.max_megapixels * _MEGAPIXEL)
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


@contextmanager
def _blame_on(name: str, limits: Limits) -> Iterator[None]:
    try:
        yield
    except (InputError, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        msg = f"{name}: more than {2 * limits.max_megapixels:g} megapixels {_over(limits)}"
        raise InputError(msg) from error
    except Exception as error:  # Pillow raises nearly anything on hostile bytes
        msg = f"{name}: {_damage(error)}"
        raise InputError(msg) from error


def _damage(error: Exception) -> str:
    reason = " ".join(str(error).split()) or type(error).__name__
    ours = next((ours for theirs, ours in _REASONS if reason.startswith(theirs)), None)
    return ours or f"the file is cut off or damaged: {reason}"
