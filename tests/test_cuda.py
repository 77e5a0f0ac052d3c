"""The libraries that a GPU needs, by the real loader, on a machine that need not have any."""

import ctypes.util
import re
import shutil
import sys
from pathlib import Path

import pytest

from nstd import cuda
from nstd.cuda import DRIVER, LIBRARIES, missing_libraries, not_loaded, wheels


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where pip seems to have put CUDA's libraries."""
    monkeypatch.setattr(cuda, "wheels", lambda: (tmp_path,))
    return tmp_path


def a_library() -> Path:
    """One that can be loaded: of this Python, or of the system."""
    mapped = Path("/proc/self/maps").read_text()
    return Path(next(path for path in re.findall(r"/\S+\.so\S*", mapped) if "libc.so" in path))


def test_library_that_is_there_is_found_beside_tensorflow(folder):
    shutil.copyfile(a_library(), folder / "libnstd-test-there.so.12")
    assert not_loaded(["libnstd-test-there.so.12"]) == {}
    assert ctypes.util.find_library("nstd-test-there") is None, "it is not loaded here"


def test_loaders_words_tell_what_is_wrong_with_a_library(folder):
    (folder / "libnstd-test-text.so.9").write_text("no library at all, and longer than the header of one" * 10)
    (folder / "libnstd-test-cut.so.9").touch()
    words = not_loaded(["libnstd-test-text.so.9", "libnstd-test-cut.so.9", "libnstd-test-none.so.9"])
    assert words["libnstd-test-text.so.9"] == f"{folder}/libnstd-test-text.so.9: invalid ELF header"
    assert words["libnstd-test-cut.so.9"] == f"{folder}/libnstd-test-cut.so.9: file too short"
    assert words["libnstd-test-none.so.9"] == (
        "libnstd-test-none.so.9: cannot open shared object file: No such file or directory"
    )


def test_loader_that_falls_or_hangs_is_told(monkeypatch):
    monkeypatch.setattr(cuda, "_LOADER", "import os; os.kill(os.getpid(), 9)")
    assert not_loaded(["a.so"]) == {"a.so": "the process that loads it ended with status -9"}
    monkeypatch.setattr(cuda, "_LOADER", "import signal; signal.pause()")
    monkeypatch.setattr(cuda, "_LOADER_SECONDS", 0.1)
    assert not_loaded(["a.so"]) == {"a.so": "it, or another one, was not loaded within 0.1 s"}


def test_each_missing_library_is_named_with_what_would_mend_it():
    words = {"libcudnn.so.9": "libcudnn.so.9: cannot open", DRIVER: "libcuda.so.1: no"}
    asked: list[str] = []

    def load(names: tuple[str, ...]) -> dict[str, str]:
        asked.extend(names)
        return words

    assert missing_libraries(load) == (
        "libcuda.so.1 cannot be loaded (libcuda.so.1: no); it comes with Nvidia's driver",
        "libcudnn.so.9 cannot be loaded (libcudnn.so.9: cannot open); pip install 'tensorflow[and-cuda]' brings it",
    )
    assert asked == [DRIVER, *LIBRARIES]
    words.clear()
    assert missing_libraries(load) == ()


def test_libraries_are_those_of_the_cuda_that_tensorflow_is_built_for():
    """A newer TensorFlow may want others."""
    from tensorflow.python.platform import build_info  # noqa: PLC0415  only this test pays for it

    built = build_info.build_info
    assert built["cuda_version"].split(".")[0] == "12"
    assert built["cudnn_version"].split(".")[0] == "9"


def test_pips_libraries_are_looked_for_beside_tensorflow(tmp_path, monkeypatch):
    (tmp_path / "tensorflow").mkdir()
    (tmp_path / "tensorflow/__init__.py").touch()
    for name in ("cudnn", "cublas"):
        (tmp_path / "nvidia" / name / "lib").mkdir(parents=True)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    assert wheels() == (tmp_path / "nvidia/cublas/lib", tmp_path / "nvidia/cudnn/lib")
