import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from weights_samples import tensor_opcodes, torch_file

from nstd.errors import WeightsError
from nstd.weights.torch_pickle import read_tensors


def test_tensors_come_back_with_shape_type_and_values() -> None:
    tensors = {
        "indices": np.arange(24, dtype=np.uint8).reshape(2, 3, 4),
        "table": np.linspace(-1, 1, 5, dtype=np.float32),
    }
    found = read_tensors(torch_file(tensors))
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert found[name].dtype == tensor.dtype
        np.testing.assert_array_equal(found[name], tensor)


class Hostile:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"touch {self.marker}",)


class Deletes:
    def __reduce__(self) -> tuple[object, ...]:
        return shutil.rmtree, ("/nowhere",)


class Evaluates:
    def __reduce__(self) -> tuple[object, ...]:
        return eval, ("1 + 1",)


@pytest.mark.parametrize("position", range(5))
def test_hostile_pickle_is_refused_and_does_not_run(tmp_path: Path, position: int) -> None:
    marker = tmp_path / "ran"
    parts = [pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {}, {}, [])]
    parts[position] = pickle.dumps(Hostile(marker), 2)
    with pytest.raises(WeightsError, match=r"^the pickle asks for posix\.system, which reading tensors"):
        read_tensors(b"".join(parts))
    assert not marker.exists()


@pytest.mark.parametrize(("hostile", "name"), [(Deletes(), "shutil.rmtree"), (Evaluates(), "__builtin__.eval")])
def test_refusal_names_what_was_asked_for(hostile: object, name: str) -> None:
    with pytest.raises(WeightsError) as caught:
        read_tensors(pickle.dumps(hostile, 2))
    assert str(caught.value) == f"the pickle asks for {name}, which reading tensors does not need"


TABLE = np.zeros(4, np.float32)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "EOFError"),
        (b"not a pickle", "UnpicklingError"),
        (torch_file({"a": TABLE}, magic=7), "ValueError: magic number and protocol are 7 and 1001, expected"),
        (torch_file({"a": TABLE})[:-1], "ValueError: buffer is smaller than requested size"),
        (
            torch_file({"a": TABLE}, views={"a": tensor_opcodes("a", "FloatStorage", (2, 2), (1, 2))}),
            "ValueError: a tensor of shape (2, 2) has stride (1, 2), expected a contiguous one",
        ),
        (
            torch_file({"a": TABLE}, views={"a": tensor_opcodes("a", "FloatStorage", (5,), (1,))}),
            "ValueError: cannot reshape",
        ),
    ],
)
def test_other_files_are_refused_with_the_reason(content: bytes, reason: str) -> None:
    with pytest.raises(WeightsError) as caught:
        read_tensors(content)
    assert str(caught.value).startswith(f"not a PyTorch file in the legacy format: {reason}")
