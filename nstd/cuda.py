"""The libraries that TensorFlow needs for a GPU, which it looks for without saying which of them is missing."""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

DRIVER: Final = "libcuda.so.1"
LIBRARIES: Final = (
    "libcudart.so.12",
    "libcublas.so.12",
    "libcublasLt.so.12",
    "libcufft.so.11",
    "libcusolver.so.11",
    "libcusparse.so.12",
    "libcudnn.so.9",
)
"""Of TensorFlow 2.20 to 2.22, built for CUDA 12 and cuDNN 9: all that its `TryDlopenCUDALibraries` asks for."""

_LOADER_SECONDS: Final = 60.0
# In a process of its own: what a library does as it is loaded is not undone, and some of them are very large.
_LOADER: Final = """
import ctypes, json, sys
words = {}
for name in sys.argv[1:]:
    try:
        ctypes.CDLL(name)
    except OSError as error:
        words[name] = str(error)
print(json.dumps(words))
"""

Load = Callable[[Sequence[str]], Mapping[str, str]]


def wheels() -> tuple[Path, ...]:
    """Return the folders where pip has put CUDA's libraries, in which TensorFlow looks for them: beside itself."""
    found = importlib.util.find_spec("tensorflow")
    beside = Path(found.origin).parents[1] if found and found.origin else Path(os.devnull)
    return tuple(sorted(beside.glob("nvidia/*/lib")))


def not_loaded(names: Sequence[str]) -> Mapping[str, str]:
    """Try to load libraries, from where TensorFlow would find them; return the loader's words by library.

    Args:
        names: such as `libcudnn.so.9`.
    """
    folders = (os.environ.get("LD_LIBRARY_PATH", ""), *map(str, wheels()))
    environ = os.environ | {"LD_LIBRARY_PATH": ":".join(filter(None, folders))}
    command = (sys.executable, "-P", "-c", _LOADER, *names)
    try:
        done = subprocess.run(  # noqa: S603  our own few lines
            command, env=environ, capture_output=True, text=True, check=False, timeout=_LOADER_SECONDS
        )
    except subprocess.TimeoutExpired:
        return dict.fromkeys(names, f"it, or another one, was not loaded within {_LOADER_SECONDS:g} s")
    if done.returncode:
        return dict.fromkeys(names, f"the process that loads it ended with status {done.returncode}")
    return dict(json.loads(done.stdout))


def missing_libraries(load: Load = not_loaded) -> tuple[str, ...]:
    """Name each library that keeps TensorFlow from finding a GPU, in a sentence, and load none of them here.

    Args:
        load: tries to, and returns the loader's words about each that it could not load.
    """
    words = load((DRIVER, *LIBRARIES))
    by_pip = dict.fromkeys(LIBRARIES, "pip install 'tensorflow[and-cuda]' brings it")
    mends = {DRIVER: "it comes with Nvidia's driver"} | by_pip
    return tuple(f"{name} cannot be loaded ({words[name]}); {mend}" for name, mend in mends.items() if name in words)
