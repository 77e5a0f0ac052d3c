"""What the qualities and strengths look like: a grid of pictures of six pairs, and their losses.

    python benchmarks/pictures.py [--size 320] [--output docs/qualities.jpg] [--json]

Each row is a photo and a style of the project's own, painted with the defaults but for what stands above the column.
The table shows the seconds and the total loss of each picture, under the row's own weights for strength 0.5.
"""

import argparse
import json
from pathlib import Path
from typing import Any, Final, NamedTuple

from PIL import Image, ImageDraw, ImageFont

import nstd

ROOT: Final = Path(__file__).parent.parent
ASSETS: Final = ROOT / "nstd" / "assets"
PAIRS: Final = (
    ("astronaut", "swirls"),
    ("chelsea", "woodcut"),
    ("coffee", "glass"),
    ("rocket", "embers"),
    ("chelsea", "dots"),
    ("coffee", "swirls"),
)
COLUMNS: Final[dict[str, dict[str, object]]] = {
    "draft": {"quality": "draft"},
    "standard, strength 0.5": {},
    "high": {"quality": "high"},
    "strength 0.25": {"strength": 0.25},
    "strength 1": {"strength": 1.0},
}
TILE_PX: Final = (192, 128)
CAPTION_PX: Final = 18
GAP_PX: Final = 2


class Row(NamedTuple):
    """One picture's figures.

    Attributes:
        photo: its name.
        style: the style image's name.
        column: what was set.
        seconds: of the optimisation.
        loss: total, at the end of the last level; comparable along the qualities only.
    """

    photo: str
    style: str
    column: str
    seconds: float
    loss: float


def paint(photo: str, style: str, size_px: int) -> tuple[list[Image.Image], list[Row]]:
    """Paint a pair with each column's settings; return the photo and the pictures, and the figures."""
    content, image = ASSETS / "photos" / f"{photo}.jpg", ASSETS / "styles" / f"{style}.jpg"
    pictures, rows = [Image.open(content)], []
    for column, settings in COLUMNS.items():
        pictures.append(nstd.stylize(content, [image], size_px=size_px, **settings))
        log: dict[str, Any] = pictures[-1].info["nstd"]
        rows.append(Row(photo, style, column, round(log["seconds"]["optimise"], 1), round(log["loss"]["best"], 1)))
    return pictures, rows


def tile(picture: Image.Image) -> Image.Image:
    """Reduce a picture until it covers a tile, and cut out the middle."""
    scale = max(side / length for side, length in zip(TILE_PX, picture.size, strict=True))
    covering = picture.convert("RGB").resize([round(length * scale) for length in picture.size])
    left, top = ((length - side) // 2 for side, length in zip(TILE_PX, covering.size, strict=True))
    return covering.crop((left, top, left + TILE_PX[0], top + TILE_PX[1]))


def empty_grid(rows: int) -> Image.Image:
    """Return the canvas for so many rows, with the captions of the columns."""
    captions = ["photo", *COLUMNS]
    width = len(captions) * (TILE_PX[0] + GAP_PX)
    canvas = Image.new("RGB", (width, CAPTION_PX + rows * (TILE_PX[1] + GAP_PX)), "white")
    draw = ImageDraw.Draw(canvas)
    for column, caption in enumerate(captions):
        draw.text((column * (TILE_PX[0] + GAP_PX) + 4, 2), caption, "black", ImageFont.load_default(12))
    return canvas


def main() -> None:
    """Paint all pairs, write the grid and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=320, help="long side of the pictures in pixels")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "qualities.jpg", help="the grid's file")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    canvas, rows = empty_grid(len(PAIRS)), []
    for line, pair in enumerate(PAIRS):
        pictures, figures = paint(*pair, arguments.size)
        rows += figures
        for column, picture in enumerate(pictures):
            left, top = column * (TILE_PX[0] + GAP_PX), CAPTION_PX + line * (TILE_PX[1] + GAP_PX)
            canvas.paste(tile(picture), (left, top))
        canvas.save(arguments.output, quality=88)
        if not arguments.json:
            for row in figures:
                print(f"| {row.photo}, {row.style} | {row.column} | {row.seconds:.1f} | {row.loss:.1f} |", flush=True)
    if arguments.json:
        print(json.dumps({"size_px": arguments.size, "pictures": [row._asdict() for row in rows]}, indent=2))


if __name__ == "__main__":
    main()
