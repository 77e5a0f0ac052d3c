"""The frozen VGG network that maps an image to features."""

from collections.abc import Mapping, Sequence
from typing import Final

import keras
import numpy as np
from numpy.typing import NDArray

from nstd.config.settings import Precision
from nstd.preset import Network

_NETWORKS: Final = {Network.VGG19: keras.applications.VGG19, Network.VGG16: keras.applications.VGG16}

LayerArrays = tuple[NDArray[np.float32], NDArray[np.float32]]


class Extractor:
    """The network without its top, in one precision, from which feature models are cut.

    Args:
        network: which architecture.
        weights: `(kernel [3, 3, in, out], bias [out])` of every convolution, by layer name.
        precision: dtype of weights and activations, never `auto`.
    """

    def __init__(self, network: Network, weights: Mapping[str, LayerArrays], precision: Precision) -> None:
        original = _NETWORKS[network](include_top=False, weights=None)
        self._model = keras.models.clone_model(
            original,
            clone_function=lambda layer: layer.from_config(layer.get_config() | {"dtype": precision.value}),
        )
        self._model.trainable = False
        for name, arrays in weights.items():
            self._model.get_layer(name).set_weights(arrays)

    def cut(self, layers: Sequence[str]) -> keras.Model:
        """Return the model that ends at the deepest of `layers`.

        It maps `[1, H, W, 3]` to one `[1, h, w, C]` tensor a layer, after the ReLU, in the order of `layers`.
        Models share their weights.
        """
        return keras.Model(self._model.input, [self._model.get_layer(name).output for name in layers])
