"""Signs of life while a worker loads the network."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from nstd.worker.messages import Waiting

_EVERY_SECONDS: Final = 5.0
_AT_MOST_SECONDS: Final = 3600.0
"""TensorFlow itself warns of half an hour, for a GPU that it has no kernels for and CUDA compiles them."""


@contextmanager
def telling(
    send: Callable[[Waiting], object], every_seconds: float = _EVERY_SECONDS, at_most_seconds: float = _AT_MOST_SECONDS
) -> Iterator[None]:
    """Say again and again that the network is being loaded, so that the daemon neither gives up nor keeps quiet.

    Args:
        send: tells the daemon; called in a thread of its own, which has ended when the block has.
        every_seconds: between two.
        at_most_seconds: in all; whoever is silent for longer than that has hung.
    """
    is_over = threading.Event()

    def tell() -> None:
        for number in range(1, round(at_most_seconds / every_seconds) + 1):
            if is_over.wait(every_seconds):
                return
            so_far = f"{number * every_seconds:.0f} s so far"
            send(Waiting(reason=f"the network ({so_far}; a GPU's first start may take half an hour)"))

    thread = threading.Thread(target=tell, name="loading", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
