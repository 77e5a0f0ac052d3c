"""Photos and style images of any size and number, no two the same: cut out of nstd's own."""

from pathlib import Path

from PIL import Image, ImageOps

ASSETS = Path(__file__).parents[2] / "nstd" / "assets"


def cut(kind: str, number: int, size: tuple[int, int], folder: Path) -> Path:
    """Cut out and scale one of nstd's photos or styles.

    Args:
        kind: `photos` or `styles`.
        number: decides which one, and where it is cut.
        size: width and height in pixels.
        folder: where the file is written, as JPEG.
    """
    sources = sorted((ASSETS / kind).glob("*.jpg"))
    place = 0.1 * (number % 11)
    path = folder / f"{kind}_{number:02}.jpg"
    with Image.open(sources[number % len(sources)]) as image:
        ImageOps.fit(image.convert("RGB"), size, centering=(place, place)).save(path, quality=92)
    return path


def sizes(number: int, long_side_px: int) -> list[tuple[int, int]]:
    """Return so many different sizes with the same long side, from a square to nearly 2 : 1, wide and tall in turn."""
    shorts = [round(long_side_px * (1 - 0.45 * index / max(1, number - 1))) for index in range(number)]
    return [(short, long_side_px) if index % 2 else (long_side_px, short) for index, short in enumerate(shorts)]
