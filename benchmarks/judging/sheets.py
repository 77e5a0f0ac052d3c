"""Pictures laid out for whoever judges by eye."""

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from PIL import Image, ImageDraw

CAPTION_PX: Final = 14
GAP_PX: Final = 4
SEED: Final = 7


def contact_sheet(rows: Sequence[Sequence[tuple[str, Path]]], height_px: int) -> Image.Image:
    """Lay out a row a pair, each picture scaled to one height, with its caption above."""
    pictures = [[(caption, _as_high(file, height_px)) for caption, file in row] for row in rows]
    columns = [max(row[index][1].width for row in pictures) for index in range(len(pictures[0]))]
    width, height = sum(columns) + GAP_PX * (len(columns) - 1), height_px + CAPTION_PX
    sheet = Image.new("RGB", (width, height * len(pictures)), "white")
    draw = ImageDraw.Draw(sheet)
    for number, row in enumerate(pictures):
        left = 0
        for (caption, picture), column in zip(row, columns, strict=True):
            draw.text((left, number * height), caption, fill="black")
            sheet.paste(picture, (left, number * height + CAPTION_PX))
            left += column + GAP_PX
    return sheet


def blind_pairs(pairs: Sequence[tuple[str, Path, Path, Path, Path]], folder: Path) -> None:
    """Write a sheet a pair: photo, style image, and the two pictures as A and B in random order; the key apart.

    Args:
        pairs: name, photo, style image, and the pictures of the first and of the second contender.
        folder: of the sheets, `NUMBER.png`; `key.json` beside it tells which of A and B is the first contender's.
    """
    folder.mkdir(parents=True, exist_ok=True)
    order, key = random.Random(SEED), {}
    for number, (name, photo, style, first, second) in enumerate(pairs, 1):
        first_is_a = order.random() < 1 / 2
        key[f"{number:02}"] = {"pair": name, "first": "A" if first_is_a else "B"}
        a, b = (first, second) if first_is_a else (second, first)
        with Image.open(a) as picture:
            height = picture.height
        row = [("photo", photo), ("style", style), ("A", a), ("B", b)]
        contact_sheet([row], height).save(folder / f"{number:02}.png")
    folder.with_suffix(".key.json").write_text(json.dumps(key, indent=2))


def _as_high(file: Path, height_px: int) -> Image.Image:
    with Image.open(file) as image:
        width = round(image.width * height_px / image.height)
        return image.convert("RGB").resize((width, height_px), Image.Resampling.LANCZOS)
