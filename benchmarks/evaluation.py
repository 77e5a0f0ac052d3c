"""How close one evaluation of loss and gradient comes to this machine's own matrix product.

    python benchmarks/evaluation.py [--size 512] [--rounds 9] [--json]

Both are timed in turn in one process, so that what else the machine does meets both; the table shows medians. An
evaluation of VGG19 up to block5_conv1, with styles at block{1..5}_conv1 and content at block4_conv2, takes
2 * (361,152 * 2 + 17,408 * 3) * H * W floating-point operations: convolutions and Grams, there and back.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable

from nstd.weights.store import cache_folder, load_weights
from nstd.worker.environment import tensorflow_environment

os.environ.update(tensorflow_environment(os.environ, cache_folder(os.environ)))

import numpy as np
import tensorflow as tf

from nstd.config.settings import Precision
from nstd.engine.compiled import compiled
from nstd.engine.extractor import Extractor
from nstd.engine.objective import Objective, Targets
from nstd.engine.pixels import preprocess
from nstd.preset import Network, TransferSettings

MATMUL_SIDE = 4096
FLOP_PER_PIXEL = 2 * (361_152 * 2 + 17_408 * 3)


def make_evaluation(precision: Precision, size_px: int) -> Callable[[], None]:
    """Prepare one evaluation of the default preset's loss and gradient on a square picture."""
    weights = load_weights(Network.VGG19, cache_folder(os.environ))
    settings = TransferSettings()
    extractor = Extractor(Network.VGG19, weights.arrays, precision)
    objective = Objective(extractor, settings)
    pictures = np.random.default_rng(0).uniform(0, 255, (2, size_px, size_px, 3)).astype(np.float32)
    image, style = (preprocess(picture) for picture in pictures)
    targets = Targets(
        objective.content_targets(style), objective.style_targets([objective.style_statistics(style)], [1.0])
    )
    evaluation = compiled(objective.evaluate, objective.signature)
    factors = objective.weights(settings)

    def evaluate() -> None:
        terms, gradient = evaluation(image, targets, factors)
        float(terms.total), float(gradient[0, 0, 0, 0])

    return evaluate


def make_matmul(precision: Precision) -> Callable[[], None]:
    """Prepare one product of two square matrices in the same precision."""
    matrix = tf.cast(tf.random.normal([MATMUL_SIDE, MATMUL_SIDE], seed=1), precision.value)
    product = tf.function(lambda: tf.matmul(matrix, matrix))
    return lambda: float(product()[0, 0]) and None


def seconds(work: Callable[[], None]) -> float:
    """Time one call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def measure(precision: Precision, size_px: int, rounds: int) -> dict[str, float | int | str]:
    """Time evaluation and product in turn; the first two rounds warm up."""
    evaluate, multiply = make_evaluation(precision, size_px), make_matmul(precision)
    pairs = [(seconds(multiply), seconds(evaluate)) for _ in range(rounds + 2)][2:]
    matmul_s, evaluation_s = (statistics.median(column) for column in zip(*pairs, strict=True))
    matmul_rate = 2 * MATMUL_SIDE**3 / matmul_s / 1e9
    evaluation_rate = FLOP_PER_PIXEL * size_px**2 / evaluation_s / 1e9
    return {
        "size_px": size_px,
        "precision": precision.value,
        "seconds": round(evaluation_s, 4),
        "gflop_per_s": round(evaluation_rate, 1),
        "matmul_gflop_per_s": round(matmul_rate, 1),
        "share_of_matmul": round(evaluation_rate / matmul_rate, 3),
    }


def main() -> None:
    """Measure both precisions and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=512, help="side of the picture in pixels")
    parser.add_argument("--rounds", type=int, default=9, help="timed rounds")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    rows = [measure(p, arguments.size, arguments.rounds) for p in (Precision.FLOAT32, Precision.BFLOAT16)]
    if arguments.json:
        print(json.dumps({"evaluations": rows}, indent=2))
        return
    for row in rows:
        print(
            f"{row['size_px']} px {row['precision']:>8}: {row['seconds']:.3f} s, {row['gflop_per_s']:.0f} GFLOP/s, "
            f"{row['share_of_matmul']:.0%} of a {MATMUL_SIDE}^3 matmul's {row['matmul_gflop_per_s']:.0f}"
        )


if __name__ == "__main__":
    main()
