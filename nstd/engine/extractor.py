"""The frozen VGG network that maps an image to features."""

from collections.abc import Mapping, Sequence
from typing import Final

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from nstd.config.settings import Precision
from nstd.preset import Network

_NETWORKS: Final = {Network.VGG19: keras.applications.VGG19, Network.VGG16: keras.applications.VGG16}

LayerArrays = tuple[NDArray[np.float32], NDArray[np.float32]]


class ConstantConvolution(keras.layers.Conv2D):  # type: ignore[misc]  # Keras has no types
    """Keras' convolution with its weights as constants of the graph.

    oneDNN then brings a float32 kernel into the processor's own order once instead of at every step, which makes an
    evaluation up to a quarter faster. It costs memory, and gains nothing in bfloat16 or on a GPU.
    """

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Map `[1, H, W, in]` to `[1, H, W, out]`, with zero padding."""
        with tf.init_scope():
            kernel, bias = self.kernel.numpy(), self.bias.numpy()
        return tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(inputs, kernel, 1, "SAME"), bias))


class Extractor:
    """The network without its top, in one precision, from which feature models are cut.

    Args:
        network: which architecture.
        weights: `(kernel [3, 3, in, out], bias [out])` of every convolution, by layer name.
        precision: dtype of weights and activations, never `auto`.
    """

    def __init__(self, network: Network, weights: Mapping[str, LayerArrays], precision: Precision) -> None:
        original = _NETWORKS[network](include_top=False, weights=None)
        self._model = keras.models.clone_model(original, clone_function=lambda layer: _adapted(layer, precision))
        self._model.trainable = False
        for name, arrays in weights.items():
            self._model.get_layer(name).set_weights(arrays)

    def cut(self, layers: Sequence[str]) -> keras.Model:
        """Return the model that ends at the deepest of `layers`.

        It maps `[1, H, W, 3]` to one `[1, h, w, C]` tensor a layer, after the ReLU, in the order of `layers`.
        Models share their weights.
        """
        return keras.Model(self._model.input, [self._model.get_layer(name).output for name in layers])


def _adapted(layer: keras.Layer, precision: Precision) -> keras.Layer:
    constant = precision is Precision.FLOAT32 and not tf.config.get_visible_devices("GPU")
    kind = ConstantConvolution if constant and isinstance(layer, keras.layers.Conv2D) else type(layer)
    return kind.from_config(layer.get_config() | {"dtype": precision.value})
