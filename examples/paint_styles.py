"""Paint the style images that come with nstd, each from a fixed seed.

    python examples/paint_styles.py [FOLDER] [--size PIXELS]

Brushes are measured in pixels: a smaller picture is a smaller canvas with fewer strokes, not a finer drawing.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from painters import dots, embers, glass, swirls, woodcut
from PIL import Image

ASSETS: Final = Path(__file__).resolve().parent.parent / "nstd" / "assets" / "styles"
SIZE_PX: Final = 768
SMALLEST_PX: Final = 32
QUALITY: Final = 92


def paint_all(folder: Path, size_px: int = SIZE_PX) -> None:
    """Paint every style into a folder, as `<style>.jpg`, and print what was written."""
    folder.mkdir(parents=True, exist_ok=True)
    for style, paint in STYLES.items():
        started = time.monotonic()
        path = folder / f"{style}.jpg"
        paint(size_px).save(path, quality=QUALITY, optimize=True)
        print(f"{path}: {path.stat().st_size // 1024} KB in {time.monotonic() - started:.1f} s")


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line and paint."""
    parser = argparse.ArgumentParser(description="Paint the style images that come with nstd.")
    parser.add_argument("folder", nargs="?", type=Path, default=ASSETS, help="where to (default: %(default)s)")
    parser.add_argument("--size", type=_size_px, default=SIZE_PX, metavar="PIXELS", help="default: %(default)s")
    chosen = parser.parse_args(arguments)
    paint_all(chosen.folder, chosen.size)


def _size_px(text: str) -> int:
    size_px = int(text)
    if size_px < SMALLEST_PX:
        msg = f"must be >= {SMALLEST_PX} (got {size_px})"
        raise argparse.ArgumentTypeError(msg)
    return size_px


STYLES: Final[dict[str, Callable[[int], Image.Image]]] = {
    "swirls": swirls.paint,
    "woodcut": woodcut.paint,
    "glass": glass.paint,
    "dots": dots.paint,
    "embers": embers.paint,
}


if __name__ == "__main__":
    main()
