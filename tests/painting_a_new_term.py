"""Paint ten steps by the example's first preset: whole, and stopped and resumed; print what came of it as JSON.

Usage: painting_a_new_term.py CACHE FOLDER
"""

import itertools
import json
import sys
from pathlib import Path

import nstd
from nstd.config.load import load_config
from nstd.config.settings import Limits
from nstd.images.decode import probe_image
from nstd.spool.durable import measure
from nstd.starter import create_project
from nstd.weights.store import load_weights
from nstd.worker.messages import Done, Interim, Interrupted, Request, Resumed, Source, StyleSource
from nstd.worker.painter import Painter


def source(path: Path) -> dict[str, object]:
    facts = measure(path)
    return {"name": path.name, "path": path, "bytes": facts.bytes, "sha256": facts.sha256}


def main() -> None:
    cache, folder = map(Path, sys.argv[1:])
    config = load_config(create_project(folder), check_image=probe_image)
    preset = config.presets["swirls"].model_copy(update={"size_px": 64, "levels": (1.0,), "iterations": (10,)})
    photo = Path(nstd.__file__).parent / "assets" / "photos" / "coffee.jpg"
    interim = Interim(
        checkpoint=folder / "checkpoint", checkpoint_seconds=3600, preview=folder / "preview.jpg", preview_seconds=0
    )
    styles = tuple(StyleSource(**source(style.image), weight=style.weight) for style in preset.styles)
    painter = Painter(config.engine, Limits(), load_weights(config.engine.network, cache))
    request = Request(preset=preset, content=Source(**source(photo)), styles=styles, picture=folder / "whole.png")
    (whole,) = (event for event in painter.run(request) if isinstance(event, Done))
    request = request.model_copy(update={"picture": folder / "resumed.png", "interim": interim})
    evaluations = itertools.count(1)
    *_, stopped = painter.run(request, lambda: next(evaluations) == 6)
    assert isinstance(stopped, Interrupted)
    *others, done = painter.run(request)
    events = [f"resumed at {event.number}" for event in others if isinstance(event, Resumed)]
    told = {
        "package": nstd.__file__,
        "events": [*events, done.type],
        "whole": whole.painting.output.sha256,
        "log": done.painting.model_dump(mode="json"),
    }
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main()
