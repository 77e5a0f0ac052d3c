"""Turn whatever kinds of pixels a file holds into sRGB."""

import io
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from nstd.errors import InputError

_GREY_MODES: Final = ("1", "L", "LA", "La")
_16_BIT_MAX: Final = 65535
_WHITE: Final = np.float32(255)
_TIMES_AMPLE: Final = 2


def srgb_pixels(image: Image.Image, name: str, ample: tuple[int, int] | None = None) -> NDArray[np.float32]:
    """Convert a loaded image to sRGB on white.

    The embedded ICC profile is applied by relative colorimetry with black point compensation; one that
    is broken, or made for other kinds of pixels, is ignored. Integers of 16 bits are brought to 8 bits.

    Args:
        image: of any of Pillow's modes.
        name: the file's name, for messages.
        ample: width and height that are enough; what is at least twice as large is brought down to them in 8 bits.

    Returns:
        `[H, W, 3]`, contiguous, 0..255.

    Raises:
        InputError: the pixels are floating-point numbers, or integers outside 16 bits.
    """
    profile = image.info.get("icc_profile")
    colour, alpha = _split_alpha(_in_8_bits(image, name))
    rgb = (_through_profile(colour, profile) if profile else None) or _in_mode(colour, "RGB")
    if ample and all(side >= _TIMES_AMPLE * enough for side, enough in zip(rgb.size, ample, strict=True)):
        flat = rgb if alpha is None else Image.composite(rgb, Image.new("RGB", rgb.size, "white"), alpha)
        return np.asarray(flat.resize(ample, Image.Resampling.LANCZOS)).astype(np.float32)
    pixels = np.asarray(rgb).astype(np.float32)
    return pixels if alpha is None else _on_white(pixels, alpha)


def _in_8_bits(image: Image.Image, name: str) -> Image.Image:
    if image.mode == "F":
        msg = f"{name}: has floating-point pixels; save it with 8 or 16 bits per channel"
        raise InputError(msg)
    if not image.mode.startswith("I"):
        return image
    values = np.asarray(image)
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > _16_BIT_MAX:
        msg = f"{name}: has grey values from {low} to {high}; save it with 16 bits (0 to {_16_BIT_MAX})"
        raise InputError(msg)
    return Image.fromarray(np.rint(values / np.float32(257)).astype(np.uint8))


def _split_alpha(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Return the colours, in a mode that a profile may describe, and the alpha channel if there is one."""
    grey = image.mode in _GREY_MODES
    if not image.has_transparency_data:
        return _in_mode(image, "L" if grey else image.mode if image.mode == "CMYK" else "RGB"), None
    with_alpha = image.convert("LA" if grey else "RGBA")
    return with_alpha.convert("L" if grey else "RGB"), with_alpha.getchannel("A")


def _in_mode(image: Image.Image, mode: str) -> Image.Image:
    """Convert, unless there is nothing to convert: Pillow would make a copy."""
    return image if image.mode == mode else image.convert(mode)


def _through_profile(colour: Image.Image, icc_profile: bytes) -> Image.Image | None:
    try:
        return ImageCms.profileToProfile(
            colour,
            ImageCms.ImageCmsProfile(io.BytesIO(icc_profile)),
            ImageCms.createProfile("sRGB"),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (OSError, ImageCms.PyCMSError):
        return None


def _on_white(pixels: NDArray[np.float32], alpha: Image.Image) -> NDArray[np.float32]:
    """Blend in place: three more copies of a picture of 100 megapixels would take 3.6 GB."""
    opacity = np.asarray(alpha, np.float32)[..., np.newaxis] / _WHITE
    pixels -= _WHITE
    pixels *= opacity
    pixels += _WHITE
    return pixels
