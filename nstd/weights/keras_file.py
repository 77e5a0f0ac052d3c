"""Read the weights that Keras publishes for VGG16 and VGG19 without their top, an HDF5 file each.

Keras publishes the MD5 of these files and no stronger hash, so the MD5 and the size are what is checked: it
tells a damaged or a wrong file. A file forged to the same MD5 would need a second preimage, which nobody can
make today. The SHA-256 of what was read is kept with the stored weights.

Reference:
    keras/src/applications/vgg16.py and vgg19.py (addresses, MD5); keras/src/legacy/saving/legacy_h5_format.py
    (layout).
"""

from io import BytesIO
from typing import TYPE_CHECKING, Final

import numpy as np

from nstd.errors import WeightsError
from nstd.network import Network, layer_names
from nstd.weights.arrays import Array, Arrays
from nstd.weights.published import PublishedFile

if TYPE_CHECKING:
    import h5py

HOST: Final = "https://storage.googleapis.com/tensorflow/keras-applications"
KERAS_FILES: Final = {
    Network.VGG19: PublishedFile(
        name="vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5",
        size_bytes=80_134_624,
        algorithm="md5",
        digest="253f8cb515780f3b799900260a226db6",
    ),
    Network.VGG16: PublishedFile(
        name="vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
        size_bytes=58_889_256,
        algorithm="md5",
        digest="6d6bbae143d832006294945121d1f1fc",
    ),
}


def keras_url(network: Network, host: str = HOST) -> str:
    """Return the address of the network's file."""
    return f"{host}/{network}/{KERAS_FILES[network].name}"


def read_keras_file(network: Network, content: bytes, published: PublishedFile) -> Arrays:
    """Return the network's weights.

    Args:
        network: whose weights.
        content: the HDF5 file's bytes.
        published: what these must be.

    Raises:
        WeightsError: the file is not the published one, or not laid out as Keras does.
    """
    # Imported late: `nstd --help` and the daemon reach this module, and h5py alone takes 0.1 s.
    import h5py  # noqa: PLC0415

    published.check(content)
    try:
        with h5py.File(BytesIO(content)) as file:
            return {layer: _layer(file[layer]) for layer in layer_names(network)}
    except (OSError, KeyError, ValueError) as error:
        msg = f"{published.name}: not laid out as Keras does: {error}"
        raise WeightsError(msg) from error


def _layer(group: "h5py.Group") -> tuple[Array, Array]:
    kernel, bias = (np.asarray(group[name], np.float32) for name in group.attrs["weight_names"])
    return kernel, bias
