import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from other_program import OtherProgram

from nstd.spool.writers import Writers, by_lease

# CAP_LEASE is number 28; what is given up so never comes back to this process or its children.
_GIVE_UP_LEASES = """
import ctypes, os, sys
PR_CAPBSET_DROP = 24
ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, 28, 0, 0, 0)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
_ASK = """
import os, sys
from nstd.spool.writers import Writers, by_lease
file = os.open(sys.argv[1], os.O_RDONLY)
print(by_lease(file), Writers().is_being_written(file))
"""
# The third call gives the lease back.
_ASK_WHILE_ONE_OPENS = """
import fcntl, itertools, os, subprocess, sys
from nstd.spool.writers import by_lease
opener = "import os, sys; os.open(sys.argv[1], os.O_WRONLY | os.O_NONBLOCK)"
calls = itertools.count(1)

def profile(_, event, function):
    if event == "c_call" and function is fcntl.fcntl and next(calls) == 3:
        done = subprocess.run([sys.executable, "-c", opener, sys.argv[1]], capture_output=True, text=True)
        print("the writer would have to wait" if "BlockingIOError" in done.stderr else done, flush=True)

file = os.open(sys.argv[1], os.O_RDONLY)
sys.setprofile(profile)
told = by_lease(file)
sys.setprofile(None)
print(told)
"""


class Clock:
    def __init__(self, path: Path) -> None:
        self.now = path.stat().st_ctime + 10

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "cat.jpg"
    path.write_bytes(b"half of")
    return path


@pytest.fixture
def descriptor(photo: Path) -> Iterator[int]:
    descriptor = os.open(photo, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


@pytest.fixture
def other(photo: Path) -> Iterator[OtherProgram]:
    with OtherProgram(photo) as other:
        yield other


@pytest.fixture(params=["lease", "proc"])
def writers(request: pytest.FixtureRequest, photo: Path, descriptor: int) -> Writers:
    """Asks by a lease, or as if there were none; each question is a minute after the last one."""
    if request.param == "lease":
        if by_lease(descriptor) is None:
            pytest.skip("this file system knows no leases")
        return Writers()
    clock = Clock(photo)

    def tick() -> float:
        clock.now += 60
        return clock.now

    return Writers(by_lease=lambda _: None, clock=tick)


@pytest.mark.parametrize("mode", ["ab", "r+b"])
def test_writer_is_noticed_until_he_closes(writers: Writers, descriptor: int, other: OtherProgram, mode: str):
    assert not writers.is_being_written(descriptor)
    other.opens(mode)
    assert writers.is_being_written(descriptor)
    other.writes(b" a photo")
    assert writers.is_being_written(descriptor)
    other.closes()
    assert not writers.is_being_written(descriptor)


def test_reader_is_no_writer(writers: Writers, descriptor: int, other: OtherProgram):
    other.opens("rb")
    assert not writers.is_being_written(descriptor)


def test_writer_of_another_file_is_none_of_this_one(writers: Writers, descriptor: int, photo: Path):
    with OtherProgram(photo.with_name("dog.jpg")) as other:
        other.opens("wb")
        assert not writers.is_being_written(descriptor)


def test_one_of_two_writers_is_enough(writers: Writers, descriptor: int, photo: Path, other: OtherProgram):
    other.opens("ab")
    with OtherProgram(photo) as second:
        second.opens("ab")
        other.closes()
        assert writers.is_being_written(descriptor)
    assert not writers.is_being_written(descriptor), "it was killed"


def test_file_that_is_mapped_and_closed_is_still_being_written(descriptor: int, other: OtherProgram):
    if by_lease(descriptor) is None:
        pytest.skip("this file system knows no leases")
    other.opens("r+b")
    other.does("pages = mmap.mmap(file.fileno(), 0)")
    other.closes()
    assert by_lease(descriptor)
    other.does("pages.close()")
    assert by_lease(descriptor) is False


def test_lease_is_given_back_at_once(descriptor: int, other: OtherProgram):
    """Otherwise opening it without waiting for the lease would fail."""
    if by_lease(descriptor) is None:
        pytest.skip("this file system knows no leases")
    other.does("os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))")


def test_writer_who_comes_during_the_lease_ends_nobody(photo: Path, descriptor: int):
    """The kernel signals whoever has the lease, here a child; the default signal would kill it."""
    if by_lease(descriptor) is None:
        pytest.skip("this file system knows no leases")
    command = [sys.executable, "-c", _ASK_WHILE_ONE_OPENS, str(photo)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "the writer would have to wait\nFalse\n"), done.stderr


def test_refusal_on_a_network_file_system_tells_nothing(descriptor: int, photo: Path, other: OtherProgram):
    """There the kernel refuses without a word from the server; this one counts as such for the test's sake."""
    if by_lease(descriptor) is None:
        pytest.skip("this file system knows no leases")
    other.opens("ab")
    assert by_lease(descriptor, {_file_system(photo)}) is None
    assert by_lease(descriptor, {"another"})


def _file_system(path: Path) -> str:
    command = ["df", "--output=fstype", str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a file another user's")
def test_writer_of_a_file_that_we_may_not_lease_is_found_all_the_same(photo: Path, other: OtherProgram):
    os.chown(photo, 12345, 12345)
    assert _ask_without_leases(photo) == "None False"
    other.opens("ab")
    assert _ask_without_leases(photo) == "None True"


def _ask_without_leases(path: Path) -> str:
    command = [sys.executable, "-c", _GIVE_UP_LEASES, "-c", _ASK, str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_own_descriptor_is_no_writer_among_the_other_processes(photo: Path, descriptor: int):
    with photo.open("ab"):
        assert not Writers(by_lease=lambda _: None).is_being_written(descriptor)


def test_look_at_the_processes_is_remembered_for_a_second(photo: Path, descriptor: int, other: OtherProgram):
    clock = Clock(photo)
    writers = Writers(by_lease=lambda _: None, clock=clock)
    assert not writers.is_being_written(descriptor)
    other.opens("ab")
    clock.now += 0.9
    assert not writers.is_being_written(descriptor)
    clock.now += 0.1
    assert writers.is_being_written(descriptor)


@pytest.mark.parametrize("seconds", [0.0, -60.0])
def test_look_before_the_last_change_does_not_count(photo: Path, descriptor: int, other: OtherProgram, seconds: float):
    """Nor does one that lies in the future: somebody has set the clock back."""
    clock = Clock(photo)
    clock.now -= 10
    writers = Writers(by_lease=lambda _: None, clock=clock)
    assert not writers.is_being_written(descriptor)
    other.opens("ab")
    clock.now += seconds
    assert writers.is_being_written(descriptor)
