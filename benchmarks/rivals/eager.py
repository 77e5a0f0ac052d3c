"""The loop of many tutorials: Keras' VGG19 in float32 under an eager `tf.GradientTape`.

    python -m rivals.eager SIZE

The layers and factors are those of `torch_evaluation`; the weights are random, since only the time counts. TensorFlow
runs as it does by default, without nstd's settings.
"""

import os
import sys
from collections.abc import Callable

from rivals.answering import answer_with_seconds

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import tensorflow as tf

CONTENT_LAYER = "block4_conv2"
STYLE_LAYERS = [f"block{block}_conv1" for block in range(1, 6)]


def make_model() -> keras.Model:
    """Cut the features out of VGG19, its weights random, but such that the activations keep their size."""
    keras.utils.set_random_seed(0)
    network = keras.applications.VGG19(include_top=False, weights=None)
    network.trainable = False
    for layer in network.layers:
        if layer.weights:
            layer.kernel.assign(keras.initializers.HeNormal()(layer.kernel.shape))
    return keras.Model(network.input, [network.get_layer(name).output for name in [CONTENT_LAYER, *STYLE_LAYERS]])


def gram(features: tf.Tensor) -> tf.Tensor:
    """Correlate channels, as tutorials do."""
    positions = tf.cast(tf.shape(features)[1] * tf.shape(features)[2], tf.float32)
    return tf.einsum("bijc,bijd->bcd", features, features) / positions


def make_evaluation(size_px: int) -> Callable[[], None]:
    """Prepare one evaluation of loss and gradient."""
    model = make_model()
    image, other = (tf.Variable(tf.random.uniform([1, size_px, size_px, 3], -120, 130)) for _ in range(2))
    content, *styles = model(other)
    targets = [gram(features) for features in styles]

    def evaluate() -> None:
        with tf.GradientTape() as tape:
            features, *now = model(image)
            loss = 0.01 * tf.reduce_mean(tf.square(features - content))
            for layer, target in zip(now, targets, strict=True):
                loss += 10 / layer.shape[-1] ** 2 * tf.reduce_mean(tf.square(gram(layer) - target))
        gradient = tape.gradient(loss, image)
        float(loss), float(gradient[0, 0, 0, 0])

    return evaluate


def main() -> None:
    """Answer."""
    answer_with_seconds({"precision": "float32"}, make_evaluation(int(sys.argv[1])))


if __name__ == "__main__":
    main()
