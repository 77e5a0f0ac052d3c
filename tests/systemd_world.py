"""A machine with a real systemd: a container on an overlay of this machine's own files, which ends with the test."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from daemon_world import ASSETS, DEADLINE_SECONDS, eventually

ROOT = Path(__file__).parent.parent
NSTD = "/opt/nstd/bin/nstd"
SPOOL = Path("/var/lib/nstd")
CONFIG = f"""
spool:
  inbox: {SPOOL}/inbox
  outbox: {SPOOL}/outbox
  originals: {SPOOL}/originals
  failed: {SPOOL}/failed
  state: {SPOOL}/state
  settle_seconds: 0.2
worker: {{checkpoint_seconds: 0.1}}
presets:
  quick: {{styles: [styles/swirls.jpg], size_px: 64, levels: [1], iterations: 2}}
  slow: {{styles: [styles/embers.jpg], size_px: 64, levels: [1], iterations: 60, tolerance: 0}}
  endless: {{styles: [styles/embers.jpg], size_px: 64, levels: [1], iterations: 100000, tolerance: 0}}
"""

# In a control group of its own, so that systemd finds nothing but its own services.
_OUTER = """
set -eu
group=$1/nstd-test-$$
mkdir "$group"
echo $$ > "$group/cgroup.procs"
shift
exec unshare --mount --pid --cgroup --fork --kill-child=KILL --mount-proc --propagation private "$@"
"""
_MOUNT = """
set -eu
umount --recursive /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
mkdir -p "$1/root/opt/python" "$1/root/opt/libraries" "$1/root/opt/source" "$1/root/opt/cache"
rm -rf "$1/root/opt/nstd" "$1/root/var/lib/nstd" "$1/root/var/cache/nstd" "$1/root/etc/nstd"
"""
# Without its own filter nspawn lets no service refuse a device.
_BOOT = """
exec systemd-nspawn --directory="$1/root" --bind-ro="$2:/opt/python" --bind-ro="$3:/opt/libraries" \
    --bind-ro="$4:/opt/source" --bind-ro="$5:/opt/cache" --private-network --register=no --keep-unit \
    --console=read-only --system-call-filter=bpf --boot -- --unit=basic.target
"""
_PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
_INSTALL = f"""
set -eu
echo /opt/python/lib > /etc/ld.so.conf.d/python.conf
ldconfig
/opt/python/bin/{_PYTHON} -m venv --without-pip /opt/nstd
printf '/opt/libraries\\n/opt/source\\n' > /opt/nstd/lib/{_PYTHON}/site-packages/nstd.pth
printf '#!/opt/nstd/bin/python\\nfrom nstd.cli import main\\nmain()\\n' > {NSTD}
chmod 755 {NSTD}
"""


def _missing() -> str:
    """Say what this machine lacks for the container; nothing if it has all."""
    packages = {"systemd-nspawn": "systemd-container", "unshare": "util-linux", "nsenter": "util-linux"}
    lacking = [f"{tool} (Debian package {package})" for tool, package in packages.items() if shutil.which(tool) is None]
    if lacking:
        return f"needs {', '.join(lacking)}"
    if os.geteuid():
        return "needs root, to boot a systemd"
    if not _control_groups():
        return "needs cgroup2, to boot a systemd"
    with tempfile.TemporaryDirectory() as place:
        trial = subprocess.Popen(_alone(_MOUNT, place), stderr=subprocess.PIPE, text=True)
        _, trouble = trial.communicate()
        _remove_group(trial.pid)
    return f"needs namespaces, control groups and overlays, to boot a systemd: {trouble}" if trial.returncode else ""


def _alone(script: str, *arguments: str) -> list[str]:
    """Return the command that runs a script in namespaces and a control group of its own."""
    return ["sh", "-c", _OUTER, "sh", str(_control_groups()), "sh", "-c", script, "sh", *arguments]


def _remove_group(pid: int) -> None:
    """Remove the control group of a process that was started alone, and has ended."""
    for folder, *_ in os.walk(_control_groups() / f"nstd-test-{pid}", topdown=False):
        eventually(lambda folder=folder: _is_removed(folder), f"the end of {folder}")


def _is_removed(folder: str) -> bool:
    with contextlib.suppress(OSError):  # the kernel takes its time to count its last process out
        Path(folder).rmdir()
    return not Path(folder).exists()


def _control_groups() -> Path | None:
    for line in Path("/proc/mounts").read_text().splitlines():
        _, place, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(place)
    return None


_REASON = _missing()
needs_systemd = pytest.mark.skipif(bool(_REASON), reason=_REASON)


class Machine:
    """A booted machine with nstd in /opt/nstd, but not yet as a service.

    Args:
        place: an empty folder.
        cache: with the network's weights.
    """

    def __init__(self, place: Path, cache: Path) -> None:
        place.mkdir()
        binds = (sys.base_prefix, sysconfig.get_path("purelib"), str(ROOT), str(cache))
        command = _alone(_MOUNT + _BOOT, str(place), *binds)
        with place.with_name("console").open("wb") as console:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=console, stderr=console)
        self._console = place.with_name("console")
        try:
            self._pid = eventually(self._find_systemd, "the machine's systemd")
            self.root = Path(f"/proc/{self._pid}/root")
            eventually(lambda: self.call("systemctl", "is-active", "basic.target").returncode == 0, "its start")
            self.run("sh", "-c", _INSTALL)
        except BaseException:
            self.close()
            raise

    def call(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command as root on the machine."""
        entered = ("nsenter", "--target", str(self._pid), "--all", "--", "env", "NSTD_CACHE=/opt/cache", *command)
        return subprocess.run(entered, capture_output=True, text=True, check=False, timeout=DEADLINE_SECONDS)

    def run(self, *command: str) -> str:
        """Run a command that must succeed; return what it printed."""
        done = self.call(*command)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout

    def run_as(self, user: str, script: str) -> subprocess.CompletedProcess[str]:
        """Run a shell script as another user."""
        return self.call("runuser", "-u", user, "--", "sh", "-c", script)

    def show(self, name: str) -> str:
        """Return a property of the service."""
        return self.run("systemctl", "show", "--value", f"--property={name}", "nstd").strip()

    def wait_for(self, name: str, value: str) -> str:
        """Wait until a property of the service begins so."""
        return eventually(lambda: found if (found := self.show(name)).startswith(value) else "", f"{name}={value}")

    def entries(self, **fields: str) -> list[dict[str, Any]]:
        """Return the journal's entries of the service that have these fields."""
        matches = (f"{name}={value}" for name, value in fields.items())
        lines = self.run("journalctl", "--unit=nstd", "--output=json", "--all", *matches).splitlines()
        return [json.loads(line) for line in lines]

    def wait_for_event(self, event: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait until the service has logged an event so often; return its entries."""
        return eventually(
            lambda: found if len(found := self.entries(NSTD_EVENT=event)) >= count else None, f"{count} {event}"
        )

    def install(self) -> str:
        """Install the service, with presets that paint small pictures; return what that printed."""
        told = self.run(NSTD, "install-service")
        (self.root / "etc/nstd/config.yaml").write_text(CONFIG)
        return told

    def start(self) -> None:
        self.run("systemctl", "start", "nstd")

    def drop(self, photo: str, preset: str) -> None:
        """Copy one of the demo photos into the inbox, as root."""
        place = self.root / "var/lib/nstd/inbox" / preset / photo
        shutil.copyfile(ASSETS / "photos" / photo, place)
        place.chmod(0o644)

    def results(self, preset: str) -> list[str]:
        return sorted(path.name for path in (self.root / "var/lib/nstd/outbox" / preset).glob("*.png"))

    def console(self) -> str:
        return self._console.read_text(errors="replace")

    def close(self) -> None:
        """End it; the group's processes go with their first."""
        self._process.kill()
        self._process.wait()
        _remove_group(self._process.pid)

    def _find_systemd(self) -> int | None:
        assert self._process.poll() is None, self.console()
        return next((pid for pid in _descendants(self._process.pid) if _name(pid) == "systemd"), None)


def _descendants(pid: int) -> Iterator[int]:
    with contextlib.suppress(OSError):
        for child in map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()):
            yield child
            yield from _descendants(child)


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""
