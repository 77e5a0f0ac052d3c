import struct

import numpy as np
import pytest
from image_samples import D50, cmyk_profile_of_grey_cyan, icc_profile, xyz
from PIL import Image, ImageCms

from nstd.errors import InputError
from nstd.images.srgb import srgb_pixels

SIZE = (20, 16)
# sRGB's primaries adapted to D50, as in the standard's profile.
PRIMARIES = {"r": (0.4361, 0.2225, 0.0139), "g": (0.3851, 0.7169, 0.0971), "b": (0.1431, 0.0606, 0.7141)}


def gamma_curve(gamma: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"


def rgb_profile(gamma: float, order: str = "rgb") -> bytes:
    tags = {f"{name}TRC".encode(): gamma_curve(gamma) for name in "rgb"}
    for name, primary in zip("rgb", order, strict=True):
        tags[f"{name}XYZ".encode()] = xyz(PRIMARIES[primary])
    return icc_profile(b"mntr", b"RGB ", b"XYZ ", {b"wtpt": xyz(D50), **tags})


def grey_profile(gamma: float) -> bytes:
    return icc_profile(b"mntr", b"GRAY", b"XYZ ", {b"wtpt": xyz(D50), b"kTRC": gamma_curve(gamma)})


def pixel(image: Image.Image) -> list[float]:
    pixels = srgb_pixels(image, "x.jpg")
    assert pixels.shape == (image.height, image.width, 3)
    assert pixels.dtype == np.float32
    assert pixels.flags.c_contiguous
    return pixels[0, 0].tolist()


def plain(mode: str, colour: float | tuple[int, ...], **info: object) -> Image.Image:
    image = Image.new(mode, SIZE, colour)
    image.info.update(info)
    return image


def palette_image(**info: object) -> Image.Image:
    image = Image.new("P", SIZE, 1)
    image.putpalette([0, 0, 0, 200, 100, 50])
    image.info.update(info)
    return image


HALF = 255 - 55 * 128 / 255  # 200 at an opacity of 128 / 255, on white


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (plain("1", 0), [0, 0, 0]),
        (plain("1", 1), [255, 255, 255]),
        (plain("L", 77), [77, 77, 77]),
        (plain("L", 77, transparency=77), [255, 255, 255]),
        (plain("L", 77, transparency=78), [77, 77, 77]),
        (plain("LA", (200, 128)), [HALF, HALF, HALF]),
        (plain("RGB", (1, 2, 3)), [1, 2, 3]),
        (plain("RGB", (1, 2, 3), transparency=(1, 2, 3)), [255, 255, 255]),
        (plain("RGBA", (200, 100, 50, 255)), [200, 100, 50]),
        (plain("RGBA", (200, 100, 50, 0)), [255, 255, 255]),
        (plain("RGBA", (200, 255, 200, 128)), [HALF, 255, HALF]),
        (plain("RGBX", (1, 2, 3, 4)), [1, 2, 3]),
        (plain("La", (100, 128)), [227, 227, 227]),  # premultiplied: 100 + 127 of white
        (plain("RGBa", (100, 128, 0, 128)), [227, 255, 127]),
        (palette_image(), [200, 100, 50]),
        (palette_image(transparency=1), [255, 255, 255]),
        (palette_image(transparency=0), [200, 100, 50]),
        (palette_image(transparency=b"\xff\x00"), [255, 255, 255]),
        (palette_image(transparency=b"\x00\x80"), [HALF, 255 - 155 * 128 / 255, 255 - 205 * 128 / 255]),
        (plain("CMYK", (0, 0, 0, 0)), [255, 255, 255]),
        (plain("CMYK", (255, 0, 0, 0)), [0, 255, 255]),
        (plain("CMYK", (0, 0, 0, 255)), [0, 0, 0]),
        (plain("YCbCr", (120, 128, 128)), [120, 120, 120]),
        (plain("HSV", (0, 255, 255)), [255, 0, 0]),
    ],
)
def test_every_kind_of_pixel_becomes_srgb_on_white(image: Image.Image, expected: list[float]) -> None:
    assert pixel(image) == pytest.approx(expected, abs=1)


def test_half_opacity_on_white_is_not_rounded() -> None:
    assert pixel(plain("RGBA", (200, 200, 200, 128))) == pytest.approx([HALF] * 3, abs=1e-4)


@pytest.mark.parametrize(("lightness", "expected"), [(0, 0), (128, 119), (255, 255)])
def test_lab_grey_becomes_srgb_grey(lightness: int, expected: int) -> None:
    # CIE 1976: L* = 50 is 18.4 % of white, which sRGB encodes as 119.
    assert pixel(plain("LAB", (lightness, 128, 128))) == pytest.approx([expected] * 3, abs=2)


@pytest.mark.parametrize("kind", ["<u2", ">u2", "<i4"])
def test_16_bit_grey_is_scaled_not_clipped(kind: str) -> None:
    values = np.zeros((16, 16), kind)
    values[0, :7] = (0, 128, 129, 257, 257 * 100, 32768, 65535)

    pixels = srgb_pixels(Image.fromarray(values), "x.tif")

    assert pixels[0, :7, 0].tolist() == [0, 0, 1, 1, 100, 128, 255]
    assert np.array_equal(pixels[..., 0], pixels[..., 2])


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (plain("F", 0.5), "x.tif: has floating-point pixels; save it with 8 or 16 bits per channel"),
        (plain("I", -5), "x.tif: has grey values from -5 to -5; save it with 16 bits (0 to 65535)"),
        (plain("I", 65536), "x.tif: has grey values from 65536 to 65536; save it with 16 bits (0 to 65535)"),
    ],
)
def test_pixels_of_unknown_range_are_refused(image: Image.Image, message: str) -> None:
    with pytest.raises(InputError) as caught:
        srgb_pixels(image, "x.tif")

    assert str(caught.value) == message


# 128 / 255 of linear light is 188 in sRGB (IEC 61966-2-1).
LINEAR, SWAPPED = rgb_profile(1), rgb_profile(2.2, "grb")


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (plain("RGB", (128, 128, 128), icc_profile=LINEAR), [188, 188, 188]),
        (plain("RGB", (255, 0, 0), icc_profile=SWAPPED), [0, 255, 0]),
        (plain("RGBA", (128, 128, 128, 255), icc_profile=LINEAR), [188, 188, 188]),
        (plain("RGBA", (128, 128, 128, 0), icc_profile=LINEAR), [255, 255, 255]),
        (palette_image(icc_profile=rgb_profile(2.2, "bgr")), [46, 100, 201]),
        (plain("L", 128, icc_profile=grey_profile(1)), [188, 188, 188]),
        (plain("LA", (128, 255), icc_profile=grey_profile(1)), [188, 188, 188]),
        (plain("I;16", 128 * 257, icc_profile=grey_profile(1)), [188, 188, 188]),
        (plain("CMYK", (0, 0, 0, 0), icc_profile=cmyk_profile_of_grey_cyan()), [255, 255, 255]),
        (plain("CMYK", (255, 0, 0, 0), icc_profile=cmyk_profile_of_grey_cyan()), [119, 119, 119]),
    ],
)
def test_embedded_profile_is_applied(image: Image.Image, expected: list[float]) -> None:
    assert pixel(image) == pytest.approx(expected, abs=3)


def test_srgb_profile_changes_nothing_that_shows() -> None:
    image = Image.fromarray(np.random.default_rng(3).integers(0, 256, (64, 64, 3), np.uint8))
    untagged = srgb_pixels(image, "x.png")
    image.info["icc_profile"] = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()

    assert np.abs(srgb_pixels(image, "x.png") - untagged).max() <= 1


@pytest.mark.parametrize(
    ("mode", "colour", "profile", "expected"),
    [
        ("RGB", (1, 2, 3), b"junk", [1, 2, 3]),
        ("RGB", (1, 2, 3), LINEAR[:200], [1, 2, 3]),
        ("RGB", (1, 2, 3), icc_profile(b"mntr", b"RGB ", b"XYZ ", {}), [1, 2, 3]),
        ("RGB", (1, 2, 3), grey_profile(1), [1, 2, 3]),
        ("L", 9, LINEAR, [9, 9, 9]),
        ("CMYK", (255, 0, 0, 0), LINEAR, [0, 255, 255]),
    ],
)
def test_profile_that_is_broken_or_made_for_other_pixels_is_ignored(
    mode: str, colour: int | tuple[int, ...], profile: bytes, expected: list[float]
) -> None:
    assert pixel(plain(mode, colour, icc_profile=profile)) == expected
