"""The frozen VGG network that maps an image to features."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from nstd.engine import half
from nstd.network import Network, Precision
from nstd.transfer_settings import Pooling

_NETWORKS: Final = {Network.VGG19: keras.applications.VGG19, Network.VGG16: keras.applications.VGG16}
_SMALLEST_SQUARE: Final = float(np.finfo(np.float32).tiny)

LayerArrays = tuple[NDArray[np.float32], NDArray[np.float32]]
Pool = Callable[[tf.Tensor], tf.Tensor]


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


class Cut:
    """The network up to the deepest of some layers; made by `Extractor.cut`.

    Args:
        network: the convolutions and poolings, shallow to deep.
        layers: names of the layers whose features are wanted.
        pool: in place of the network's own pooling.
        precision: of the network.

    Attributes:
        channels: the number of channels of each of the layers, by name.
    """

    def __init__(self, network: Sequence[keras.Layer], layers: Sequence[str], pool: Pool, precision: Precision) -> None:
        depth = max(index for index, layer in enumerate(network) if layer.name in layers)
        self._network = network[: depth + 1]
        self._layers = layers
        self._pool = pool
        self._precision = precision
        self.channels: dict[str, int] = {layer.name: layer.filters for layer in network if layer.name in layers}

    def __call__(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        """Map an image to its features after the ReLU.

        Args:
            image: `[1, H, W, 3]` float32.

        Returns:
            One `[1, h, w, C]` tensor a layer, by its name: in bfloat16 where that is the precision, otherwise float32.
        """
        if self._precision is Precision.FLOAT16:
            narrowed, carrier = half.narrow(image)
            features = half.widen(self._features(narrowed), carrier)
        else:
            features = self._features(tf.cast(image, self._precision.value))
        return dict(zip(self._layers, features, strict=True))

    def _features(self, tensor: tf.Tensor) -> list[tf.Tensor]:
        found = {}
        for layer in self._network:
            tensor = self._pool(tensor) if isinstance(layer, keras.layers.MaxPooling2D) else layer(tensor)
            found[layer.name] = tensor
        return [found[name] for name in self._layers]


class Extractor:
    """The network without its top, in one precision, from which models of its features are cut.

    Args:
        network: which architecture.
        weights: `(kernel [3, 3, in, out], bias [out])` of every convolution, by layer name.
        precision: dtype of weights and activations, never `auto`.
    """

    def __init__(self, network: Network, weights: Mapping[str, LayerArrays], precision: Precision) -> None:
        original = _NETWORKS[network](include_top=False, weights=None)
        model = keras.models.clone_model(original, clone_function=lambda layer: _adapted(layer, precision))
        scale = half.SCALE if precision is Precision.FLOAT16 else 1
        for name, (kernel, bias) in weights.items():
            model.get_layer(name).set_weights([kernel, bias / scale])
        self._network = model.layers[1:]
        self._precision = precision

    def cut(self, layers: Sequence[str], pooling: Pooling = Pooling.MAX) -> Cut:
        """Return the model that ends at the deepest of `layers`; all models share the weights.

        Args:
            layers: names as in `nstd.network.layer_names`.
            pooling: what halves the features between the network's blocks.
        """
        return Cut(self._network, layers, _POOLS[pooling], self._precision)


def _adapted(layer: keras.Layer, precision: Precision) -> keras.Layer:
    constant = precision is Precision.FLOAT32 and not tf.config.get_visible_devices("GPU")
    kind = ConstantConvolution if constant and isinstance(layer, keras.layers.Conv2D) else type(layer)
    return kind.from_config(layer.get_config() | {"dtype": precision.value})


def _max_pool(features: tf.Tensor) -> tf.Tensor:
    return tf.nn.max_pool2d(features, 2, 2, "VALID")


def _average_pool(features: tf.Tensor) -> tf.Tensor:
    """Average 2 x 2 positions, times 2, which about makes up for what a maximum would be larger.

    Reference:
        Gatys et al. 2016, section 2. Differs: the factor, which is the one of crowsonkb's style-transfer-pytorch.
    """
    return 2 * tf.nn.avg_pool2d(features, 2, 2, "VALID")


def _l2_pool(features: tf.Tensor) -> tf.Tensor:
    """Take the root of the sum of squares of 2 x 2 positions, times 0.78, as crowsonkb's style-transfer-pytorch does.

    Differs: the squares are float32, as float16 holds those of features up to 255 only; a sum of zero has the
    gradient zero.
    """
    mean = tf.nn.avg_pool2d(tf.square(tf.cast(features, tf.float32)), 2, 2, "VALID")
    return tf.cast(0.78 * 2 * tf.sqrt(tf.maximum(mean, _SMALLEST_SQUARE)), features.dtype)


_POOLS: Final[Mapping[Pooling, Pool]] = {
    Pooling.MAX: _max_pool,
    Pooling.AVERAGE: _average_pool,
    Pooling.L2: _l2_pool,
}
