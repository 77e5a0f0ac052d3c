import numpy as np
import pytest
import tensorflow as tf

from nstd.engine.extractor import Extractor
from nstd.engine.pixels import preprocess
from nstd.network import Network, Precision, layer_names
from nstd.transfer_settings import Pooling

# Each from the four values of a 2 x 2 square.
BY_HAND = {
    Pooling.MAX: lambda square: square.max(axis=(1, 3)),
    Pooling.AVERAGE: lambda square: 2 * square.mean(axis=(1, 3)),
    Pooling.L2: lambda square: 0.78 * np.sqrt((square**2).sum(axis=(1, 3))),
}


@pytest.fixture(scope="module")
def extractor(weights) -> Extractor:
    return Extractor(Network.VGG19, weights.arrays, Precision.FLOAT32)


@pytest.fixture(scope="module")
def image(picture) -> tf.Tensor:
    return preprocess(picture("photos/chelsea.jpg", 48))


def by_hand(patch: np.ndarray, weights, layer: str) -> np.ndarray:
    """Compute what a layer makes of a 3 x 3 patch at its centre."""
    kernel, bias = weights.arrays[layer]
    return np.maximum(0, np.einsum("ijc,ijcd->d", patch, kernel) + bias)


def test_first_layer_is_the_convolution_of_the_real_weights(extractor, weights, image):
    expected = by_hand(image.numpy()[0, 6:9, 10:13], weights, "block1_conv1")
    features = extractor.cut(["block1_conv1", "block1_conv2"])(image)["block1_conv1"]
    assert expected.max() > 10
    np.testing.assert_allclose(features[0, 7, 11], expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("pooling", list(Pooling))
def test_layer_behind_a_pooling_sees_what_the_pooling_makes(extractor, weights, image, pooling):
    before, behind = extractor.cut(["block1_conv2", "block2_conv1"], pooling)(image).values()
    squares = before.numpy()[0, 12:18, 20:26].reshape(3, 2, 3, 2, 64)
    expected = by_hand(BY_HAND[pooling](squares), weights, "block2_conv1")
    assert expected.max() > 100
    np.testing.assert_allclose(behind[0, 7, 11], expected, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("pooling", list(Pooling))
def test_gradient_through_a_pooling_of_zeros_is_finite(extractor, image, pooling):
    with tf.GradientTape() as tape:
        tape.watch(image)
        before, behind = extractor.cut(["block1_conv2", "block2_conv1"], pooling)(image).values()
        value = tf.reduce_sum(behind)
    squares = before.numpy()[0].reshape(before.shape[1] // 2, 2, before.shape[2] // 2, 2, 64)
    assert (squares.max(axis=(1, 3)) == 0).any()
    gradient = tape.gradient(value, image).numpy()
    assert np.isfinite(gradient).all()
    assert gradient.any()


@pytest.mark.parametrize("precision", [Precision.FLOAT32, Precision.BFLOAT16, Precision.FLOAT16])
@pytest.mark.parametrize("pooling", list(Pooling))
def test_features_are_nearly_the_same_in_all_precisions(weights, extractor, image, pooling, precision):
    layers = ["block5_conv1", "block2_conv2"]
    expected = extractor.cut(layers, pooling)(image)
    found = Extractor(Network.VGG19, weights.arrays, precision).cut(layers, pooling)(image)
    assert {features.dtype for features in found.values()} == {
        tf.bfloat16 if precision is Precision.BFLOAT16 else tf.float32
    }
    for exact, rough in zip(expected.values(), found.values(), strict=True):
        # bfloat16 keeps 8 binary digits, and thirteen layers round one after the other.
        assert float(tf.norm(tf.cast(rough, tf.float32) - exact) / tf.norm(exact)) < 0.02


def test_features_beyond_float16_are_computed_in_it(weights, extractor):
    """Loud noise and the average pooling bring the features of block 4 over 65,504."""
    noise = np.random.default_rng(0).uniform(-500, 755, (48, 48, 3)).astype(np.float32)
    (exact,), (half,) = (
        e.cut(["block4_conv2"], Pooling.AVERAGE)(preprocess(noise)).values()
        for e in (extractor, Extractor(Network.VGG19, weights.arrays, Precision.FLOAT16))
    )
    assert float(tf.reduce_max(exact)) > 65_504
    assert float(tf.norm(half - exact) / tf.norm(exact)) < 0.01


@pytest.mark.parametrize("network", list(Network))
def test_every_named_layer_exists_in_keras(network):
    cut = Extractor(network, {}, Precision.FLOAT32).cut(layer_names(network))
    assert [*cut.channels] == [*layer_names(network)]
    assert [*cut.channels.values()][::3][:2] == [64, 128]
    assert len(cut.channels) == {"vgg19": 16, "vgg16": 13}[network]
    assert [features.shape[3] for features in cut(tf.zeros([1, 32, 32, 3])).values()] == [*cut.channels.values()]


def test_features_come_in_the_order_of_the_names(extractor, image):
    deep, shallow = extractor.cut(["block2_conv1", "block1_conv1"])(image).values()
    assert (deep.shape[3], shallow.shape[3]) == (128, 64)
