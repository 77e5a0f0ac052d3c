import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from weights_samples import sample_arrays

from nstd.errors import WeightsError
from nstd.network import Network
from nstd.weights.store import (
    Provenance,
    Weights,
    cache_folder,
    find_weights,
    load_weights,
    pull_command,
    save_weights,
    weights_path,
)

PROVENANCE = Provenance(
    network=Network.VGG16, source="keras", source_file="a.h5", source_sha256=sha256(b"a").hexdigest()
)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Weights:
    """Weights in a folder of their own, whose first component a test finds by `cache_of`."""
    return save_weights(sample_arrays(Network.VGG16), PROVENANCE, tmp_path_factory.mktemp("cache") / "new")


def cache_of(stored: Weights) -> Path:
    return stored.path.parent.parent


@pytest.fixture
def damaged(stored: Weights, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The stored file, free to be spoilt: it is whole again for the next test."""
    monkeypatch.setenv("NSTD_CACHE", str(cache_of(stored)))
    content = stored.path.read_bytes()
    yield stored.path
    stored.path.write_bytes(content)


def test_weights_come_back_as_saved(stored: Weights) -> None:
    weights = load_weights(Network.VGG16, cache_of(stored))
    assert weights.provenance == PROVENANCE
    assert (weights.network, weights.source) == (Network.VGG16, "keras")
    assert weights.source_sha256 == PROVENANCE.source_sha256
    assert weights.provenance.credit == "Simonyan and Zisserman, CC BY 4.0"
    for layer, pair in sample_arrays(Network.VGG16).items():
        for found, expected in zip(weights.arrays[layer], pair, strict=True):
            np.testing.assert_array_equal(found, expected)


def test_file_is_an_ordinary_archive_that_ends_with_its_hash(stored: Weights) -> None:
    content = stored.path.read_bytes()
    assert stored.size_bytes == len(content)
    assert stored.sha256 == sha256(content[:-64]).hexdigest() == content[-64:].decode()
    with np.load(stored.path, allow_pickle=False) as archive:
        assert archive["block5_conv3/bias"].shape == (512,)
        assert b"CC BY 4.0" in archive["provenance.json"]


def test_arrays_cannot_be_changed(stored: Weights) -> None:
    with pytest.raises(ValueError, match="read-only"):
        stored.arrays["block1_conv1"][1][0] = 1
    with pytest.raises(TypeError):
        stored.arrays["block1_conv1"] = stored.arrays["block1_conv2"]  # type: ignore[index]


def test_same_weights_give_the_same_bytes(stored: Weights, tmp_path: Path) -> None:
    again = save_weights(sample_arrays(Network.VGG16), PROVENANCE, tmp_path)
    assert again.sha256 == stored.sha256


def test_archive_is_not_compressed_so_that_loading_is_fast(stored: Weights) -> None:
    with zipfile.ZipFile(stored.path) as archive:
        assert {member.compress_type for member in archive.infolist()} == {zipfile.ZIP_STORED}


def test_file_is_readable_for_a_service_user_and_no_temporary_file_stays(stored: Weights) -> None:
    assert stored.path.stat().st_mode & 0o777 == 0o644
    assert list(stored.path.parent.iterdir()) == [stored.path]


@pytest.mark.parametrize("position", [0, 100, 30_000_000, -70, -64, -1])
def test_flipped_bit_is_noticed(stored: Weights, damaged: Path, position: int) -> None:
    content = bytearray(damaged.read_bytes())
    content[position] ^= 1
    damaged.write_bytes(content)
    with pytest.raises(WeightsError) as caught:
        load_weights(Network.VGG16, cache_of(stored))
    assert str(caught.value) == (
        f"vgg16 weights are damaged: {damaged}: the SHA-256 of its {len(content)} bytes is not the one "
        "it ends with; run 'nstd weights pull --network vgg16'"
    )


@pytest.mark.parametrize("size", [0, 1, 64, 50_000_000])
def test_truncated_file_is_noticed(stored: Weights, damaged: Path, size: int) -> None:
    os.truncate(damaged, size)
    with pytest.raises(WeightsError, match=rf"^vgg16 weights are damaged: .* of its {size} bytes is not"):
        load_weights(Network.VGG16, cache_of(stored))


def seal(content: bytes) -> bytes:
    return content + sha256(content).hexdigest().encode()


def test_sealed_file_that_is_no_archive_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NSTD_CACHE", str(tmp_path))
    path = weights_path(Network.VGG19, tmp_path)
    path.parent.mkdir()
    path.write_bytes(seal(b"something else"))
    with pytest.raises(WeightsError) as caught:
        load_weights(Network.VGG19, tmp_path)
    assert str(caught.value) == (
        f"vgg19 weights are damaged: {path}: not the weights of vgg19 in format 1, this version's; "
        "run 'nstd weights pull'"
    )


def test_file_of_another_format_is_refused(tmp_path: Path) -> None:
    later = PROVENANCE.model_copy(update={"format": 2})
    with pytest.raises(WeightsError, match="not the weights of vgg16 in format 1"):
        save_weights(sample_arrays(Network.VGG16), later, tmp_path)


def test_weights_of_another_network_are_refused(stored: Weights, tmp_path: Path) -> None:
    path = weights_path(Network.VGG19, tmp_path)
    path.parent.mkdir()
    path.hardlink_to(stored.path)
    with pytest.raises(WeightsError, match="not the weights of vgg19 in format 1"):
        load_weights(Network.VGG19, tmp_path)


@pytest.mark.parametrize(
    ("network", "command"),
    [(Network.VGG19, "nstd weights pull"), (Network.VGG16, "nstd weights pull --network vgg16")],
)
def test_missing_weights_name_the_command_to_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network: Network, command: str
) -> None:
    monkeypatch.setenv("NSTD_CACHE", str(tmp_path))
    for look in (find_weights, load_weights):
        with pytest.raises(WeightsError) as caught:
            look(network, tmp_path)
        assert str(caught.value) == (
            f"{network} weights are missing: nothing at {tmp_path}/weights/{network}.npz; run '{command}'"
        )


def test_stored_weights_are_found_without_reading(tmp_path: Path) -> None:
    path = tmp_path / "weights" / "vgg19.npz"
    path.parent.mkdir()
    path.touch()
    assert find_weights(Network.VGG19, tmp_path) == path


def test_unreadable_weights_are_not_called_damaged(tmp_path: Path) -> None:
    path = tmp_path / "weights" / "vgg19.npz"
    path.mkdir(parents=True)
    with pytest.raises(WeightsError) as caught:
        load_weights(Network.VGG19, tmp_path)
    assert str(caught.value) == f"vgg19 weights cannot be read: {path}: Is a directory"


def test_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WeightsError) as caught:
        save_weights(sample_arrays(Network.VGG16), PROVENANCE, tmp_path / "file")
    assert str(caught.value) == (
        f"vgg16 weights cannot be stored: {tmp_path}/file/weights/vgg16.npz: Not a directory; "
        "set NSTD_CACHE to a folder that can be written"
    )


def test_failed_commit_leaves_no_temporary_file(tmp_path: Path) -> None:
    in_the_way = tmp_path / "weights" / "vgg16.npz"
    in_the_way.mkdir(parents=True)
    with pytest.raises(WeightsError, match="Is a directory"):
        save_weights(sample_arrays(Network.VGG16), PROVENANCE, tmp_path)
    assert list(in_the_way.parent.iterdir()) == [in_the_way]


def test_arrays_that_do_not_fit_are_not_stored(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"^block3_conv4 is no layer of vgg16$"):
        save_weights(sample_arrays(Network.VGG19), PROVENANCE, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        ({"NSTD_CACHE": "/a", "CACHE_DIRECTORY": "/b", "XDG_CACHE_HOME": "/c"}, "/a"),
        ({"NSTD_CACHE": "", "CACHE_DIRECTORY": "/b", "XDG_CACHE_HOME": "/c"}, "/b"),
        ({"CACHE_DIRECTORY": "/b:/b2"}, "/b"),
        ({"XDG_CACHE_HOME": "/c", "HOME": "/d"}, "/c/nstd"),
        ({"XDG_CACHE_HOME": "relative", "HOME": "/d"}, "/d/.cache/nstd"),
        ({"HOME": "/d"}, "/d/.cache/nstd"),
        ({}, str(Path.home() / ".cache/nstd")),
        ({"NSTD_CACHE": "relative"}, str(Path.cwd() / "relative")),
    ],
)
def test_cache_folder_follows_the_environment(environ: dict[str, str], folder: str) -> None:
    assert cache_folder(environ) == Path(folder)


def test_the_store_needs_no_network_code() -> None:
    code = "import sys, nstd.weights.store; print({'ssl', 'h5py', 'tensorflow'} & sys.modules.keys())"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "set()\n"


@pytest.mark.parametrize(
    ("environ", "command"),
    [
        ({"NSTD_CACHE": "/srv/nstd"}, "nstd weights pull"),
        ({"XDG_CACHE_HOME": "/srv"}, "nstd weights pull"),
        ({}, "NSTD_CACHE=/srv/nstd nstd weights pull"),
    ],
)
def test_command_names_the_folder_where_it_is_not_the_persons_own(environ, command, monkeypatch):
    for name in ("NSTD_CACHE", "XDG_CACHE_HOME", "CACHE_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert pull_command(Network.VGG19, Path("/srv/nstd")) == command
    assert pull_command(Network.VGG16, Path("/srv/nstd")) == f"{command} --network vgg16"


def test_service_has_its_weights_fetched_by_its_installation(monkeypatch, tmp_path):
    monkeypatch.setattr("nstd.weights.store.SERVICE_CACHE", tmp_path)
    monkeypatch.setenv("CACHE_DIRECTORY", str(tmp_path))
    for network in Network:
        with pytest.raises(WeightsError, match=r"; run 'sudo nstd install-service'$"):
            find_weights(network, cache_folder(os.environ))
