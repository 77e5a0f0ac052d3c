"""What a worker needs of a node, and what nodes offer; as Ray tells of them, or would in another version."""

from typing import Any

import pytest

from nstd.cluster.nodes import Needs, answers, is_alive
from nstd.config.settings import ClusterSettings

GIB = 1 << 30
NODE = {"NodeID": "a", "Alive": True, "NodeManagerAddress": "127.0.0.1", "NodeManagerPort": 1, "Resources": {}}


@pytest.fixture
def tell(monkeypatch):
    """Return a function that lets Ray tell of these nodes."""
    return lambda *nodes: monkeypatch.setattr("ray.nodes", lambda: list(nodes))


def offering(**resources: float) -> dict[str, Any]:
    kind = {"accelerator_type:A100": resources.pop("A100")} if "A100" in resources else {}
    return NODE | {"Resources": resources | kind}


def test_what_is_not_asked_for_is_no_option():
    assert Needs(ClusterSettings(num_gpus=0.5)).options == {"num_gpus": 0.5, "num_cpus": 1}
    asked = Needs(ClusterSettings(memory_gib=1.5, accelerator_type="A100")).options
    assert asked == {"num_gpus": 1, "num_cpus": 1, "memory": 3 * GIB // 2, "accelerator_type": "A100"}


@pytest.mark.parametrize(
    ("nodes", "lacking"),
    [
        ([offering(GPU=1, CPU=2, memory=2 * GIB, A100=1)], ""),
        ([offering(GPU=1, CPU=2, memory=2 * GIB)], "; no node has an accelerator of type A100 yet"),
        ([offering(GPU=1, CPU=2, memory=GIB, A100=1)], "; no node has 2 GiB of memory yet"),
        ([offering(CPU=2, memory=2 * GIB)], "; no node has 1 GPU and an accelerator of type A100 yet"),
        ([offering(GPU=1, CPU=1, A100=1), offering(memory=9 * GIB)], "; no node has all of that yet"),
        (
            [offering(GPU=1, CPU=2, memory=2 * GIB, A100=1) | {"Alive": False}],
            "; no node has 1 GPU, 1 CPU, 2 GiB of memory and an accelerator of type A100 yet",
        ),
    ],
)
def test_what_no_node_has_is_told(tell, nodes, lacking):
    tell(*nodes)
    waiting = Needs(ClusterSettings(memory_gib=2, accelerator_type="A100")).waiting()
    needs = "1 GPU, 1 CPU, 2 GiB of memory and an accelerator of type A100"
    assert waiting.reason == f"a node of the cluster with {needs} free{lacking}"


def test_node_is_alive_while_the_cluster_says_so(tell):
    tell(NODE, NODE | {"NodeID": "b", "Alive": False})
    assert [is_alive(node) for node in "abc"] == [True, False, False]
    assert not answers("a")


@pytest.mark.parametrize("nodes", [[{"NodeId": "a"}], [None], None])
def test_nobody_falls_by_a_ray_that_tells_of_its_nodes_in_another_way(monkeypatch, capfd, nodes):
    monkeypatch.setattr("ray.nodes", lambda: nodes)
    assert is_alive("a")
    assert not answers("a")
    assert Needs(ClusterSettings()).waiting().reason == "a node of the cluster with 1 GPU and 1 CPU free"
    [warning] = capfd.readouterr().err.splitlines()
    assert warning.startswith("nstd warns: cannot tell which nodes the cluster has: ")


def test_nobody_falls_by_a_ray_that_tells_of_no_nodes(monkeypatch, capfd):
    monkeypatch.delattr("ray.nodes")
    assert is_alive("a")
    warning = "nstd warns: cannot tell which nodes the cluster has: AttributeError: "
    assert capfd.readouterr().err.startswith(warning)


def test_head_that_does_not_answer_just_now_ends_no_wait(monkeypatch):
    def be_away() -> None:
        raise RuntimeError("Failed to connect to GCS.")

    monkeypatch.setattr("ray.nodes", be_away)
    assert Needs(ClusterSettings()).waiting().reason == "a node of the cluster with 1 GPU and 1 CPU free"
