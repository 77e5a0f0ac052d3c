"""nstd's own loss and gradient: the default preset's layers, on a square picture.

python -m rivals.nstd_evaluation SIZE PRECISION
"""

import os
import sys
from collections.abc import Callable

from nstd.weights.store import cache_folder, load_weights
from nstd.worker.environment import tensorflow_environment
from rivals.answering import answer_with_seconds

os.environ.update(tensorflow_environment(os.environ, cache_folder(os.environ)))

import numpy as np

from nstd.engine.device import claim_device
from nstd.engine.evaluator import WholeEvaluator
from nstd.engine.extractor import Extractor
from nstd.engine.objective import Objective
from nstd.engine.pixels import preprocess
from nstd.network import Network, Precision
from nstd.transfer_settings import TransferSettings


def make_evaluation(precision: Precision, size_px: int) -> Callable[[], None]:
    """Prepare one evaluation of the default preset's loss and gradient."""
    weights = load_weights(Network.VGG19, cache_folder(os.environ))
    settings = TransferSettings()
    extractor = Extractor(Network.VGG19, weights.arrays, precision)
    evaluator = WholeEvaluator(Objective(extractor, settings))
    start, photo, style = np.random.default_rng(0).uniform(0, 255, (3, size_px, size_px, 3)).astype(np.float32)
    aims = evaluator.objective.whole_aims(settings, photo, style)
    image = preprocess(start)

    def evaluate() -> None:
        losses, gradient = evaluator(image, aims)
        float(losses[0]), float(gradient[0, 0, 0, 0])

    return evaluate


def main() -> None:
    """Answer."""
    device = claim_device(precision=Precision(sys.argv[2]))
    evaluate = make_evaluation(device.precision, int(sys.argv[1]))
    answer_with_seconds({"precision": device.precision.value, "device": device.name}, evaluate)


if __name__ == "__main__":
    main()
