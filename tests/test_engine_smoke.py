import numpy as np
import pytest

from nstd.engine.extractor import Extractor
from nstd.engine.smoke import check_device
from nstd.errors import ConfigError
from nstd.network import Network, Precision


@pytest.mark.parametrize("precision", [Precision.FLOAT32, Precision.BFLOAT16, Precision.FLOAT16])
def test_a_device_that_computes_as_the_cpu_does_is_used(weights, precision):
    check_device("gpu:0", Extractor(Network.VGG19, weights.arrays, precision), Network.VGG19, weights.arrays)


@pytest.mark.parametrize(("layer", "factor"), [("block1_conv1", 1.2), ("block2_conv2", -1.0), ("block3_conv1", np.nan)])
def test_a_device_that_computes_something_else_is_refused(weights, layer, factor):
    kernel, bias = weights.arrays[layer]
    wrong = Extractor(Network.VGG19, {**weights.arrays, layer: (kernel * np.float32(factor), bias)}, Precision.FLOAT32)
    told = (
        r"^gpu:0 computes something else than the CPU: the losses of a test picture differ by .*%.*engine.device: cpu"
    )
    with pytest.raises(ConfigError, match=told):
        check_device("gpu:0", wrong, Network.VGG19, weights.arrays)
