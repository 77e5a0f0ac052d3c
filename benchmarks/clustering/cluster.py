"""A real Ray cluster on one machine, whose nodes hear each other and nobody else."""

import contextlib
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

RAY: Final = Path(sys.executable).with_name("ray")
# Ray looks at all processes of the machine for one that has its address, whatever the network.
_NETWORK: Final = f"127.0.{os.getpid() % 250 + 1}"
HEAD: Final = f"{_NETWORK}.1"
NODE: Final = f"{_NETWORK}.2"
ADDRESS: Final = f"{HEAD}:6379"
_CLIENT_PORT: Final = 10001
CLIENT_ADDRESS: Final = f"ray://{HEAD}:{_CLIENT_PORT}"
_DEADLINE_SECONDS: Final = 300
_BETWEEN_LOOKS_SECONDS: Final = 0.05
_RAYLET: Final = re.compile(r"raylet/raylet .*--node_ip_address=([0-9.]+)")
_DOOR: Final = re.compile("gcs/gcs_server |raylet/raylet ")
_ACTOR: Final = re.compile("ray::(Counting)?Actor")
_DRIVER: Final = re.compile("(-m nstd.cluster|clustering/driver.py) ")
# For `ray://`; see docs/cluster.md.
_FORKING: Final = {"GRPC_ENABLE_FORK_SUPPORT": "0"}
# Otherwise a driver waits for a minute, and a cluster for longer, before it gives a lost part up; and whatever else
# runs on this machine comes before the workers.
_HASTE: Final = {
    "RAY_gcs_rpc_server_reconnect_timeout_s": "5",
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "5000",
    "RAY_health_check_failure_threshold": "3",
    "RAY_enable_worker_prestart": "0",
    "RAY_prestart_worker_first_driver": "0",
    "RAY_worker_niceness": "0",
    "RAY_worker_register_timeout_seconds": "600",
}


class RayCluster:
    """Start nodes, kill them, and end them all; each has its own address on the loopback of a network namespace.

    Args:
        folder: for what Ray writes; short, for the names of sockets must be.
        token: that gets in; empty for a cluster that lets anybody in.
        store_bytes: of each node's object store.
        environ: more variables.
    """

    def __init__(
        self,
        folder: Path,
        *,
        token: str | None = None,
        store_bytes: int = 150_000_000,
        environ: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        token = secrets.token_hex(32) if token is None else token
        access = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token} if token else {"RAY_AUTH_MODE": "disabled"}
        self.environ = os.environ | _HASTE | _FORKING | access | {"RAY_USAGE_STATS_ENABLED": "0"} | dict(environ)
        self._folder = folder
        self._store_bytes = store_bytes
        self._nodes = 0
        hold = "ip link set lo up && ip address add $0.0/16 dev lo && echo && exec cat"
        self._holder = subprocess.Popen(
            ("unshare", "--net", "sh", "-c", hold, _NETWORK),  # noqa: S607  as a shell finds it
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        if self._holder.stdout is None or not self._holder.stdout.readline():
            self.close()
            raise OSError("a network namespace cannot be had")

    @property
    def prefix(self) -> tuple[str, ...]:
        """What runs a command in the cluster's network, with what lets it in."""
        own = (f"{name}={value}" for name, value in self.environ.items() if name.startswith("RAY_"))
        return (*self.inside, "env", *own)

    @property
    def inside(self) -> tuple[str, ...]:
        """What runs a command in the cluster's network."""
        return ("nsenter", f"--net=/proc/{self._holder.pid}/ns/net")

    def start_head(self, *, cpus: int = 2, gpus: int = 1) -> None:
        """Start the first node."""
        options = ("--head", "--port=6379", f"--ray-client-server-port={_CLIENT_PORT}", "--include-dashboard=false")
        self._start(HEAD, *options, cpus=cpus, gpus=gpus)
        self._wait_for_clients_server()

    def start_node(self, *options: str, cpus: int = 2, gpus: int = 1) -> str:
        """Start another node, with more of Ray's options; return its address."""
        self._nodes += 1
        address = f"{_NETWORK}.{self._nodes + 1}"
        self._start(address, f"--address={ADDRESS}", *options, cpus=cpus, gpus=gpus)
        return address

    def actors(self) -> dict[int, str]:
        """Return each process that runs an actor of nstd, with the address of its node."""
        nodes = {pid: match[1] for pid, command in self._processes() if (match := _RAYLET.search(command))}
        parents = {pid: _parent(pid) for pid, command in self._processes() if _ACTOR.match(command)}
        return {pid: nodes[parent] for pid, parent in parents.items() if parent in nodes}

    def drivers(self) -> list[int]:
        """Return the processes that drive the cluster for nstd."""
        return [pid for pid, command in self._processes() if _DRIVER.search(command)]

    def kill_node(self, address: str) -> None:
        """Kill a node and all that it runs, as a power cut would."""
        actors = [pid for pid, node in self.actors().items() if node == address]
        is_theirs = re.compile(rf"node[_-]ip[_-]address={re.escape(address)}\b").search
        theirs = [(not _DOOR.search(command), pid) for pid, command in self._processes() if is_theirs(command)]
        # Those first that would tell of the end of others.
        for pid in (*(pid for _, pid in sorted(theirs)), *actors):
            kill(pid)

    def close(self) -> None:
        """End everything that runs in the network."""
        while processes := [pid for pid, _ in self._processes()]:
            for pid in processes:
                kill(pid)
        self._holder.kill()
        self._holder.communicate()

    def _start(self, address: str, *options: str, cpus: int, gpus: int) -> None:
        command = (
            *(*self.inside, str(RAY), "start", f"--node-ip-address={address}", *options),
            *(f"--num-cpus={cpus}", f"--num-gpus={gpus}", f"--object-store-memory={self._store_bytes}"),
            *("--include-log-monitor=false", f"--temp-dir={self._folder}"),
        )
        done = subprocess.run(
            command, env=self.environ, check=False, timeout=_DEADLINE_SECONDS, capture_output=True, text=True
        )
        if done.returncode:
            raise OSError(done.stdout + done.stderr)

    def _wait_for_clients_server(self) -> None:
        """Ray starts it, and does not wait for it."""
        listens = re.compile(rf":{_CLIENT_PORT:04X} [0-9A-F]+:0000 0A ")
        until = time.monotonic() + _DEADLINE_SECONDS
        while not any(listens.search(self._sockets(kind)) for kind in ("tcp", "tcp6")):
            if time.monotonic() > until:
                raise OSError("Ray's server for clients does not begin")
            time.sleep(_BETWEEN_LOOKS_SECONDS)

    def _sockets(self, kind: str) -> str:
        return Path(f"/proc/{self._holder.pid}/net/{kind}").read_text()

    def _processes(self) -> Iterator[tuple[int, str]]:
        """Yield each process in the network with its command, but for the one that holds it."""
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and self._is_inside(int(entry.name)):
                    yield (
                        int(entry.name),
                        (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"),
                    )

    def _is_inside(self, pid: int) -> bool:
        ours, theirs = (os.readlink(f"/proc/{one}/ns/net") for one in (self._holder.pid, pid))  # noqa: PTH115  no path
        return ours == theirs and pid != self._holder.pid


def _parent(pid: int) -> int:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


def kill(pid: int) -> None:
    """End a process, if it is still there."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
