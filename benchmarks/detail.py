"""What becomes of fine detail: the photo's grain and the noise of colours in six paintings, with crops to look at.

    python benchmarks/detail.py [--size 320] [--levels 0.5 1] [--qualities draft standard high] [--pairs 6] OUTPUT

It paints each pair with the defaults and writes pictures, figures (`figures.json`) and a sheet of crops at full
resolution (`crops.png`) into a folder. With PYTHONPATH at another version of nstd it measures that one; with `--against
FOLDER` of its output the sheet shows both, one above the other, and a table tells the loss of content and style that
this version gives the files of both, in float32, so that they can be compared though the versions count differently.

Figures, each by luminance or by opponent colours (red-green, yellow-blue) of pixels from 0 to 255:

- `detail`: correlation of what is finer than 0.35 cycles a pixel with the photo's.
- `grain`: the same in the half of all pixels where the photo has least of it: that is grain, and not to be painted.
- `chroma`: deviation of the colours finer than 0.25 cycles a pixel, by that of the style image at as many pixels.
"""

import argparse
import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pictures import ASSETS, PAIRS
from PIL import Image, ImageDraw

import nstd

LUMA: Final = np.array([0.299, 0.587, 0.114])
OPPONENT: Final = np.array([[2**-0.5, 6**-0.5], [-(2**-0.5), 6**-0.5], [0, -2 * 6**-0.5]])
CROP_PX: Final = 128
CAPTION_PX: Final = 26

Plane = NDArray[np.float64]


class Row(NamedTuple):
    """One picture's figures; see above.

    Attributes:
        photo: its name.
        style: the style image's name.
        quality: of the preset.
        detail: correlation.
        grain: correlation.
        chroma: ratio.
        loss: total, of the last level.
        seconds: of the optimisation.
    """

    photo: str
    style: str
    quality: str
    detail: float
    grain: float
    chroma: float
    loss: float
    seconds: float


def finer_than(plane: Plane, cycles: float) -> Plane:
    """Keep what has a radial frequency of more than so many cycles a pixel."""
    height, width = plane.shape
    radius = np.hypot(np.fft.fftfreq(height)[:, np.newaxis], np.fft.rfftfreq(width))
    return np.fft.irfft2(np.fft.rfft2(plane) * (radius > cycles), plane.shape)


def smooth(plane: Plane) -> Plane:
    """Average over about 7 x 7 pixels."""
    height, width = plane.shape
    radius = np.hypot(np.fft.fftfreq(height)[:, np.newaxis], np.fft.rfftfreq(width))
    return np.fft.irfft2(np.fft.rfft2(plane) * np.exp(-((radius / 0.1) ** 2)), plane.shape)


def figures(picture: Image.Image, photo: Image.Image, style: Image.Image) -> dict[str, float]:
    """Measure a picture against its photo, of the same size, and against its style image."""
    fine, original = (finer_than(np.asarray(image, float) @ LUMA, 0.35) for image in (picture, photo))
    energy = smooth(original**2)
    calm = energy < np.median(energy)
    painted, model = (chroma(image) for image in (picture, style))
    return {
        "detail": float(np.corrcoef(fine.ravel(), original.ravel())[0, 1]),
        "grain": float(np.corrcoef(fine[calm], original[calm])[0, 1]),
        "chroma": painted / model,
    }


def chroma(image: Image.Image) -> float:
    """Return the deviation of an image's fine colours."""
    colours = np.asarray(image, float) @ OPPONENT
    return float(np.sqrt(sum(np.mean(finer_than(colours[..., index], 0.25) ** 2) for index in range(2))))


def as_large(style: Image.Image, pixels: int) -> Image.Image:
    """Scale a style image to a number of pixels."""
    scale = math.sqrt(pixels / (style.width * style.height))
    return style.resize((round(style.width * scale), round(style.height * scale)), Image.Resampling.LANCZOS)


def paint(arguments: argparse.Namespace) -> Iterator[Row]:
    """Paint all pairs; write each picture and yield its figures."""
    for name, style_name in PAIRS[: arguments.pairs]:
        content, painting = ASSETS / "photos" / f"{name}.jpg", ASSETS / "styles" / f"{style_name}.jpg"
        for quality in arguments.qualities:
            settings: dict[str, Any] = {"size_px": arguments.size, "quality": quality}
            if arguments.levels:
                settings["levels"] = arguments.levels
            picture = nstd.stylize(content, [painting], **settings)
            picture.save(arguments.output / f"{name}_{style_name}_{quality}.png")
            photo = Image.open(content).convert("RGB").resize(picture.size, Image.Resampling.LANCZOS)
            style = as_large(Image.open(painting).convert("RGB"), picture.width * picture.height)
            measured = {name: round(value, 3) for name, value in figures(picture, photo, style).items()}
            log: dict[str, Any] = picture.info["nstd"]
            loss, seconds = round(log["loss"]["best"], 1), round(log["seconds"]["optimise"], 1)
            yield Row(name, style_name, quality, **measured, loss=loss, seconds=seconds)


def judge(folders: list[Path], qualities: list[str], pairs: int) -> Iterator[tuple[str, ...]]:
    """Yield the loss of each picture in each folder, with what it is."""
    from precision import WholeEvaluator, loss, read  # noqa: PLC0415  another version may have none of it

    from nstd.engine.extractor import Extractor  # noqa: PLC0415  as above
    from nstd.engine.objective import Objective  # noqa: PLC0415
    from nstd.images.resize import resize_image  # noqa: PLC0415
    from nstd.network import Network, Precision  # noqa: PLC0415
    from nstd.transfer_settings import TransferSettings  # noqa: PLC0415
    from nstd.weights.store import cache_folder, load_weights  # noqa: PLC0415

    settings = TransferSettings(manner="texture", chroma_weight=0)
    arrays = load_weights(Network.VGG19, cache_folder(os.environ)).arrays
    evaluator = WholeEvaluator(Objective(Extractor(Network.VGG19, arrays, Precision.FLOAT32), settings))
    for photo, style in PAIRS[:pairs]:
        for quality in qualities:
            losses = []
            for folder in folders:
                picture = np.asarray(Image.open(folder / f"{photo}_{style}_{quality}.png"), np.float32)
                content = resize_image(read("photos", photo), picture.shape[1], picture.shape[0])
                losses.append(f"{loss(evaluator, content, style, settings, picture):.1f}")
            yield photo, style, quality, *losses


def crops(folders: list[Path], qualities: list[str], pairs: int) -> Image.Image:
    """Show the middle of each picture at its own resolution: a column a pair, a row a quality and folder."""
    rows = [(quality, folder) for quality in qualities for folder in folders]
    height = CROP_PX + CAPTION_PX
    sheet = Image.new("RGB", (pairs * (CROP_PX + 2), len(rows) * height), "white")
    draw = ImageDraw.Draw(sheet)
    for row, (quality, folder) in enumerate(rows):
        for column, (photo, style) in enumerate(PAIRS[:pairs]):
            picture = Image.open(folder / f"{photo}_{style}_{quality}.png")
            left, top = ((side - CROP_PX) // 2 for side in picture.size)
            place = column * (CROP_PX + 2), row * height
            sheet.paste(picture.crop((left, top, left + CROP_PX, top + CROP_PX)), (place[0], place[1] + CAPTION_PX))
            draw.text(place, f"{photo}, {style}\n{quality}, {folder.name}", fill="black", spacing=1)
    return sheet


def main() -> None:
    """Paint, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path, help="folder for the pictures")
    parser.add_argument("--size", type=int, default=320, help="long side in pixels")
    parser.add_argument("--levels", type=float, nargs="+", help="as in a preset; default: auto")
    parser.add_argument("--qualities", nargs="+", default=["draft", "standard", "high"])
    parser.add_argument("--pairs", type=int, default=len(PAIRS), help="only the first so many")
    parser.add_argument("--against", type=Path, help="output of another version, for the sheet")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    print(f"nstd at {Path(nstd.__file__).parent}", f"| {' | '.join(Row._fields)} |", sep="\n")
    print(f"| {' | '.join('---' for _ in Row._fields)} |")
    rows = []
    for row in paint(arguments):
        rows.append(row._asdict())
        print(f"| {' | '.join(map(str, row))} |", flush=True)
    (arguments.output / "figures.json").write_text(json.dumps(rows, indent=2))
    folders = [folder for folder in (arguments.against, arguments.output) if folder]
    crops(folders, arguments.qualities, arguments.pairs).save(arguments.output / "crops.png")
    if arguments.against:
        print(f"| photo | style | quality | {' | '.join(folder.name for folder in folders)} |")
        for judged in judge(folders, arguments.qualities, arguments.pairs):
            print(f"| {' | '.join(judged)} |", flush=True)


if __name__ == "__main__":
    main()
