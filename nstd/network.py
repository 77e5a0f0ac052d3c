"""The networks whose features are compared, and their arithmetic."""

from enum import StrEnum
from typing import Final


class Network(StrEnum):
    """The networks whose features nstd can compare."""

    VGG19 = "vgg19"
    VGG16 = "vgg16"


class Precision(StrEnum):
    """Arithmetic of the network's convolutions; pixels, losses and the optimiser are always float32."""

    AUTO = "auto"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"


_CONVOLUTIONS_PER_BLOCK: Final = {Network.VGG19: (2, 2, 4, 4, 4), Network.VGG16: (2, 2, 3, 3, 3)}


def layer_names(network: Network) -> tuple[str, ...]:
    """Return the names of the network's convolutions, shallow to deep, as Keras spells them."""
    return tuple(
        f"block{block}_conv{convolution}"
        for block, count in enumerate(_CONVOLUTIONS_PER_BLOCK[network], start=1)
        for convolution in range(1, count + 1)
    )
