"""Every kind of hostile and odd image file, dropped at once: each becomes a painting or comes back with the reason."""

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from daemon_world import ASSETS, World, peak_megabytes
from image_samples import (
    JPEG_START_OF_SCAN,
    PNG_HEADER_BYTES,
    chunk,
    cmyk_profile_of_grey_cyan,
    gif_of_one_huge_frame,
    jpeg_with,
    packed_text,
    png,
    png_of_16_bits,
    png_of_black,
    png_with,
    saved,
    tiff_of_16_bits,
    tiff_of_one_huge_tile,
    webp_claiming,
    webp_of_black,
)
from ledger import Accounts, accounts_of, wait_for_the_end_of
from PIL import Image, ImageOps

pytestmark = pytest.mark.usefixtures("cache")

PAINTED = "painted"
NO_IMAGE = "is not an image that nstd can read (expected JPEG, PNG, WebP, TIFF, BMP or GIF)"
# What follows is Pillow's reason, in words that differ from version to version.
DAMAGED = "the file is cut off or damaged: "
NO_SIZE = "the file is cut off or damaged: its header gives no size or no kind of pixels"
LIMIT = "is over the limit of 100 (limits.max_megapixels)"
TOO_SMALL = "is too small (expected at least 16 px a side)"
MIB = 1 << 20
MOST_GROWTH_MEGABYTES = 100
"""What the worker's peak may grow beyond that of its first, ordinary picture; the bombs hold up to 3,200."""

with Image.open(ASSETS / "photos/coffee.jpg") as opened:
    PHOTO = opened.convert("RGB").resize((96, 64))
FEW_COLOURS = PHOTO.quantize(64)
INVERTED = ImageOps.invert(PHOTO)
SECOND_FRAME = {"save_all": True, "append_images": [INVERTED]}
PNG, JPEG, GIF = saved(PHOTO, "PNG"), saved(PHOTO, "JPEG", quality=95), saved(FEW_COLOURS, "GIF")
SOUND = {
    "jpg": JPEG,
    "png": PNG,
    "webp": saved(PHOTO, "WEBP", lossless=True),
    "tiff": saved(PHOTO, "TIFF"),
    "bmp": saved(PHOTO, "BMP"),
    "gif": GIF,
}
HEADER_BYTES = {
    "jpg": JPEG.index(JPEG_START_OF_SCAN) + 14,
    "png": PNG_HEADER_BYTES,
    "webp": 30,
    "tiff": len(SOUND["tiff"]) - 96 * 64 * 3,
    "bmp": 54,
    "gif": 13 + 3 * 64,
}


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo("photo.jpg"), JPEG)
    return buffer.getvalue()


def noise() -> bytes:
    return np.random.default_rng(1).bytes(20_000)


def jpeg_of_height_0() -> bytes:
    size = b"".join(side.to_bytes(2, "big") for side in (64, 96))
    return JPEG.replace(size, b"\0\0" + size[2:], 1)


class Row(NamedTuple):
    """A drop, and what shall become of it: `PAINTED`, or the beginning of the reason.

    The painting of its twin, another row, looks the same.
    """

    name: str
    make: Callable[[], bytes]
    outcome: str
    twin: str = ""


ROWS = (
    *(
        Row(f"sound.{kind}", partial(bytes, data), PAINTED, "" if kind == "png" else "sound.png")
        for kind, data in SOUND.items()
    ),
    # Bombs.
    Row("bomb.png", partial(png_of_black, 30_000), f"30000 x 30000 = 900.0 megapixels {LIMIT}"),
    Row("claim.png", partial(png, 50_000, 50_000), f"50000 x 50000 = 2500.0 megapixels {LIMIT}"),
    Row("bomb.gif", gif_of_one_huge_frame, f"more than 200 megapixels {LIMIT}"),
    Row("bomb.webp", partial(webp_of_black, 16_383, 16_383), f"more than 200 megapixels {LIMIT}"),
    Row("claim.webp", partial(webp_claiming, 60_000, 60_000), f"more than 200 megapixels {LIMIT}"),
    Row("bomb.tiff", tiff_of_one_huge_tile, f"20000 x 20000 = 400.0 megapixels {LIMIT}"),
    # Cut off, and overwritten with noise.
    *(Row(f"half.{kind}", lambda data=data: data[: len(data) // 2], DAMAGED) for kind, data in SOUND.items()),
    *(Row(f"header.{kind}", partial(bytes, SOUND[kind][:end]), DAMAGED) for kind, end in HEADER_BYTES.items()),
    *(
        Row(f"noise.{kind}", lambda kind=kind: SOUND[kind][: HEADER_BYTES[kind]] + noise(), DAMAGED)
        for kind in ("jpg", "png", "webp")
    ),
    *(
        Row(f"noise.{kind}", lambda kind=kind: SOUND[kind][: HEADER_BYTES[kind]] + noise(), PAINTED)
        for kind in ("tiff", "bmp")  # where any bytes are pixels
    ),
    # Sizes.
    Row("0xN.png", partial(png, 0, 64), NO_SIZE),
    Row("0xN.jpg", jpeg_of_height_0, NO_SIZE),
    Row("1x1.png", partial(png, 1, 1, bytes(2)), f"1 x 1 {TOO_SMALL}"),
    Row("30000x10.png", partial(png, 30_000, 10, bytes(30_001 * 10)), f"30000 x 10 {TOO_SMALL}"),
    Row("30000x16.png", partial(png, 30_000, 16, bytes(30_001 * 16)), PAINTED),
    # Colours, depths and frames.
    Row("cmyk.jpg", lambda: saved(PHOTO.convert("CMYK"), "JPEG", quality=95), PAINTED, "sound.png"),
    Row(
        "cmyk_with_profile.jpg",
        lambda: saved(PHOTO.convert("CMYK"), "JPEG", icc_profile=cmyk_profile_of_grey_cyan()),
        PAINTED,
    ),
    Row("16_bits.png", partial(png_of_16_bits, PHOTO), PAINTED, "sound.png"),
    Row("16_bits.tiff", partial(tiff_of_16_bits, PHOTO), PAINTED, "sound.png"),
    Row("16_bits_grey.png", lambda: saved(PHOTO.convert("L").convert("I;16"), "PNG"), PAINTED),
    Row("animated.gif", lambda: saved(PHOTO, "GIF", **SECOND_FRAME), PAINTED, "sound.png"),
    Row("animated.webp", lambda: saved(PHOTO, "WEBP", lossless=True, **SECOND_FRAME), PAINTED, "sound.png"),
    Row("animated.png", lambda: saved(PHOTO, "PNG", **SECOND_FRAME), PAINTED, "sound.png"),
    # What comes with the pixels.
    Row("exif.jpg", lambda: jpeg_with(JPEG, 0xE1, b"Exif\0\0" + bytes(10 * MIB)), PAINTED, "sound.jpg"),
    Row("profile.jpg", lambda: jpeg_with(JPEG, 0xE2, b"ICC_PROFILE\0\1\1" + bytes(10 * MIB)), PAINTED, "sound.jpg"),
    Row(
        "packed_text.png",
        lambda: png_with(PNG, packed_text(100 * MIB)),
        "has text or a colour profile that unpacks to over 1 MiB",
    ),
    Row(
        "long_text.png",
        lambda: png_with(PNG, chunk(b"tEXt", b"Comment\0" + bytes(100 * MIB))),
        "the file has 100.0 MiB, limits.max_file_mib allows 64.0",
    ),
    # What is not what its name says.
    Row("png_inside.jpg", lambda: PNG, PAINTED, "sound.png"),
    Row("jpeg_and_zip.jpg", lambda: JPEG + zipped(), PAINTED, "sound.jpg"),
    Row("gif_and_script.gif", lambda: b"GIF89a/*" + bytes(40) + b"*/=1;alert(1)//", DAMAGED),
    Row("svg.jpg", lambda: b'<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64"/>', NO_IMAGE),
    Row("html.jpg", lambda: b"<!DOCTYPE html><img src=x onerror=alert(1)>", NO_IMAGE),
    Row("text.jpg", lambda: b"I am no picture.", NO_IMAGE),
    Row("zip.jpg", zipped, NO_IMAGE),
    Row("elf.jpg", lambda: Path("/bin/sh").read_bytes(), NO_IMAGE),
    Row("empty.jpg", bytes, "is empty (0 bytes)"),
)
NAMES = [row.name for row in ROWS]


class Aftermath(NamedTuple):
    """What is left when everything has been dropped and has found its place."""

    world: World
    accounts: Accounts
    workers: int
    troubles: list[dict[str, Any]]
    growth_megabytes: float
    daemon_megabytes: float


@pytest.fixture(scope="module")
def aftermath(tmp_path_factory) -> Iterator[Aftermath]:
    world = World(tmp_path_factory.mktemp("images") / "world")
    try:
        yield drop_everything(world)
    finally:
        world.close()


def drop_everything(world: World) -> Aftermath:
    daemon = world.start()
    world.drop("coffee.jpg", "quick", "ordinary.jpg")
    daemon.wait_for("job_finished")
    before = peak_megabytes(daemon.worker_pid())
    for row in ROWS:
        (world.inbox / "quick" / row.name).write_bytes(row.make())
    wait_for_the_end_of(len(ROWS) + 1, daemon)
    return Aftermath(
        world=world,
        accounts=accounts_of(world, "quick"),
        workers=len(daemon.logged("worker_started")),
        troubles=daemon.logged("trouble") + daemon.logged("ignored"),
        growth_megabytes=peak_megabytes(daemon.worker_pid()) - before,
        daemon_megabytes=peak_megabytes(daemon.pid),
    )


@pytest.mark.parametrize("row", [row for row in ROWS if row.outcome == PAINTED], ids=lambda row: row.name)
def test_odd_but_sound_file_is_painted(aftermath, row):
    assert aftermath.accounts.places(row.name, "quick") == ["outbox"]
    [path] = aftermath.accounts.painted[row.name]
    log = json.loads(path.read_text())
    assert (log["status"], log["attempts"]) == ("done", 1)
    assert log["content"]["sha256"] == hashlib.sha256(row.make()).hexdigest()
    with Image.open(path.with_suffix(".png")) as image:
        image.load()
        assert max(image.size) == 64


@pytest.mark.parametrize("row", [row for row in ROWS if row.twin], ids=lambda row: row.name)
def test_painting_shows_the_picture_that_the_file_holds(aftermath, row):
    """The first frame and the right colours: the pixels that the other file holds, too."""
    [one], [other] = (aftermath.accounts.painted[name] for name in (row.name, row.twin))
    with Image.open(one.with_suffix(".png")) as left, Image.open(other.with_suffix(".png")) as right:
        difference = np.abs(np.asarray(left, np.float32) - np.asarray(right, np.float32))
    assert difference.mean() < 8


@pytest.mark.parametrize("row", [row for row in ROWS if row.outcome != PAINTED], ids=lambda row: row.name)
def test_file_that_cannot_be_painted_comes_back_with_the_reason(aftermath, row):
    assert aftermath.accounts.places(row.name, "quick") == ["failed"]
    [folder] = aftermath.accounts.failed[row.name]
    reason = json.loads((folder / "reason.json").read_text())
    assert reason["kind"] == "input"
    assert reason["message"].removeprefix(f"{row.name}: ").startswith(row.outcome)
    assert reason["traceback"] == ""
    assert (folder / row.name).read_bytes() == row.make()


def test_nothing_else_is_left(aftermath):
    accounts = aftermath.accounts
    assert sorted([*accounts.painted, *accounts.failed]) == sorted([*NAMES, "ordinary.jpg"])
    assert (accounts.inbox, accounts.queue) == (set(), [])
    assert aftermath.troubles == []
    assert aftermath.world.status().jobs.failed == len(accounts.failed)


def test_one_worker_outlives_all_and_unpacks_no_bomb(aftermath):
    assert aftermath.workers == 1
    assert aftermath.growth_megabytes < MOST_GROWTH_MEGABYTES
    assert aftermath.daemon_megabytes < 100, "the file of 100 MiB went through it in small pieces"
