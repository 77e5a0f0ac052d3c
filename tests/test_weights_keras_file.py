import importlib.util
from pathlib import Path

import numpy as np
import pytest
from weights_samples import keras_h5, published, sample_arrays

from nstd.errors import WeightsError
from nstd.network import Network
from nstd.weights.arrays import check_shapes
from nstd.weights.keras_file import KERAS_FILES, keras_url, read_keras_file


@pytest.mark.parametrize("network", Network)
def test_arrays_come_back_as_laid_out_by_keras(network: Network) -> None:
    written = sample_arrays(network)
    content = keras_h5(written)
    arrays = read_keras_file(network, content, published("a.h5", content))
    check_shapes(network, arrays)
    for layer, (kernel, bias) in written.items():
        np.testing.assert_array_equal(arrays[layer][0], kernel)
        np.testing.assert_array_equal(arrays[layer][1], bias)


@pytest.mark.parametrize("network", Network)
def test_address_and_hash_are_those_of_the_installed_keras(network: Network) -> None:
    spec = importlib.util.find_spec("keras")
    assert spec is not None
    assert spec.origin is not None
    source = Path(spec.origin).with_name("src").joinpath("applications", f"{network}.py").read_text()
    assert KERAS_FILES[network].digest in source
    assert keras_url(network) in source.replace('"\n    "', "")


def test_file_of_another_size_is_refused() -> None:
    with pytest.raises(WeightsError) as caught:
        read_keras_file(Network.VGG19, b"abc", KERAS_FILES[Network.VGG19])
    assert str(caught.value) == (
        "not the published vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5: 3 bytes, expected 80134624"
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"abc", "file signature not found"), (keras_h5({}), "object 'block1_conv1' doesn't exist")],
)
def test_other_layout_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(WeightsError, match=rf"^a\.h5: not laid out as Keras does: .*{reason}"):
        read_keras_file(Network.VGG16, content, published("a.h5", content))
