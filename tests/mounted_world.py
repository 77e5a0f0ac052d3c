"""A spool whose five roots lie on five file systems, which no other process of this machine can see."""

import errno
import itertools
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from daemon_world import DEADLINE_SECONDS, RunningDaemon, World

from nstd.config.load import load_spool
from nstd.daemon.status import SpoolStatus, read_status
from nstd.spool.folders import Folders

ROOTS = ("inbox", "outbox", "originals", "failed", "state")
_TOOLS = [tool for tool in ("unshare", "nsenter", "mount") if shutil.which(tool) is None]
_REASON = f"needs {', '.join(_TOOLS)}" if _TOOLS else "needs root, to mount file systems"
needs_mounts = pytest.mark.skipif(bool(_TOOLS) or os.geteuid() != 0, reason=_REASON)
_IN_A_SPACE_OF_ITS_OWN = ("unshare", "--mount", "--propagation", "private")
_MOUNT_ALL = """
set -e
cd "$0"
for root in "$@"; do
    mkdir -p "disks/$root" "$root"
    mount -t tmpfs -o "$OPTIONS" tmpfs "disks/$root"
    mount --bind "disks/$root" "$root"
done
"""


class MountedWorld(World):
    """A spool with each root on a tmpfs of its own, in a mount namespace that ends with the test.

    The test looks into the namespace by way of /proc, so `inbox` and so on are what the daemon sees.

    Args:
        place: the folder of the config, and of the mount points.
        options: of each tmpfs.
    """

    def __init__(self, place: Path, *, spool: str = "", options: str = "size=1m") -> None:
        place.mkdir()
        self.place = place
        self._keeper = subprocess.Popen(
            [*_IN_A_SPACE_OF_ITS_OWN, "sh", "-c", "echo; exec cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._keeper.stdout.readline()
        super().__init__(Path(f"/proc/{self._keeper.pid}/root{place}"), spool=spool)
        self.config = place / "config.yaml"
        self._run("env", f"OPTIONS={options}", "sh", "-c", _MOUNT_ALL, str(place), *ROOTS)

    def start(self, *arguments: str, nstd: tuple[str, ...]) -> RunningDaemon:
        return super().start(*arguments, nstd=(*self._inside, *nstd))

    def status(self) -> SpoolStatus:
        config = load_spool(self.config)
        return read_status(Folders(*(self.root / name for name in ROOTS)), config)

    def is_told(self, reason: str) -> bool:
        """Tell whether the daemon gives this reason in `nstd status`."""
        daemon = self.status().daemon
        told = (*daemon.troubles, *daemon.deferred, *daemon.ignored) if daemon else ()
        return any(reason in one.reason for one in told)

    def share(self, root: str) -> Path:
        """Return a root's file system itself, which is there wherever it is mounted."""
        return self.root / "disks" / root

    def fill(self, root: str) -> None:
        """Take all the room that a root's file system has left."""
        with self._ballast(root).open("ab", buffering=0) as ballast:
            try:
                while True:
                    ballast.write(b"\0" * 4096)
            except OSError as error:
                assert error.errno == errno.ENOSPC  # noqa: PT017  the end of an endless loop

    def fill_with_files(self, root: str) -> None:
        """Take all the files that a root's file system can still have."""
        self._ballast(root).mkdir()
        try:
            for number in itertools.count():
                (self._ballast(root) / str(number)).touch()
        except OSError as error:
            assert error.errno == errno.ENOSPC  # noqa: PT017  as above

    def free(self, root: str) -> None:
        """End what `fill` or `fill_with_files` has begun."""
        if (ballast := self._ballast(root)).is_dir():
            shutil.rmtree(ballast)
        else:
            ballast.unlink()

    def unmount(self, root: str) -> None:
        self._run("umount", "--lazy", str(self.place / root))

    def mount(self, root: str) -> None:
        """Mount again what was unmounted, with all that was in it."""
        self._run("mount", "--bind", str(self.place / "disks" / root), str(self.place / root))

    def make_read_only(self, root: str) -> None:
        """Cover a root with itself, read-only: one that has open files cannot be made so, but by a failing disk."""
        self.mount(root)
        self._run("mount", "-o", "remount,bind,ro", str(self.place / root))

    def make_writable(self, root: str) -> None:
        self.unmount(root)

    def bare(self, root: str) -> list[Path]:
        """List what lies in the folder on which a root is mounted: from outside, nothing covers it."""
        return list((self.place / root).iterdir())

    def close(self) -> None:
        super().close()
        self._keeper.communicate(timeout=DEADLINE_SECONDS)

    @property
    def _inside(self) -> tuple[str, ...]:
        return ("nsenter", f"--mount=/proc/{self._keeper.pid}/ns/mnt", "--")

    def _run(self, *command: str) -> None:
        subprocess.run([*self._inside, *command], check=True)

    def _ballast(self, root: str) -> Path:
        return self.share(root) / ".ballast"
