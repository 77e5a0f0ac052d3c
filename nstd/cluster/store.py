"""What lies in the cluster's object store for its workers."""

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import ray

from nstd.spool.durable import trouble
from nstd.weights.store import find_weights, load_weights
from nstd.worker.messages import Setup

if TYPE_CHECKING:
    from nstd.network import Network

_REMEMBERED_STYLES: Final = 256


class Store:
    """What has been put into the cluster's object store, for all workers once: weights and style images."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._weights: dict[tuple[Network, Path], tuple[str, Any]] = {}
        self._styles: dict[str, Any] = {}

    def weights(self, setup: Setup) -> tuple[str, Any]:
        """Return the SHA-256 and the stored file of a network's weights.

        Raises:
            WeightsError: they are missing or damaged.
        """
        key = setup.engine.network, setup.cache
        with self._lock:
            if key not in self._weights:
                sha256 = load_weights(*key).sha256
                self._weights[key] = sha256, put(find_weights(*key))
            return self._weights[key]

    def style(self, sha256: str, path: Path) -> Any:  # noqa: ANN401  a reference
        """Return a style image's file.

        Raises:
            SpoolError: it cannot be read.
        """
        with self._lock:
            self._styles[sha256] = reference = self._styles.pop(sha256, None) or put(path)
            while len(self._styles) > _REMEMBERED_STYLES:
                self._styles.pop(next(iter(self._styles)))
            return reference

    def clear(self) -> None:
        """Forget what is there, so that it is put there again."""
        with self._lock:
            self._weights.clear()
            self._styles.clear()


def put(path: Path) -> Any:  # noqa: ANN401  a reference
    """Put a file into the object store.

    Raises:
        SpoolError: it cannot be read.
    """
    with trouble("read what a worker needs"):
        content = np.fromfile(path, np.uint8)
    return ray.put(content)
