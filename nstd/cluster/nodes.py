"""The nodes of the cluster: which are there, and what they offer."""

import contextlib
import socket
from collections.abc import Mapping
from typing import Final, NamedTuple

import ray

from nstd.cluster.messages import warn

_SOON_SECONDS: Final = 5.0


class Node(NamedTuple):
    """A node, as the cluster tells of it."""

    id: str
    address: tuple[str, int]
    is_alive: bool
    resources: Mapping[str, float]


def is_alive(node_id: str) -> bool:
    """Tell whether the cluster has not missed a node yet."""
    nodes = _nodes()
    return nodes is None or any(node.id == node_id and node.is_alive for node in nodes)


def answers(node_id: str) -> bool:
    """Tell whether a node is there; if it does not answer, it may only be out of reach for us."""
    for node in _nodes() or ():
        if node.id == node_id:
            with contextlib.suppress(OSError), socket.create_connection(node.address, _SOON_SECONDS):
                return True
    return False


def _nodes() -> list[Node] | None:
    """Return None if this version of Ray tells it in another way, which nobody shall fall by."""
    try:
        return [
            Node(
                id=node["NodeID"],
                address=(node["NodeManagerAddress"], node["NodeManagerPort"]),
                is_alive=node["Alive"],
                resources=node.get("Resources", {}),
            )
            for node in ray.nodes()
        ]
    except (AttributeError, KeyError, TypeError) as error:
        warn(f"cannot tell which nodes the cluster has: {type(error).__name__}: {error}")
        return None
