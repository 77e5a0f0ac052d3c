"""The examples of clusters: the script is run, the manifest and the Dockerfile are only read."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from nstd.config.load import load_config

CLUSTER = Path(__file__).parent.parent / "examples" / "cluster"
ALIVE = "import ray; ray.init(address='127.0.9.1:6379'); print(sum(node['Alive'] for node in ray.nodes()))"
KNOCK = """
from nstd.cluster.door import lets_in
for token in ("", "another", open(".ray/auth_token").read()):
    print(lets_in("127.0.9.1:6379", token, is_client=False), lets_in("127.0.9.1:10001", token, is_client=True))
"""
GONE = """
import socket
for port in (6379, 10001):
    print("gone" if socket.socket().connect_ex(("127.0.9.1", port)) else "there")
"""
# In namespaces of its own: nobody else hears the nodes, and they end with the first process.
ALONE = ("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
TOOLS = [tool for tool in ("unshare", "ip") if shutil.which(tool) is None]


def by_hand(home: Path, script: str, *prefix: str) -> subprocess.CompletedProcess[str]:
    """Run a shell script in which `by_hand` is the example, `python` is ours, and HOME is elsewhere."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environ |= {"HOME": str(home), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    start = f'by_hand() {{ "{CLUSTER}/by-hand.sh" "$@"; }}; set -e; {script}'
    command = (*prefix, "sh", "-c", start)
    return subprocess.run(command, cwd=home, env=environ, capture_output=True, text=True, timeout=120, check=False)


def manifest():
    return list(yaml.safe_load_all((CLUSTER / "kuberay.yaml").read_text()))


def containers():
    spec = manifest()[0]["spec"]
    groups = [spec["headGroupSpec"], *spec["workerGroupSpecs"]]
    return [container for group in groups for container in group["template"]["spec"]["containers"]]


def test_every_document_of_the_manifest_says_what_it_is():
    kinds = [(document["apiVersion"], document["kind"]) for document in manifest()]
    assert kinds == [("ray.io/v1", "RayCluster"), ("networking.k8s.io/v1", "NetworkPolicy")]


def test_manifest_wants_a_token_and_shows_no_dashboard():
    spec = manifest()[0]["spec"]
    assert spec["authOptions"] == {"mode": "token"}
    head = spec["headGroupSpec"]
    assert head["serviceType"] == "ClusterIP"
    assert head["rayStartParams"] == {"num-cpus": "0", "include-dashboard": "false"}
    ports = {port["name"]: port["containerPort"] for port in containers()[0]["ports"]}
    assert ports == {"gcs-server": 6379, "client": 10001}


def test_manifest_wants_gpus_only_while_they_are_needed():
    spec = manifest()[0]["spec"]
    assert spec["enableInTreeAutoscaling"] is True
    [painters] = spec["workerGroupSpecs"]
    assert (painters["replicas"], painters["minReplicas"], painters["maxReplicas"]) == (0, 0, 8)
    head, worker = (container["resources"] for container in containers())
    assert "nvidia.com/gpu" not in head["limits"]
    assert worker["limits"]["nvidia.com/gpu"] == "1"
    assert head["limits"] == head["requests"]
    assert worker["limits"] == worker["requests"]


def test_head_is_not_asked_for_its_health_at_the_dashboard():
    head = containers()[0]
    for probe in (head["readinessProbe"], head["livenessProbe"]):
        assert probe["httpGet"] == {"path": "/api/healthz", "port": 52365}


def test_only_pods_with_a_label_of_the_same_namespace_are_let_in():
    cluster, policy = manifest()
    of_the_cluster = {"podSelector": {"matchLabels": {"ray.io/cluster": cluster["metadata"]["name"]}}}
    spec = policy["spec"]
    assert {"podSelector": spec["podSelector"]} == of_the_cluster
    assert spec["policyTypes"] == ["Ingress"]
    among_them, from_nstd = spec["ingress"]
    assert among_them == {"from": [of_the_cluster]}
    assert from_nstd == {
        "from": [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": "nstd"}}}],
        "ports": [{"protocol": "TCP", "port": 10001}],
    }


def test_image_has_the_ray_of_the_manifest():
    [version] = re.findall(r"ray\[default\]==([\d.]+)'", (CLUSTER / "Dockerfile").read_text())
    assert version == manifest()[0]["spec"]["rayVersion"]


def test_config_beside_it_is_good():
    config = load_config(CLUSTER / "config.yaml", check_image=lambda *_: None)
    assert config.ray.address == "ray://localhost:10001"
    pod_gib = float(containers()[1]["resources"]["limits"]["memory"].removesuffix("Gi"))
    assert config.ray.memory_gib <= 0.7 * pod_gib, "Ray keeps three tenths for its object store"
    assert config.presets["swirls"].styles[0].image.is_file()


@pytest.mark.parametrize("arguments", ["", "nod", "node"])
def test_script_says_how_it_is_used(tmp_path, arguments):
    done = by_hand(tmp_path, f"by_hand {arguments}")
    assert done.returncode == 64
    assert done.stderr.splitlines()[0].startswith("by-hand.sh head [ADDRESS] ")


def test_node_without_a_token_is_not_started(tmp_path):
    done = by_hand(tmp_path, "by_hand node 127.0.9.1")
    assert done.returncode == 77
    assert f"there is no token in {tmp_path}/.ray/auth_token; copy it from the head: scp" in done.stderr


@pytest.mark.skipif(
    bool(TOOLS) or os.geteuid() != 0, reason=f"needs {', '.join(TOOLS)}" if TOOLS else "needs root, to make namespaces"
)
def test_script_makes_a_cluster_of_two_nodes_that_wants_its_token(tmp_path):
    script = """
        ip link set lo up
        ip address add 127.0.9.1 dev lo
        by_hand head 127.0.9.1 >&2
        by_hand node 127.0.9.1 127.0.9.2 >&2
        RAY_AUTH_MODE=token python -c "$ALIVE"
        python -c "$KNOCK"
        by_hand stop >&2
        python -c "$GONE"
    """
    variables = (f"ALIVE={ALIVE}", f"KNOCK={KNOCK}", f"GONE={GONE}")
    done = by_hand(tmp_path, script, *ALONE, "env", *variables)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["2", "False False", "False False", "True True", "gone", "gone"], done.stderr
    token = tmp_path / ".ray/auth_token"
    assert token.stat().st_mode & 0o777 == 0o600
    assert len(token.read_text()) == 64
