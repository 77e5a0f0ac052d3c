"""A driver whose actors have a stand-in for their painter."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import ray

from clustering import standin
from nstd.cluster import __main__ as driver
from nstd.cluster.actor import Actor, Paints
from nstd.cluster.parcels import Bytes
from nstd.weights.store import Weights
from nstd.worker.files import Files
from nstd.worker.messages import Setup


class CountingActor(Actor):
    """Load nothing."""

    def __init__(self) -> None:
        standin.fall_if_told("begin")
        super().__init__()

    def _make_painter(self, _setup: Setup, _weights: Weights, files: Files) -> Paints:
        standin.fall_if_told("load")
        self._standin = standin.StandIn(files)
        return self._standin

    def fetch(self, number: int) -> Bytes:
        """Let the stand-in fall on the way."""
        self._standin.sent(number)
        return super().fetch(number)


if __name__ == "__main__":
    # Unlike nstd, this is not installed on the nodes.
    ray.cloudpickle.register_pickle_by_value(standin)
    driver.main(CountingActor)
