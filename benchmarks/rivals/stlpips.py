"""ST-LPIPS, a learned distance that forgives small shifts (Ghildyal and Liu 2022), by its authors' package.

    python -m rivals.stlpips

It replies to the paths of two pictures of one size, with a tab between, with their distance.
"""

import numpy as np
import torch
from PIL import Image
from stlpips_pytorch.stlpips import LPIPS

from rivals.answering import answer


def read(file: str) -> torch.Tensor:
    """Read a picture as `[1, 3, H, W]` of -1 to 1."""
    with Image.open(file) as image:
        pixels = np.asarray(image.convert("RGB"), np.float32)
    return torch.from_numpy(pixels / 127.5 - 1).permute(2, 0, 1)[None]


def main() -> None:
    """Answer."""
    distance = LPIPS(net="alex", variant="shift_tolerant", verbose=False)

    def reply(line: str) -> float:
        with torch.no_grad():
            return float(distance(*map(read, line.split("\t"))))

    answer({}, reply)


if __name__ == "__main__":
    main()
