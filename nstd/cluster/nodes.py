"""The nodes of the cluster."""

import contextlib
import socket
from typing import Final

import ray

_SOON_SECONDS: Final = 5.0


def is_alive(node_id: str) -> bool:
    """Tell whether the cluster has not missed a node yet."""
    return any(node["NodeID"] == node_id and node["Alive"] for node in ray.nodes())


def answers(node_id: str) -> bool:
    """Tell whether a node is there; if it does not answer, it may only be out of reach for us."""
    for node in ray.nodes():
        if node["NodeID"] == node_id:
            with (
                contextlib.suppress(OSError),
                socket.create_connection((node["NodeManagerAddress"], node["NodeManagerPort"]), _SOON_SECONDS),
            ):
                return True
    return False
