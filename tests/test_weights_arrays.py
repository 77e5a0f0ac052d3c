import numpy as np
import pytest
from weights_samples import sample_arrays

from nstd.errors import WeightsError
from nstd.network import Network
from nstd.weights.arrays import check_shapes, expected_shapes


@pytest.mark.parametrize(
    ("network", "kernels", "parameters"),
    # `keras.applications.VGG19(include_top=False).count_params()`, and VGG16's
    [(Network.VGG19, 16, 20_024_384), (Network.VGG16, 13, 14_714_688)],
)
def test_architecture_has_the_published_number_of_parameters(network: Network, kernels: int, parameters: int) -> None:
    shapes = expected_shapes(network)
    assert len(shapes) == kernels
    assert sum(np.prod(kernel) + np.prod(bias) for kernel, bias in shapes.values()) == parameters


def test_first_layers_have_the_published_shapes() -> None:
    shapes = expected_shapes(Network.VGG19)
    assert shapes["block1_conv1"] == ((3, 3, 3, 64), (64,))
    assert shapes["block2_conv1"] == ((3, 3, 64, 128), (128,))
    assert shapes["block5_conv1"] == ((3, 3, 512, 512), (512,))


def test_arrays_of_the_right_shapes_pass() -> None:
    check_shapes(Network.VGG16, sample_arrays(Network.VGG16))


def test_missing_layer_is_named() -> None:
    arrays = dict(sample_arrays(Network.VGG16))
    del arrays["block3_conv2"]
    with pytest.raises(WeightsError, match=r"^block3_conv2 is missing$"):
        check_shapes(Network.VGG16, arrays)


def test_foreign_layer_is_named() -> None:
    arrays = dict(sample_arrays(Network.VGG16))
    arrays["block3_conv4"] = arrays["block3_conv3"]
    with pytest.raises(WeightsError, match=r"^block3_conv4 is no layer of vgg16$"):
        check_shapes(Network.VGG16, arrays)


@pytest.mark.parametrize(
    ("kernel", "bias", "message"),
    [
        (
            np.zeros((64, 3, 3, 3), np.float32),
            np.zeros(64, np.float32),
            "block1_conv1: kernel is float32 (64, 3, 3, 3), expected float32 (3, 3, 3, 64)",
        ),
        (
            np.zeros((3, 3, 3, 64), np.float32),
            np.zeros(64),
            "block1_conv1: bias is float64 (64,), expected float32 (64,)",
        ),
    ],
)
def test_wrong_array_is_named(kernel: np.ndarray, bias: np.ndarray, message: str) -> None:
    arrays = {**sample_arrays(Network.VGG16), "block1_conv1": (kernel, bias)}
    with pytest.raises(WeightsError) as caught:
        check_shapes(Network.VGG16, arrays)
    assert str(caught.value) == message
