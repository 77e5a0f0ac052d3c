import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image, JpegImagePlugin

from nstd.config.settings import Limits
from nstd.errors import EngineError
from nstd.images.decode import decode_image
from nstd.images.encode import check_picture, encode_image
from nstd.preset import OutputFormat


def noise(height: int = 32, width: int = 48) -> np.ndarray:
    return np.random.default_rng(2).uniform(0, 255, (height, width, 3)).astype(np.float32)


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("encode")


@given(seed=st.integers(0, 1000), height=st.integers(16, 40), width=st.integers(16, 40))
def test_png_of_whole_numbers_decodes_to_the_same_pixels(folder: Path, seed: int, height: int, width: int) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.float32)
    path = folder / "picture.png"
    path.write_bytes(encode_image(image, OutputFormat.PNG, 92))

    assert np.array_equal(decode_image(path, Limits()), image)


def test_values_are_rounded_to_the_nearest_and_clipped() -> None:
    image = np.zeros((16, 16, 3), np.float32)
    image[0, :7, 0] = (-20, -0.4, 0.49, 0.51, 99.6, 255.4, 300)

    png = opened(encode_image(image, OutputFormat.PNG, 92))

    assert np.asarray(png)[0, :7, 0].tolist() == [0, 0, 0, 1, 100, 255, 255]


@pytest.mark.parametrize("output_format", OutputFormat)
@pytest.mark.parametrize("stray", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_never_become_a_picture(output_format: OutputFormat, stray: float) -> None:
    image = noise()
    image[3, 4, 1] = image[5, 6, 2] = stray

    with pytest.raises(EngineError) as caught:
        encode_image(image, output_format, 92)

    assert str(caught.value) == ("the generated image has 2 values of 4608 that are not finite (expected 0 to 255)")


@pytest.mark.parametrize(("output_format", "name"), [(OutputFormat.PNG, "PNG"), (OutputFormat.JPEG, "JPEG")])
def test_equal_pixels_give_equal_bytes_in_the_wanted_format(output_format: OutputFormat, name: str) -> None:
    data = encode_image(noise(), output_format, 92)

    assert data == encode_image(noise(), output_format, 92)
    assert opened(data).format == name
    assert opened(data).size == (48, 32)


def test_both_formats_say_that_they_are_srgb() -> None:
    png = opened(encode_image(noise(), OutputFormat.PNG, 92))
    jpeg = opened(encode_image(noise(), OutputFormat.JPEG, 92))

    assert png.info["srgb"] == 0
    assert jpeg.getexif().get_ifd(ExifTags.IFD.Exif) == {ExifTags.Base.ColorSpace: 1}


def test_jpeg_keeps_colour_at_full_resolution() -> None:
    jpeg = opened(encode_image(noise(), OutputFormat.JPEG, 92))

    assert isinstance(jpeg, JpegImagePlugin.JpegImageFile)
    assert JpegImagePlugin.get_sampling(jpeg) == 0  # 4:4:4


def test_jpeg_quality_decides_how_near_the_picture_comes() -> None:
    image = noise()
    errors = [
        np.abs(np.asarray(opened(encode_image(image, OutputFormat.JPEG, quality)), np.float32) - image).mean()
        for quality in (1, 50, 92, 100)
    ]

    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1


def test_the_noisiest_picture_fits_jpeg_at_its_best_quality() -> None:
    assert opened(encode_image(noise(700, 900), OutputFormat.JPEG, 100)).size == (900, 700)


@pytest.mark.parametrize("output_format", list(OutputFormat))
def test_picture_as_it_was_written_passes_the_check(output_format: OutputFormat) -> None:
    check_picture(encode_image(noise(), output_format, 92), output_format, (48, 32))


@pytest.mark.parametrize("output_format", list(OutputFormat))
def test_picture_that_was_cut_off_does_not_pass(output_format: OutputFormat) -> None:
    data = encode_image(noise(), output_format, 92)
    for length in (0, 10, len(data) // 2):
        with pytest.raises(EngineError, match=r"^the finished picture cannot be decoded: "):
            check_picture(data[:length], output_format, (48, 32))


def test_png_with_a_flipped_bit_does_not_pass() -> None:
    data = bytearray(encode_image(noise(), OutputFormat.PNG, 92))
    data[len(data) // 2] ^= 1
    with pytest.raises(EngineError, match=r"^the finished picture cannot be decoded: "):
        check_picture(bytes(data), OutputFormat.PNG, (48, 32))


def test_picture_of_another_size_does_not_pass() -> None:
    message = r"^the finished picture has 48 x 32 px \(expected 49 x 32\)$"
    with pytest.raises(EngineError, match=message):
        check_picture(encode_image(noise(), OutputFormat.PNG, 92), OutputFormat.PNG, (49, 32))


def test_our_own_largest_pictures_are_no_bombs() -> None:
    """Pillow's own limit is below them."""
    buffer = io.BytesIO()
    Image.new("RGB", (16_384, 11_000)).save(buffer, "PNG", compress_level=1)
    check_picture(buffer.getvalue(), OutputFormat.PNG, (16_384, 11_000))
