import os
import struct
import subprocess
import sys
import tracemalloc
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from image_samples import (
    chunk,
    gif_of_one_huge_frame,
    packed_text,
    png,
    png_of_16_bits,
    png_of_black,
    saved,
    tiff_of_16_bits,
    tiff_of_one_huge_tile,
    webp_claiming,
    webp_of_black,
)
from PIL import ExifTags, Image, ImageCms
from PIL.PngImagePlugin import PngInfo

import nstd
from nstd.config.settings import Limits
from nstd.errors import InputError, SpoolError
from nstd.images.decode import decode_fitted, decode_image, decode_scaled, probe_image
from nstd.images.resize import fitted_size, resize_image

LIMITS = Limits()
PHOTOS = sorted((Path(nstd.__file__).parent / "assets" / "photos").glob("*.jpg"))


def painted_square() -> Image.Image:
    """A smooth picture without any symmetry, 40 x 24."""
    row, column = np.mgrid[0:24, 0:40]
    return Image.fromarray(np.stack([row * 10, column * 6, (row + 2 * column) * 2], axis=-1).astype(np.uint8))


PICTURE = painted_square()
PIXELS = np.asarray(PICTURE, np.float32)


def oriented(value: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = value
    return exif


def few_colours() -> Image.Image:
    return PICTURE.quantize(64)


@pytest.fixture
def write(tmp_path: Path) -> Callable[[bytes], Path]:
    def write_file(data: bytes) -> Path:
        path = tmp_path / "x.jpg"
        path.write_bytes(data)
        return path

    return write_file


Write = Callable[[bytes], Path]


@pytest.mark.parametrize(
    "data",
    [
        saved(PICTURE, "PNG"),
        saved(PICTURE, "PNG", save_all=True, append_images=[PICTURE.rotate(180)]),
        saved(PICTURE, "WEBP", lossless=True),
        saved(PICTURE, "WEBP", lossless=True, save_all=True, append_images=[PICTURE.rotate(180)]),
        saved(PICTURE, "TIFF"),
        saved(PICTURE, "TIFF", compression="tiff_lzw"),
        saved(PICTURE, "TIFF", compression="tiff_adobe_deflate"),
        saved(PICTURE, "TIFF", save_all=True, append_images=[PICTURE.rotate(180)]),
        saved(PICTURE, "TIFF", big_tiff=True),
        tiff_of_16_bits(PICTURE),
        png_of_16_bits(PICTURE),
        saved(PICTURE, "BMP"),
    ],
)
def test_lossless_files_give_their_exact_first_picture_whatever_their_name(write: Write, data: bytes) -> None:
    path = write(data)

    decoded = decode_image(path, LIMITS)

    assert np.array_equal(decoded, PIXELS)
    assert decoded.dtype == np.float32
    assert decoded.flags.c_contiguous
    assert probe_image(path, LIMITS) == (40, 24)


@pytest.mark.parametrize(
    "data",
    [
        saved(PICTURE, "JPEG", quality=95),
        saved(PICTURE, "JPEG", quality=95, progressive=True),
        saved(PICTURE, "MPO", quality=95, save_all=True, append_images=[PICTURE.rotate(180)]),
        saved(PICTURE, "WEBP", quality=95),
        saved(PICTURE, "TIFF", compression="jpeg", quality=95),
    ],
)
def test_lossy_files_give_nearly_their_picture(write: Write, data: bytes) -> None:
    assert np.abs(decode_image(write(data), LIMITS) - PIXELS).mean() < 4


@pytest.mark.parametrize(
    "data",
    [
        saved(few_colours(), "GIF"),
        saved(few_colours(), "GIF", save_all=True, append_images=[few_colours().rotate(180)]),
        saved(few_colours(), "PNG"),
        saved(few_colours(), "BMP"),
        saved(few_colours(), "TIFF"),
    ],
)
def test_palettes_are_looked_up(write: Write, data: bytes) -> None:
    expected = np.asarray(few_colours().convert("RGB"), np.float32)

    assert np.array_equal(decode_image(write(data), LIMITS), expected)


def test_transparent_pixels_of_files_become_white(write: Write) -> None:
    image = few_colours()
    corner = image.getpixel((0, 0))
    rgba = PICTURE.convert("RGBA")
    rgba.putpixel((0, 0), (9, 9, 9, 0))

    for data in (
        saved(image, "GIF", transparency=corner),
        saved(image, "PNG", transparency=corner),
        saved(rgba, "PNG"),
        saved(rgba, "WEBP", lossless=True, exact=True),
        saved(rgba, "TIFF"),
    ):
        decoded = decode_image(write(data), LIMITS)
        assert decoded[0, 0].tolist() == [255, 255, 255]
        assert decoded[12, 20, 0] < 200


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("number", ["<u2", ">u2"])
def test_16_bit_grey_files_are_scaled(write: Write, kind: str, number: str) -> None:
    values = np.arange(16 * 16).reshape(16, 16) * 257

    decoded = decode_image(write(saved(Image.fromarray(values.astype(number)), kind)), LIMITS)

    assert np.array_equal(decoded[..., 1], values / 257)


def test_cmyk_and_lab_files_keep_their_colours(write: Write) -> None:
    cyan = Image.new("CMYK", (32, 32), (255, 0, 0, 0))
    grey = Image.new("LAB", (32, 32), (128, 128, 128))

    assert decode_image(write(saved(cyan, "TIFF")), LIMITS)[0, 0].tolist() == [0, 255, 255]
    assert decode_image(write(saved(cyan, "JPEG")), LIMITS)[0, 0] == pytest.approx([0, 255, 255], abs=3)
    assert decode_image(write(saved(grey, "TIFF")), LIMITS)[0, 0] == pytest.approx([119] * 3, abs=2)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_embedded_profile_is_used(write: Write, kind: str) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = srgb.replace(b"rXYZ", b"tXYZ").replace(b"gXYZ", b"rXYZ").replace(b"tXYZ", b"gXYZ")
    red = Image.new("RGB", (32, 32), (255, 0, 0))

    decoded = decode_image(write(saved(red, kind, icc_profile=swapped)), LIMITS)

    assert decoded[0, 0] == pytest.approx([0, 255, 0], abs=4)


# EXIF 2.32, tag 0x0112: where row 0 and column 0 of the stored picture lie in the upright one.
STORED = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.swapaxes(0, 1),
    6: lambda upright: upright.swapaxes(0, 1)[::-1],
    7: lambda upright: upright.swapaxes(0, 1)[::-1, ::-1],
    8: lambda upright: upright.swapaxes(0, 1)[:, ::-1],
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize(
    ("kind", "options"),
    [("JPEG", {"quality": 100, "subsampling": 0}), ("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {})],
)
def test_exif_orientation_is_applied(write: Write, kind: str, options: dict[str, object], orientation: int) -> None:
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](np.asarray(PICTURE))))
    path = write(saved(stored, kind, exif=oriented(orientation), **options))

    decoded = decode_image(path, LIMITS)

    assert decoded.shape == PIXELS.shape
    assert np.abs(decoded - PIXELS).max() < 8
    assert decoded.flags.c_contiguous
    assert probe_image(path, LIMITS) == (40, 24)


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("long_side_px", [100, 500])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_picture_is_fitted_while_it_is_decoded(write: Write, kind: str, long_side_px: int, orientation: int) -> None:
    photo = Image.open(PHOTOS[0]).resize((900, 700))
    path = write(saved(photo, kind, exif=oriented(orientation)))
    whole = decode_image(path, LIMITS)
    height, width, _ = whole.shape

    fitted, size = decode_fitted(path, LIMITS, long_side_px)

    expected = resize_image(whole, *fitted_size(width, height, long_side_px))
    assert size == (width, height) == probe_image(path, LIMITS)
    assert fitted.shape == expected.shape
    # A PNG is averaged in 8 bits where it is at least twice as large as is ample.
    made_smaller = kind == "JPEG" or long_side_px == 100
    assert np.sqrt(np.mean(np.square(fitted - expected))) < (0.5 if made_smaller else 1e-6)


@pytest.mark.parametrize(("kind", "mode"), [("JPEG", "RGB"), ("PNG", "RGB"), ("PNG", "RGBA"), ("PNG", "L")])
def test_of_a_far_too_large_picture_few_pixels_become_numbers(write: Write, kind: str, mode: str) -> None:
    path = write(saved(Image.new(mode, (4000, 3000)), kind))
    tracemalloc.start()

    decode_fitted(path, LIMITS, 160)

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4000 * 3000  # and not 12 bytes for each of its pixels


@pytest.mark.parametrize("size", [(40, 30), (30, 40), (450, 350)])
def test_a_picture_is_decoded_at_a_size_that_is_asked_for(write: Write, size: tuple[int, int]) -> None:
    path = write(saved(Image.open(PHOTOS[0]).resize((900, 700)), "PNG"))
    scaled = decode_scaled(path, LIMITS, size)
    expected = resize_image(decode_image(path, LIMITS), *size)
    assert scaled.shape == expected.shape == (size[1], size[0], 3)
    assert np.sqrt(np.mean(np.square(scaled - expected))) < 1


def test_what_is_transparent_has_no_colour_when_it_is_averaged(write: Write) -> None:
    """Red that cannot be seen, and a blue that can: on white there is no red."""
    image = Image.new("RGBA", (400, 400), (255, 0, 0, 0))
    image.paste((0, 0, 255, 255), (0, 0, 200, 400))
    scaled = decode_scaled(write(saved(image, "PNG")), LIMITS, (16, 16))
    assert scaled[:, :6, 2].min() > 250
    assert scaled[:, :6, 0].max() < 5
    assert scaled[:, 10:].min() > 250


def test_limits_are_those_of_the_file_and_not_of_the_fitted_picture(write: Write) -> None:
    path = write(saved(Image.new("RGB", (2000, 1000)), "JPEG"))

    with pytest.raises(InputError, match=r"2000 x 1000 = 2\.0 megapixels is over the limit of 1 "):
        decode_fitted(path, Limits(max_megapixels=1), 64)


def test_damage_is_found_in_a_picture_that_is_decoded_smaller(write: Write) -> None:
    data = saved(Image.open(PHOTOS[0]).resize((1600, 1200)), "JPEG")

    with pytest.raises(InputError, match="cut off or damaged"):
        decode_fitted(write(data[: len(data) // 2]), LIMITS, 64)


@pytest.mark.parametrize("exif", [b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff", oriented(9).tobytes()])
def test_broken_exif_does_not_cost_the_photo(write: Write, exif: bytes) -> None:
    assert np.array_equal(decode_image(write(saved(PICTURE, "PNG", exif=exif)), LIMITS), PIXELS)


def test_probe_and_decode_agree_on_exif_behind_the_pixels_of_a_png(write: Write) -> None:
    end = chunk(b"IEND", b"")
    exif = chunk(b"eXIf", oriented(6).tobytes().removeprefix(b"Exif\0\0"))
    path = write(PNG_FILE.removesuffix(end) + exif + end)

    assert probe_image(path, LIMITS) == (40, 24)
    assert decode_image(path, LIMITS).shape == (24, 40, 3)


@pytest.mark.parametrize("photo", PHOTOS, ids=lambda photo: photo.stem)
def test_real_photos_are_read(photo: Path) -> None:
    decoded = decode_image(photo, LIMITS)

    assert (decoded.shape[1], decoded.shape[0]) == probe_image(photo, LIMITS)
    assert decoded.std() > 20


def test_links_are_followed_to_style_images(write: Write, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(write(saved(PICTURE, "PNG")))

    assert np.array_equal(decode_image(tmp_path / "link", LIMITS), PIXELS)


# What follows is Pillow's reason, in words that differ from version to version.
DAMAGED = "the file is cut off or damaged: "
NOT_AN_IMAGE = "is not an image that nstd can read (expected JPEG, PNG, WebP, TIFF, BMP or GIF)"
PNG_FILE, JPEG_FILE, TIFF_FILE = saved(PICTURE, "PNG"), saved(PICTURE, "JPEG"), saved(PICTURE, "TIFF")

HEADER_ERRORS = [
    (b"", "is empty (0 bytes)"),
    (b"Dear diary, today I painted.\n", NOT_AN_IMAGE),
    (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n", NOT_AN_IMAGE),
    (b"8BPS\0\1" + bytes(100), NOT_AN_IMAGE),
    (b"RIFF\0\0\0\0WAVEfmt ", NOT_AN_IMAGE),
    (b"P6 100 100 255\n" + bytes(30_000), NOT_AN_IMAGE),
    (b"\x00\x00\x00\x18ftypheic" + bytes(100), NOT_AN_IMAGE),
    (PNG_FILE[:20], DAMAGED),
    (JPEG_FILE[:100], DAMAGED),
    (b"\xff\xd8\xff", DAMAGED),
    (
        TIFF_FILE.replace(struct.pack("<HHI", 262, 3, 1) + b"\2", struct.pack("<HHI", 262, 3, 1) + b"\7"),
        "has pixels of a kind that nstd cannot read; save it with 8 bits per channel",
    ),
    (
        png(20_000, 20_000),
        "20000 x 20000 = 400.0 megapixels is over the limit of 100 (limits.max_megapixels)",
    ),
    (
        png(50_000, 50_000),
        "50000 x 50000 = 2500.0 megapixels is over the limit of 100 (limits.max_megapixels)",
    ),
    (
        png(10_001, 10_000),
        "10001 x 10000 = 100.1 megapixels is over the limit of 100 (limits.max_megapixels)",
    ),
    (
        gif_of_one_huge_frame(),
        "more than 200 megapixels is over the limit of 100 (limits.max_megapixels)",
    ),
    (
        tiff_of_one_huge_tile(),
        "20000 x 20000 = 400.0 megapixels is over the limit of 100 (limits.max_megapixels)",
    ),
    (png(0, 300), DAMAGED + "its header gives no size or no kind of pixels"),
    (JPEG_FILE.replace(struct.pack(">HH", 24, 40), struct.pack(">HH", 0, 40)), DAMAGED + "its header gives no size"),
    (
        png(20, 20, extra=packed_text(64 * 1024**2)),
        "has text or a colour profile that unpacks to over 1 MiB; save it without",
    ),
    (png(20, 20, extra=packed_text(1024**2) * 65), "has text that unpacks to over 64 MiB in all; save it without"),
    (png(15, 300), "15 x 300 is too small (expected at least 16 px a side)"),
    (png(5000, 1), "5000 x 1 is too small (expected at least 16 px a side)"),
]
PIXEL_ERRORS = [
    (PNG_FILE[:-40], "the file is cut off or damaged: image file is truncated"),
    (PHOTOS[0].read_bytes()[:-20_000], "the file is cut off or damaged: image file is truncated"),
    (
        saved(Image.new("F", (20, 20)), "TIFF"),
        "has floating-point pixels; save it with 8 or 16 bits per channel",
    ),
    (
        saved(Image.new("I", (20, 20), -7), "TIFF"),
        "has grey values from -7 to -7; save it with 16 bits (0 to 65535)",
    ),
]


@pytest.mark.parametrize(("data", "message"), HEADER_ERRORS + PIXEL_ERRORS)
def test_what_cannot_be_painted_is_refused_with_a_reason(write: Write, data: bytes, message: str) -> None:
    with pytest.raises(InputError) as caught:
        decode_image(write(data), LIMITS)

    assert str(caught.value).startswith(f"x.jpg: {message}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("data", "message"), HEADER_ERRORS)
def test_probe_gives_the_same_reasons(write: Write, data: bytes, message: str) -> None:
    with pytest.raises(InputError) as caught:
        probe_image(write(data), LIMITS)

    assert str(caught.value).startswith(f"x.jpg: {message}")


@pytest.mark.parametrize("data", [data for data, _ in PIXEL_ERRORS])
def test_probe_decodes_no_pixels(write: Write, data: bytes) -> None:
    assert min(probe_image(write(data), LIMITS)) >= 16


def test_another_name_may_stand_in_the_message(write: Write) -> None:
    path = write(b"text")

    for read in (decode_image, probe_image):
        with pytest.raises(InputError, match=r"^cat\.png: is not an image"):
            read(path, LIMITS, name="cat.png")


def test_large_file_is_refused_before_it_is_read(write: Write) -> None:
    path = write(b"")
    os.truncate(path, int(70.2 * 1024**2))  # sparse: it takes no space

    with pytest.raises(InputError) as caught:
        decode_image(path, LIMITS)

    assert str(caught.value) == "x.jpg: 70.2 MiB is over the limit of 64 MiB (limits.max_file_mib)"


def test_limits_include_their_own_value(write: Write) -> None:
    path = write(PNG_FILE)
    mib = len(PNG_FILE) / 1024**2

    assert probe_image(path, Limits(max_file_mib=mib, max_megapixels=40 * 24 / 1e6)) == (40, 24)
    with pytest.raises(InputError, match="max_file_mib"):
        probe_image(path, Limits(max_file_mib=mib * 0.999))
    with pytest.raises(InputError, match="max_megapixels"):
        probe_image(path, Limits(max_megapixels=40 * 24 / 1e6 * 0.999))


def test_the_config_may_allow_more_than_pillow_would(write: Write) -> None:
    assert probe_image(write(png(20_000, 20_000)), Limits(max_megapixels=400)) == (20_000, 20_000)


def test_samples_of_one_colour_are_sound(write: Write) -> None:
    for data in (webp_of_black(40, 24), png_of_black(32)):
        assert decode_image(write(data), LIMITS).max() == 0


def test_webp_canvas_over_the_limit_is_refused(write: Write) -> None:
    with pytest.raises(InputError):
        decode_image(write(webp_claiming(60_000, 60_000)), LIMITS)


def test_long_comment_is_no_harm(write: Write) -> None:
    info = PngInfo()
    info.add_text("Comment", "x" * 100_000, zip=True)

    assert np.array_equal(decode_image(write(saved(PICTURE, "PNG", pnginfo=info)), LIMITS), PIXELS)


MEASURE = """
import resource, sys
from pathlib import Path
from nstd.config.settings import Limits
from nstd.errors import InputError
from nstd.images.decode import decode_image

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in map(Path, sys.argv[1:]):
    try:
        decode_image(path, Limits())
    except InputError:
        continue
    sys.exit(f"{path.name} was decoded")
sys.stdout.write(str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before))
"""


def test_bombs_are_refused_without_unpacking_them(tmp_path: Path) -> None:
    bombs = {
        "png": png_of_black(16_000),
        "gif": gif_of_one_huge_frame(),
        "tiff": tiff_of_one_huge_tile(),
        "webp": webp_claiming(60_000, 60_000),
        "whole.webp": webp_of_black(16_383, 16_383),
    }
    for name, data in bombs.items():
        (tmp_path / name).write_bytes(data)

    child = [sys.executable, "-c", MEASURE, *(str(tmp_path / name) for name in bombs)]
    grown_kib = int(subprocess.run(child, check=True, capture_output=True, text=True, timeout=60).stdout)

    assert grown_kib < 30 * 1024


@pytest.mark.parametrize("kind", ["fifo", "folder"])
def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.jpg"
    if kind == "fifo":
        os.mkfifo(path)
    else:
        path.mkdir()

    with pytest.raises(InputError) as caught:
        decode_image(path, LIMITS)

    assert str(caught.value) == "x.jpg: is not a regular file"


def test_trouble_of_the_machine_is_not_blamed_on_the_photo(tmp_path: Path) -> None:
    loop = tmp_path / "loop.jpg"
    loop.symlink_to(loop)

    with pytest.raises(SpoolError) as missing:
        decode_image(tmp_path / "x.jpg", LIMITS)
    with pytest.raises(SpoolError) as circular:
        probe_image(loop, LIMITS)

    assert str(missing.value) == "x.jpg: cannot be read: No such file or directory"
    assert str(circular.value) == "loop.jpg: cannot be read: Too many levels of symbolic links"


@pytest.mark.parametrize("data", [PNG_FILE, PNG_FILE[:-40], png(50_000, 50_000)])
def test_settings_of_the_process_are_left_as_they_were(
    write: Write, monkeypatch: pytest.MonkeyPatch, data: bytes
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 12_345_678)
    filters = list(warnings.filters)

    try:
        decode_image(write(data), LIMITS)
    except InputError:
        assert data is not PNG_FILE

    assert Image.MAX_IMAGE_PIXELS == 12_345_678
    assert filters == warnings.filters


def test_what_pillow_only_warns_of_is_no_error(write: Write) -> None:
    animation_of_no_frames = chunk(b"acTL", bytes(8))

    decoded = decode_image(write(png(20, 20, bytes(20 * 21), extra=animation_of_no_frames)), LIMITS)

    assert decoded.shape == (20, 20, 3)


SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
TAGGED = {"exif": oriented(6), "icc_profile": SRGB}
SECOND = {"save_all": True, "append_images": [PICTURE.rotate(90)]}
SEEDS = [
    saved(PICTURE, "JPEG", **TAGGED),
    saved(PICTURE, "JPEG", progressive=True),
    saved(PICTURE.convert("CMYK"), "JPEG"),
    saved(PICTURE, "MPO", **SECOND),
    saved(PICTURE, "PNG", **TAGGED),
    saved(PICTURE, "PNG", **SECOND),
    saved(few_colours(), "PNG", transparency=bytes(range(64))),
    saved(PICTURE.convert("LA"), "PNG"),
    saved(PICTURE.convert("I;16"), "PNG"),
    saved(PICTURE, "WEBP", **TAGGED),
    saved(PICTURE.convert("RGBA"), "WEBP", lossless=True),
    saved(PICTURE, "WEBP", **SECOND),
    saved(PICTURE, "TIFF", **TAGGED),
    saved(PICTURE, "TIFF", compression="tiff_lzw"),
    saved(PICTURE, "TIFF", compression="jpeg"),
    saved(PICTURE.convert("1"), "TIFF", compression="group4"),
    saved(PICTURE.convert("LAB"), "TIFF"),
    saved(PICTURE.convert("I"), "TIFF"),
    saved(PICTURE, "BMP"),
    saved(few_colours(), "BMP"),
    saved(few_colours(), "GIF", transparency=3),
    saved(PICTURE, "GIF", **SECOND),
]
MAGIC = [b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBPVP8 ", b"II*\0", b"MM\0*", b"BM", b"GIF89a"]
POSITIONS = st.one_of(st.integers(0, 150), st.integers(0, 10_000))


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile") / "x.jpg"


def assert_array_or_input_error(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    limits = Limits(max_megapixels=1)
    try:
        size = probe_image(path, limits)
        pixels = decode_image(path, limits)
    except InputError as error:
        assert str(error).startswith("x.jpg: ")  # noqa: PT017 - both outcomes are right
        return
    assert pixels.shape == (size[1], size[0], 3)
    assert pixels.dtype == np.float32
    assert pixels.min() >= 0
    assert pixels.max() <= 255


@given(magic=st.sampled_from(MAGIC), rest=st.binary(max_size=400))
@settings(max_examples=300, deadline=None)
def test_any_bytes_give_an_array_or_an_input_error(hostile: Path, magic: bytes, rest: bytes) -> None:
    assert_array_or_input_error(hostile, magic + rest)


@given(
    seed=st.sampled_from(SEEDS),
    changes=st.lists(st.tuples(POSITIONS, st.integers(0, 255)), max_size=12),
    cut=st.one_of(st.none(), st.integers(1, 10_000)),
)
@settings(max_examples=1000, deadline=None)
def test_damaged_files_give_an_array_or_an_input_error(
    hostile: Path, seed: bytes, changes: list[tuple[int, int]], cut: int | None
) -> None:
    damaged = bytearray(seed)
    for position, value in changes:
        damaged[position % len(damaged)] = value

    assert_array_or_input_error(hostile, bytes(damaged[:cut]))


@pytest.mark.parametrize("path", PHOTOS, ids=lambda path: path.name)
def test_bytes_are_decoded_as_their_file_is(path: Path) -> None:
    data = path.read_bytes()
    assert np.array_equal(decode_image(data, LIMITS, name=path.name), decode_image(path, LIMITS))
    (pixels, size), (expected, upright) = (decode_fitted(file, LIMITS, 64, name=path.name) for file in (data, path))
    assert np.array_equal(pixels, expected)
    assert size == upright == probe_image(data, LIMITS, name=path.name)


@pytest.mark.parametrize(
    "data", [b"", b"text", saved(PICTURE, "PNG")[:-30], saved(PICTURE, "BMP")], ids=["empty", "text", "cut", "large"]
)
def test_bytes_are_refused_as_their_file_is(write: Write, data: bytes) -> None:
    limits = Limits(max_file_mib=0.001)
    with pytest.raises(InputError) as of_file:
        decode_image(write(data), limits)
    with pytest.raises(InputError) as of_bytes:
        decode_image(data, limits, name="x.jpg")
    assert str(of_bytes.value) == str(of_file.value)
    assert str(of_bytes.value).startswith("x.jpg: ")
