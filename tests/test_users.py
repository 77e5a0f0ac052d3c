"""What root does to other users' files."""

import json
import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest
from daemon_world import COPYING_NSTD, World

from nstd.users import acting_as, become_owner, current_user, user_named

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to act as another user")
NOBODY = user_named("nobody")


def test_unknown_user_is_nobody():
    assert user_named("nstd-no-such-user") is None
    assert user_named("root").pw_uid == 0


def test_current_user_is_named():
    assert current_user() == pwd.getpwuid(os.geteuid()).pw_name


def test_acting_as_nobody_in_particular_changes_nothing():
    before = (os.geteuid(), os.getegid(), os.getgroups())
    with acting_as(None):
        assert (os.geteuid(), os.getegid(), os.getgroups()) == before


@needs_root
def test_root_has_another_users_rights_for_a_while(tmp_path):
    (tmp_path / "closed").mkdir(mode=0o700)
    before = (os.geteuid(), os.getegid(), os.getgroups())
    with acting_as(NOBODY):
        assert current_user() == "nobody"
        assert not os.access(tmp_path / "closed", os.R_OK, effective_ids=True)
    assert (os.geteuid(), os.getegid(), os.getgroups()) == before


@needs_root
def test_exception_does_not_leave_root_without_its_rights():
    with pytest.raises(LookupError), acting_as(NOBODY):
        raise LookupError
    assert os.geteuid() == 0


@needs_root
@pytest.mark.parametrize(
    ("owner", "group", "becomes"),
    [(0, 0, (0, 0)), (NOBODY.pw_uid, 0, (NOBODY.pw_uid, NOBODY.pw_gid)), (54321, 54322, (54321, 54322))],
)
def test_root_becomes_the_owner(tmp_path, owner, group, becomes):
    os.chown(tmp_path, owner, group)
    code = "import os, sys, pathlib; from nstd.users import become_owner; become_owner(pathlib.Path(sys.argv[1]))"
    ids = "print(os.getuid(), os.geteuid(), os.getgid(), 0 in os.getgroups())"
    command = [sys.executable, "-c", f"{code}; {ids}", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    user, effective_user, became_group, is_in_roots_group = done.stdout.split()
    assert (int(user), int(effective_user), int(became_group)) == (becomes[0], *becomes)
    assert is_in_roots_group == str(owner == 0 and 0 in os.getgroups())


def test_missing_folder_has_no_owner_to_become(tmp_path):
    before = os.geteuid()
    become_owner(tmp_path / "missing")
    assert os.geteuid() == before


@needs_root
def test_job_that_root_puts_back_belongs_to_the_spools_owner(tmp_path):
    world = World(tmp_path / "world")
    world.drop_text("text", "one.jpg")
    world.start("--once", nstd=COPYING_NSTD).wait()
    [job] = world.failed.glob("*/reason.json")
    for path in (world.root, *world.root.rglob("*")):
        os.chown(path, NOBODY.pw_uid, NOBODY.pw_gid)
    for parent in world.root.parents:
        if parent.is_relative_to("/tmp"):  # noqa: S108  where pytest works, closed to others
            parent.chmod(0o755)
    done = world.nstd("retry", "--all")
    assert (done.returncode, done.stderr) == (0, "")
    [record] = (world.root / "state/queue/new").glob("*/job.json")
    assert json.loads(record.read_text())["id"] == job.parent.name
    assert {path.stat().st_uid for path in world.root.rglob("*")} == {NOBODY.pw_uid}
    assert not Path(job).exists()
    world.close()
