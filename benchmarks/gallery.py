"""What the example's presets make of one photo: the picture at the top of the README.

    python benchmarks/gallery.py [--photo FILE] [--size 400] [--output docs/gallery.jpg]

The photo stands first, then the presets' pictures in the order of the file, pixel for pixel.
"""

import argparse
from pathlib import Path
from typing import Final

from PIL import Image

from nstd.config.load import load_config
from nstd.images.decode import probe_image
from nstd.worker.oneshot import stylize

ROOT: Final = Path(__file__).parent.parent
ASSETS: Final = ROOT / "nstd" / "assets"
COLUMNS: Final = 3
GAP_PX: Final = 6


def grid(pictures: list[Image.Image]) -> Image.Image:
    """Lay out pictures of one size row by row."""
    wide, high = (side + GAP_PX for side in pictures[0].size)
    rows = -(-len(pictures) // COLUMNS)
    canvas = Image.new("RGB", (COLUMNS * wide - GAP_PX, rows * high - GAP_PX), "white")
    for number, picture in enumerate(pictures):
        canvas.paste(picture, (number % COLUMNS * wide, number // COLUMNS * high))
    return canvas


def main() -> None:
    """Paint the photo with each preset, and write the grid whenever one is done."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photo", type=Path, default=ASSETS / "photos" / "chelsea.jpg")
    parser.add_argument("--size", type=int, default=400, help="long side of the pictures in pixels")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "gallery.jpg", help="the grid's file")
    arguments = parser.parse_args()
    pictures: list[Image.Image] = []
    for name, preset in load_config(ASSETS / "config.example.yaml", check_image=probe_image).presets.items():
        picture = stylize(arguments.photo, preset.model_copy(update={"size_px": arguments.size})).convert("RGB")
        if not pictures:
            with Image.open(arguments.photo) as photo:
                pictures.append(photo.convert("RGB").resize(picture.size, Image.Resampling.LANCZOS))
        pictures.append(picture)
        grid(pictures).save(arguments.output, quality=90)
        print(f"{name}: {picture.info['nstd']['seconds']['optimise']:.0f} s", flush=True)


if __name__ == "__main__":
    main()
