import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from nstd.errors import SpoolError, SpoolLockedError
from nstd.spool.lock import holder, retry_lock, spool_lock

HOLD = """
import sys
from pathlib import Path
from nstd.spool.lock import spool_lock
with spool_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def start_holder(path: Path) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_second_daemon_is_refused_by_the_name_of_the_first(tmp_path: Path):
    path = tmp_path / "lock"
    pauses: list[float] = []
    with start_holder(path) as first:
        with pytest.raises(SpoolLockedError) as caught, spool_lock(path, pause=pauses.append):
            pass
        assert str(caught.value) == f"{tmp_path}: another nstd (process {first.pid}) works on this spool"
        assert holder(path) == first.pid
        first.communicate("")
    assert sum(pauses) < 1
    assert holder(path) is None


def test_lock_dies_with_its_process(tmp_path: Path):
    path = tmp_path / "lock"
    with start_holder(path) as first:
        first.send_signal(signal.SIGKILL)
        first.wait()
        assert path.read_text() == f"{first.pid}\n"
        assert holder(path) is None
        with spool_lock(path):
            assert holder(path) == os.getpid()
        first.communicate()


def test_holder_that_has_not_said_its_name_is_unknown(tmp_path: Path):
    path = tmp_path / "lock"
    with spool_lock(path):
        path.write_text("")
        assert holder(path) == 0
        with (
            pytest.raises(SpoolLockedError, match=r"another nstd \(process unknown\) works on this spool$"),
            spool_lock(path, pause=lambda _: None),
        ):
            pass


def test_lock_waits_for_one_who_only_looks(tmp_path: Path):
    path = tmp_path / "lock"
    with start_holder(path) as looker, spool_lock(path, pause=lambda _: looker.communicate("")):
        assert holder(path) == os.getpid()


def test_nobody_holds_a_spool_that_was_never_used(tmp_path: Path):
    assert holder(tmp_path / "lock") is None


def test_missing_state_folder_is_trouble(tmp_path: Path):
    with (
        pytest.raises(SpoolError, match=r"^cannot open the lock: .*/no/lock: No such file or directory$"),
        spool_lock(tmp_path / "no" / "lock"),
    ):
        pass


def test_retries_take_turns(tmp_path: Path):
    path = tmp_path / "retry.lock"
    with retry_lock(path):
        probe = f"flock --nonblock {path} true"
        assert subprocess.run(["sh", "-c", probe], check=False).returncode != 0
    assert subprocess.run(["sh", "-c", probe], check=False).returncode == 0
