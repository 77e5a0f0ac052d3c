"""How long one evaluation of loss and gradient takes, beside the machine's own rate and what a user would run instead.

    python benchmarks/rivals/environment.py
    python benchmarks/evaluation.py [--sizes 256 512 1024] [--rounds 9] [--without-rivals] [--json]

The contenders are nstd in the precision that `auto` picks and in float32, a matrix product in the same precisions, an
eager `tf.GradientTape` over Keras' VGG19, and PyTorch in float32 and under bfloat16 autocast. Each has a process of its
own for each size, and they compute in turn, one at a time, so that what else the machine does meets all of them; the
table shows medians.

An evaluation of VGG19 up to block5_conv1, with styles at block{1..5}_conv1 and content at block4_conv2, takes
2 * (361,152 * 2 + 17,408 * 3) * H * W floating-point operations: convolutions and Grams, there and back.
"""

import argparse
import json
import statistics
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from rivals.contender import Contender
from rivals.environment import DEFAULT_FOLDER

MATMUL_SIDE = 4096
FLOP_PER_PIXEL = 2 * (361_152 * 2 + 17_408 * 3)
WARM_UPS = 2
HEADINGS = "| size | what | precision | seconds | GFLOP/s | share of the matrix product's rate | times nstd's |"


class Row(NamedTuple):
    """One line of the table.

    Attributes:
        size_px: side of the square picture, in pixels.
        contender: `nstd`, `matmul`, `eager` or `torch`.
        precision: dtype of the convolutions.
        seconds: median of one evaluation, or of one product.
        gflop_per_s: 10^9 floating-point operations a second.
        share_of_matmul: of the matrix product's rate in the same precision; None if that was not measured.
        times_nstd: seconds divided by those of nstd in the precision that `auto` picks; None for the product.
    """

    size_px: int
    contender: str
    precision: str
    seconds: float
    gflop_per_s: float
    share_of_matmul: float | None
    times_nstd: float | None


Contenders = dict[tuple[str, str], Contender]


def start(stack: ExitStack, size_px: int, rivals: Path | None) -> Contenders:
    """Start all contenders, one after the other; nstd in the precision that `auto` picks is the first."""
    nstd = stack.enter_context(Contender("nstd_evaluation", size_px, "auto"))
    contenders = {("nstd", nstd.facts["precision"]): nstd}
    precisions = list(dict.fromkeys([nstd.facts["precision"], "float32"]))
    for precision in precisions[1:]:
        contenders["nstd", precision] = stack.enter_context(Contender("nstd_evaluation", size_px, precision))
    for precision in precisions:
        contenders["matmul", precision] = stack.enter_context(Contender("matmul", MATMUL_SIDE, precision))
    contenders["eager", "float32"] = stack.enter_context(Contender("eager", size_px))
    for precision in ("float32", "bfloat16") if rivals else ():
        contender = Contender("torch_evaluation", size_px, precision, environment=rivals)
        contenders["torch", precision] = stack.enter_context(contender)
    return contenders


def medians(contenders: Contenders, rounds: int) -> dict[tuple[str, str], float]:
    """Let all of them compute in turn, again and again; the first rounds warm up."""
    seconds = [{key: contender.ask() for key, contender in contenders.items()} for _ in range(WARM_UPS + rounds)]
    return {key: statistics.median(line[key] for line in seconds[WARM_UPS:]) for key in contenders}


def measure(size_px: int, rounds: int, rivals: Path | None) -> list[Row]:
    """Measure one size."""
    with ExitStack() as stack:
        seconds = medians(start(stack, size_px, rivals), rounds)
    flop = dict.fromkeys(seconds, FLOP_PER_PIXEL * size_px**2)
    flop |= {key: 2 * MATMUL_SIDE**3 for key in seconds if key[0] == "matmul"}
    rates = {key: flop[key] / seconds[key] / 1e9 for key in seconds}
    first = next(iter(seconds.values()))
    rows = []
    for (name, precision), took in seconds.items():
        rate, limit = rates[name, precision], rates.get(("matmul", precision))
        share = round(rate / limit, 3) if limit else None
        times = None if name == "matmul" else round(took / first, 2)
        rows.append(Row(size_px, name, precision, round(took, 4), round(rate, 1), share, times))
    return rows


def line(row: Row) -> str:
    """Format a row of the table."""
    share = "" if row.share_of_matmul is None else f"{row.share_of_matmul:.0%}"
    times = "" if row.times_nstd is None else f"{row.times_nstd:.2f}"
    what = f"{row.contender} {MATMUL_SIDE}^3" if row.contender == "matmul" else row.contender
    return (
        f"| {row.size_px} | {what} | {row.precision} | {row.seconds:.3f} | {row.gflop_per_s:.0f} | {share} | {times} |"
    )


def main() -> None:
    """Measure all sizes and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512, 1024], help="sides in pixels")
    parser.add_argument("--rounds", type=int, default=9, help="timed rounds")
    parser.add_argument("--rivals", type=Path, default=DEFAULT_FOLDER, help="the virtual environment with PyTorch")
    parser.add_argument("--without-rivals", action="store_true", help="leave PyTorch out")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    rivals = None if arguments.without_rivals else arguments.rivals.absolute()
    if not arguments.json:
        print(HEADINGS, "| --- " * (HEADINGS.count("|") - 1) + "|", sep="\n")
    rows = []
    for size_px in arguments.sizes:
        measured = measure(size_px, arguments.rounds, rivals)
        rows += measured
        if not arguments.json:
            print(*map(line, measured), sep="\n", flush=True)
    if arguments.json:
        print(json.dumps({"evaluations": [row._asdict() for row in rows]}, indent=2))


if __name__ == "__main__":
    main()
