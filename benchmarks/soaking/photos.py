"""Photos and rubbish to drop: never the same bytes twice, but for empty files."""

import io
import random
from pathlib import Path

from PIL import Image

from .spool import MAX_FILE_MIB

PHOTOS = Path(__file__).parents[2] / "nstd" / "assets" / "photos"
RUBBISH = ("text as .jpg", "cut off", "empty", "too small", "too large")


class Camera:
    """Makes files by chance."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self._photos = [Image.open(path).convert("RGB") for path in sorted(PHOTOS.glob("*.jpg"))]

    def photo(self, file_format: str) -> bytes:
        """Make a small photo of any size."""
        dice = self._dice
        size = dice.randint(32, 200), dice.randint(32, 200)
        photo = dice.choice(self._photos).resize(size, Image.Resampling.BILINEAR)
        speck = Image.frombytes("RGB", (4, 4), dice.randbytes(48))
        photo.paste(speck, (dice.randrange(size[0] - 4), dice.randrange(size[1] - 4)))
        return _encoded(photo, file_format)

    def rubbish(self, kind: str) -> bytes:
        """Make what can never become a painting."""
        if kind == "empty":
            return b""
        if kind == "cut off":
            whole = self.photo("JPEG")
            return whole[: len(whole) // 2]
        if kind == "too small":
            return _encoded(Image.frombytes("RGB", (8, 8), self._dice.randbytes(192)), "PNG")
        if kind == "too large":
            return self._dice.randbytes(int(MAX_FILE_MIB * 2**20) + self._dice.randrange(1, 1 << 18))
        return f"This is no picture, but the text {self._dice.random()}.\n".encode()


def _encoded(image: Image.Image, file_format: str) -> bytes:
    file = io.BytesIO()
    image.save(file, file_format)
    return file.getvalue()
