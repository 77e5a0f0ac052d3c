"""The resident engine: one network, kept warm from job to job."""

from collections.abc import Mapping, Sequence
from typing import Final

import keras

from nstd.config.settings import Precision
from nstd.engine.extractor import Extractor, LayerArrays
from nstd.engine.objective import Objective
from nstd.engine.transfer import Picture, Transfer
from nstd.preset import Network, TransferSettings

_OBJECTIVES_KEPT: Final = 2


class Engine:
    """Hold the extractor and the compiled objectives.

    Args:
        network: which architecture.
        weights: `(kernel [3, 3, in, out], bias [out])` of every convolution, by layer name.
        precision: dtype of the convolutions.
    """

    def __init__(self, network: Network, weights: Mapping[str, LayerArrays], precision: Precision) -> None:
        self._extractor = Extractor(network, weights, precision)
        self._objectives: dict[tuple[tuple[str, ...], tuple[str, ...], bool], Objective] = {}

    def transfer(
        self, content: Picture, styles: Sequence[tuple[Picture, float]], settings: TransferSettings
    ) -> Transfer:
        """Prepare the painting of one content image; see `Transfer`."""
        return Transfer(self._objective(settings), content, styles, settings)

    def _objective(self, settings: TransferSettings) -> Objective:
        """Return the objective for the settings' layers; its graph serves all pictures that use these layers."""
        structure = Objective.structure(settings)
        objective = self._objectives.pop(structure, None)
        if objective is None:
            self._make_room()
            objective = Objective(self._extractor, settings)
        # The last used is the last in order.
        self._objectives[structure] = objective
        return objective

    def _make_room(self) -> None:
        """Forget the objectives that were used longest ago; their graphs hold up to 800 MB each."""
        if len(self._objectives) < _OBJECTIVES_KEPT:
            return
        while len(self._objectives) >= _OBJECTIVES_KEPT:
            del self._objectives[next(iter(self._objectives))]
        # TensorFlow keeps what it has made of a graph until it is told not to.
        keras.utils.clear_session()
