"""The resident engine: one network, kept warm from job to job."""

from collections.abc import Mapping, Sequence

from nstd.config.settings import Precision
from nstd.engine.extractor import Extractor, LayerArrays
from nstd.engine.objective import Objective
from nstd.engine.transfer import Picture, Transfer
from nstd.preset import Network, TransferSettings


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
        if structure not in self._objectives:
            self._objectives[structure] = Objective(self._extractor, settings)
        return self._objectives[structure]
