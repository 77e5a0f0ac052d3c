"""nstd turns photos dropped into a folder into paintings, by neural style transfer."""

from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image

__version__ = "0.1.0"
__all__ = ["__version__", "stylize"]


def stylize(content: str | PathLike[str], styles: Sequence[str | PathLike[str]], **settings: Any) -> "Image":  # noqa: ANN401  each setting has its own type
    """Paint a photo in the manner of style images; the first call loads TensorFlow.

    Args:
        content: the photo's file.
        styles: the style images' files.
        settings: any setting of a preset, such as `size_px=384` or `iterations=60`.

    Returns:
        The picture; `picture.info["nstd"]` is its log.

    Raises:
        ConfigError: a setting is wrong.
        WeightsError: the network's weights are missing or damaged: run `nstd weights pull`.
        InputError: an image cannot be read.
        EngineError: the computation went wrong.
    """
    from pathlib import Path  # noqa: PLC0415  `import nstd` stays instant

    from nstd.config.load import make_preset  # noqa: PLC0415
    from nstd.worker.oneshot import stylize as paint  # noqa: PLC0415

    return paint(Path(content), make_preset([Path(style) for style in styles], settings))
