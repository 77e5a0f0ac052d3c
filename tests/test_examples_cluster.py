"""The examples of clusters: the script is run, the manifest is only read."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from nstd.config.load import load_config

CLUSTER = Path(__file__).parent.parent / "examples" / "cluster"
ALIVE = "import ray; ray.init(address='127.0.9.1:6379'); print(sum(node['Alive'] for node in ray.nodes()))"
# In namespaces of its own: nobody else hears the nodes, and they end with the first process.
ALONE = "unshare --net --mount --pid --fork --kill-child --mount-proc"


def by_hand(home: Path, script: str) -> subprocess.CompletedProcess[str]:
    """Run a shell script in which `by_hand` is the example, `python` is ours, and HOME is elsewhere."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environ |= {"HOME": str(home), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    start = f'by_hand() {{ "{CLUSTER}/by-hand.sh" "$@"; }}; set -e; {script}'
    return subprocess.run(("sh", "-c", start), env=environ, capture_output=True, text=True, timeout=120, check=False)


def test_manifest_wants_a_token_and_gpus_only_while_they_are_needed():
    cluster, policy = yaml.safe_load_all((CLUSTER / "kuberay.yaml").read_text())
    assert (cluster["apiVersion"], cluster["kind"]) == ("ray.io/v1", "RayCluster")
    spec = cluster["spec"]
    assert spec["authOptions"] == {"mode": "token"}
    assert spec["enableInTreeAutoscaling"] is True
    [painters] = spec["workerGroupSpecs"]
    assert (painters["replicas"], painters["minReplicas"], painters["maxReplicas"]) == (0, 0, 8)
    [container] = painters["template"]["spec"]["containers"]
    assert container["resources"]["limits"] == container["resources"]["requests"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert spec["headGroupSpec"]["rayStartParams"] == {"num-cpus": "0", "include-dashboard": "false"}
    assert policy["kind"] == "NetworkPolicy"
    assert policy["spec"]["podSelector"]["matchLabels"] == {"ray.io/cluster": cluster["metadata"]["name"]}


def test_config_beside_it_is_good():
    config = load_config(CLUSTER / "config.yaml", check_image=lambda *_: None)
    assert config.ray.address == "ray://localhost:10001"
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
    os.geteuid() != 0 or not shutil.which("unshare"), reason="namespaces want root, and unshare (util-linux)"
)
def test_script_makes_a_cluster_of_two_nodes_that_wants_its_token(tmp_path):
    script = f"""
        ip link set lo up
        ip address add 127.0.9.1 dev lo
        by_hand head 127.0.9.1 >&2
        by_hand node 127.0.9.1 127.0.9.2 >&2
        export RAY_AUTH_MODE=token
        python -c "{ALIVE}" 2>/dev/null
        RAY_AUTH_TOKEN=another timeout 5 python -c "{ALIVE}" >&2 || echo refused
        by_hand stop >&2
    """
    done = by_hand(tmp_path, f"exec {ALONE} sh -c '{_in_quotes(script)}'")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["2", "refused"]
    token = tmp_path / ".ray/auth_token"
    assert token.stat().st_mode & 0o777 == 0o600
    assert len(token.read_text()) == 64


def _in_quotes(script: str) -> str:
    function = f'by_hand() {{ "{CLUSTER}/by-hand.sh" "$@"; }}; set -e; {script}'
    return function.replace("'", "'\\''")
