import os
import subprocess
import sys
from pathlib import Path

import pytest

from nstd.spool.mounts import Mounts

IN_A_SPACE_OF_ITS_OWN = ("unshare", "--mount", "--propagation", "private")
SCRIPT = """
import subprocess, sys
from pathlib import Path
from nstd.errors import SpoolError
from nstd.spool.mounts import Mounts

share, other = Path(sys.argv[1], "share"), Path(sys.argv[1], "other")
mount = ["mount", "-t", "tmpfs", "tmpfs", str(share)]
subprocess.run(mount, check=True)
(share / "inbox").mkdir()
mounts = Mounts([share / "inbox", other])
mounts.check()
subprocess.run(["umount", str(share)], check=True)
mounts.check(other)
for roots in ([share / "inbox"], []):
    try:
        mounts.check(*roots)
    except SpoolError as error:
        print(error)
subprocess.run(mount, check=True)
mounts.check()
"""


def test_folders_on_the_root_file_system_are_always_there(tmp_path: Path):
    mounts = Mounts([tmp_path / "inbox", tmp_path / "missing"])
    mounts.check()
    mounts.check(tmp_path / "missing")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount a file system")
def test_unmounted_share_is_trouble_until_something_is_mounted_there_again(tmp_path: Path):
    for name in ("share", "other"):
        (tmp_path / name).mkdir()
    command = [*IN_A_SPACE_OF_ITS_OWN, sys.executable, "-c", SCRIPT, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    share = tmp_path / "share"
    assert done.stdout.splitlines() == [f"{share / 'inbox'}: nothing is mounted at {share} any more"] * 2
