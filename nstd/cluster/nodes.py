"""The nodes of the cluster: which are there, and what they offer."""

import contextlib
import functools
import socket
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

import ray

from nstd.cluster.messages import warn
from nstd.config.settings import ClusterSettings
from nstd.worker.messages import Waiting

_GIB: Final = 1 << 30
# Ray counts the types of accelerators as resources, of which each actor takes so much.
_A_LITTLE: Final = 0.001
_SOON_SECONDS: Final = 5.0


class Node(NamedTuple):
    """A node, as the cluster tells of it."""

    id: str
    address: tuple[str, int]
    is_alive: bool
    resources: Mapping[str, float]


class Needs:
    """What a worker needs of a node.

    Args:
        settings: say so.
    """

    def __init__(self, settings: ClusterSettings) -> None:
        self.options: dict[str, float | str] = {"num_gpus": settings.num_gpus, "num_cpus": settings.num_cpus}
        self._words = {"GPU": f"{settings.num_gpus:g} GPU", "CPU": f"{settings.num_cpus:g} CPU"}
        self._amounts = {"GPU": settings.num_gpus, "CPU": settings.num_cpus}
        if settings.memory_gib:
            self.options["memory"] = self._amounts["memory"] = round(settings.memory_gib * _GIB)
            self._words["memory"] = f"{settings.memory_gib:g} GiB of memory"
        if settings.accelerator_type:
            self.options["accelerator_type"] = settings.accelerator_type
            kind = f"accelerator_type:{settings.accelerator_type}"
            self._amounts[kind] = _A_LITTLE
            self._words[kind] = f"an accelerator of type {settings.accelerator_type}"

    def waiting(self) -> Waiting:
        """Tell what a worker without a node waits for, and what no node offers by now."""
        return Waiting(reason=f"a node of the cluster with {_listed(self._words.values())} free{self._lacking()}")

    def _lacking(self) -> str:
        try:
            nodes = _nodes()
        except Exception:  # noqa: BLE001  the head may just be restarting, and this is only a hint
            return ""
        if nodes is None:
            return ""
        offers = [node.resources for node in nodes if node.is_alive]
        if any(self._suffices(offer, *self._amounts) for offer in offers):
            return ""
        lacking = [
            words for need, words in self._words.items() if not any(self._suffices(offer, need) for offer in offers)
        ]
        return f"; no node has {_listed(lacking) or 'all of that'} yet"

    def _suffices(self, offer: Mapping[str, float], *needs: str) -> bool:
        return all(offer.get(need, 0) >= self._amounts[need] for need in needs)


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
        _warn_once(f"cannot tell which nodes the cluster has: {type(error).__name__}: {error}")
        return None


_warn_once: Final = functools.cache(warn)


def _listed(words: Iterable[str]) -> str:
    *first, last = [*words] or [""]
    return f"{', '.join(first)} and {last}" if first else last
