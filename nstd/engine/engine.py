"""The resident engine: one network, kept warm from job to job."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Final

import keras
import numpy as np
from numpy.typing import NDArray

from nstd.engine.descent import Descent
from nstd.engine.evaluator import WholeEvaluator
from nstd.engine.extractor import Extractor, LayerArrays
from nstd.engine.objective import Objective
from nstd.engine.optimizers import make_optimizer
from nstd.engine.pixels import Picture
from nstd.engine.smoke import check_device
from nstd.engine.state import Progress, State, state_of
from nstd.engine.styles import StatisticsCache, Style
from nstd.engine.transfer import Transfer
from nstd.network import Network, Precision
from nstd.transfer_settings import TransferSettings

_DESCENTS_KEPT: Final = 2


class Engine:
    """Hold the extractor, the compiled steps and the styles' statistics.

    Args:
        network: which architecture.
        weights: `(kernel [3, 3, in, out], bias [out])` of every convolution, by layer name.
        precision: dtype of the convolutions.
    """

    def __init__(self, network: Network, weights: Mapping[str, LayerArrays], precision: Precision) -> None:
        self._network = network
        self._extractor = Extractor(network, weights, precision)
        self._descents: dict[Hashable, Descent] = {}
        self._statistics = StatisticsCache()

    def check_device(self, device: str, weights: Mapping[str, LayerArrays]) -> None:
        """Have the device that this process computes on evaluate a picture, and the CPU the same; see `smoke`.

        Raises:
            ConfigError: they differ.
        """
        check_device(device, self._extractor, self._network, weights)

    def transfer(
        self,
        content: Picture,
        styles: Sequence[Style],
        settings: TransferSettings,
        start: State | None = None,
        *,
        spare_memory: bool = False,
    ) -> Transfer:
        """Prepare the painting of one content image, from its beginning or from a state; see `Transfer`.

        With `spare_memory` L-BFGS remembers less.
        """
        descent = self.descent(settings, spare_memory=spare_memory)
        return Transfer(descent, content, styles, settings, start=start, cache=self._statistics)

    def state(
        self,
        settings: TransferSettings,
        progress: Progress,
        arrays: Sequence[NDArray[np.float32]],
        *,
        spare_memory: bool = False,
    ) -> State:
        """Make the state of a transfer with these settings of what it was written as; see `state_of`."""
        return state_of(progress, arrays, self.descent(settings, spare_memory=spare_memory))

    def descent(self, settings: TransferSettings, *, spare_memory: bool = False) -> Descent:
        """Return the step for the settings' layers and optimiser; its graph serves all pictures that use these."""
        structure = (Objective.structure(settings), settings.optimizer, spare_memory)
        descent = self._descents.pop(structure, None)
        if descent is None:
            self._make_room()
            evaluator = WholeEvaluator(Objective(self._extractor, settings))
            descent = Descent(evaluator, make_optimizer(settings.optimizer, spare_memory=spare_memory))
        # The last used is the last in order.
        self._descents[structure] = descent
        return descent

    def _make_room(self) -> None:
        """Forget the steps that were used longest ago; their graphs hold up to 800 MB each."""
        if len(self._descents) < _DESCENTS_KEPT:
            return
        while len(self._descents) >= _DESCENTS_KEPT:
            del self._descents[next(iter(self._descents))]
        # TensorFlow keeps what it has made of a graph until it is told not to.
        keras.utils.clear_session()
