"""A single painting in this process: for notebooks and for `nstd stylize`."""

import functools
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from PIL import Image

from nstd.config.settings import EngineSettings, Limits
from nstd.errors import ConfigError
from nstd.job import Painting
from nstd.preset import OutputFormat, Preset
from nstd.spool.durable import measure, trouble, write_durably
from nstd.spool.jobs import record_bytes
from nstd.spool.names import candidates
from nstd.weights.store import cache_folder, load_weights
from nstd.worker.environment import loading_tensorflow
from nstd.worker.messages import Done, Request, Source, Stepped, StyleSource

if TYPE_CHECKING:
    from nstd.worker.painter import Painter

_FORMATS: Final = {".png": OutputFormat.PNG, ".jpg": OutputFormat.JPEG, ".jpeg": OutputFormat.JPEG}

OnStep = Callable[[Stepped], object]


def stylize(content: Path, preset: Preset, on_step: OnStep | None = None) -> Image.Image:
    """Paint a photo and return the picture, with the log of `Painting` as plain data in `info["nstd"]`.

    Args:
        content: the photo's file.
        preset: style images and settings.
        on_step: called after every evaluation.

    Raises:
        WeightsError: the network's weights are missing or damaged.
        InputError: an image cannot be read.
        EngineError: the computation went wrong.
    """
    with tempfile.TemporaryDirectory(prefix="nstd-") as folder:
        path = Path(folder, f"picture.{preset.extension}")
        painting = paint(content, preset, path, on_step)
        picture = Image.open(path)
        picture.load()
    picture.info["nstd"] = painting.model_dump(mode="json")
    return picture


def paint(content: Path, preset: Preset, picture: Path, on_step: OnStep | None = None) -> Painting:
    """Paint a photo into a file; arguments and errors as for `stylize`.

    Raises:
        ConfigError: the picture's folder does not exist.
    """
    if not picture.parent.is_dir():
        msg = f"{picture}: there is no folder {picture.parent}"
        raise ConfigError(msg)
    styles = tuple(StyleSource(**_source(style.image), weight=style.weight) for style in preset.styles)
    request = Request(preset=preset, content=Source(**_source(content)), styles=styles, picture=picture)
    for event in _painter().run(request):
        if isinstance(event, Done):
            return event.painting
        if on_step and isinstance(event, Stepped):
            on_step(event)
    raise AssertionError("a painter ends with Done or raises")  # pragma: no cover


def format_of(output: Path | None) -> dict[str, str]:
    """Return the setting that makes the picture fit its file's name.

    Raises:
        ConfigError: the name's extension is none of a picture that nstd can write.
    """
    if output is None:
        return {}
    if output.suffix.lower() not in _FORMATS:
        msg = f"{output}: must end with .png, .jpg or .jpeg"
        raise ConfigError(msg)
    return {"format": _FORMATS[output.suffix.lower()]}


def free_output(content: Path, preset: Preset) -> Path:
    """Name a picture after its photo and style, in the working directory, where there is none of that name."""
    name = f"{content.stem}_{preset.styles[0].image.stem}.{preset.extension}"
    paths = map(Path, candidates(name))
    return next(path for path in paths if not (path.exists() or path.with_suffix(".json").exists()))


def write_log(painting: Painting, picture: Path) -> None:
    """Write a painting's log beside its picture."""
    with trouble("write the log"):
        write_durably(picture.with_suffix(".json"), record_bytes(painting))


@functools.cache
def _painter() -> "Painter":
    """Load the network on the first call; it stays for the next."""
    settings = EngineSettings()
    cache = cache_folder(os.environ)
    weights = load_weights(settings.network, cache)
    with loading_tensorflow(cache):
        from nstd.worker.painter import Painter  # noqa: PLC0415  TensorFlow takes seconds, and reads the environment

        return Painter(settings, Limits(), weights)


def _source(path: Path) -> dict[str, str | int | Path]:
    with trouble("read the image"):
        facts = measure(path)
    return {"name": path.name, "path": path, "bytes": facts.bytes, "sha256": facts.sha256}
