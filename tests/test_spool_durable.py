import contextlib
import errno
import os
import resource
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from nstd.errors import SpoolError
from nstd.spool.durable import (
    Copied,
    copy_durably,
    fsync_file,
    fsync_folder,
    link_or_copy,
    measure,
    opened,
    remove_folder,
    rename_durably,
    rename_without_replacing,
    trouble,
    write_durably,
    write_durably_from,
    write_new,
)

MEMORY = Path("/dev/shm")  # noqa: S108  # the other file system of every Linux machine


def lacks_noreplace(source: Path, destination: Path) -> None:
    raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), str(source), None, str(destination))


def test_committed_file_replaces_the_old_one_and_leaves_no_other(tmp_path: Path):
    path = tmp_path / "job.json"
    write_durably(path, b"old")
    write_durably(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_failed_commit_leaves_the_old_file_and_no_other(tmp_path: Path):
    path = tmp_path / "folder"
    path.mkdir()
    with pytest.raises(IsADirectoryError):
        write_durably(path, b"new")
    assert list(tmp_path.iterdir()) == [path]


def test_pieces_are_written_as_they_come(tmp_path: Path):
    def pieces() -> Iterator[bytes]:
        yield b"one, "
        [growing] = tmp_path.iterdir()
        assert growing.read_bytes() == b"one, "
        yield b"two"

    write_durably_from(tmp_path / "file", pieces())
    assert (tmp_path / "file").read_bytes() == b"one, two"


def test_piece_that_does_not_come_leaves_the_old_file_and_no_other(tmp_path: Path):
    def pieces() -> Iterator[bytes]:
        yield b"one"
        raise ConnectionError

    write_durably(tmp_path / "file", b"old")
    with pytest.raises(ConnectionError):
        write_durably_from(tmp_path / "file", pieces())
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


def test_longest_name_can_be_committed(tmp_path: Path):
    path = tmp_path / ("x" * 255)
    write_durably(path, b"data")
    assert path.read_bytes() == b"data"


def test_new_file_does_not_replace(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(FileExistsError):
        write_new(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"old"


def test_new_file_is_not_made_through_a_link(tmp_path: Path):
    (tmp_path / "a").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        write_new(tmp_path / "a", b"new")
    assert not (tmp_path / "elsewhere").exists()


def test_half_copied_file_is_removed(tmp_path: Path):
    with pytest.raises(OSError, match="Input/output error") as caught, opened(Path("/proc/self/mem")) as unreadable:
        copy_durably(unreadable, tmp_path / "copy")
    assert caught.value.filename is None  # it was not the copy that could not be read
    assert list(tmp_path.iterdir()) == []


@contextlib.contextmanager
def room_for_ten_bytes() -> Iterator[None]:
    """Let writes beyond ten bytes fail, as they do on a full disk; pytest's own as well, so hold it for a call only."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_write_that_fails_half_way_leaves_nothing_and_names_the_file(tmp_path: Path):
    copying = pytest.raises(OSError, match=f"File too large: '{tmp_path}/copy'")
    with opened(Path("/dev/zero")) as zeros, copying, room_for_ten_bytes():
        copy_durably(zeros, tmp_path / "copy")
    with pytest.raises(OSError, match=f"File too large: '{tmp_path}/"), room_for_ten_bytes():
        write_durably(tmp_path / "file", bytes(11))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [0, 1, (1 << 20) + 1])
def test_copy_reports_what_it_copied_from_the_beginning_on(tmp_path: Path, size: int):
    data = os.urandom(size)
    (tmp_path / "a").write_bytes(data)
    expected = Copied(size, sha256(data).hexdigest())
    with opened(tmp_path / "a") as source:
        os.read(source, 1)
        assert copy_durably(source, tmp_path / "b") == expected
    assert (tmp_path / "b").read_bytes() == data
    assert measure(tmp_path / "b") == expected


def test_link_shares_the_bytes_on_one_file_system(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"data")
    link_or_copy(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "a").samefile(tmp_path / "b")


def test_link_becomes_a_copy_on_another_file_system(tmp_path: Path):
    if not MEMORY.is_dir() or MEMORY.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("needs /dev/shm, as another file system")
    (tmp_path / "a").write_bytes(b"data")
    copy = MEMORY / f"nstd-{os.getpid()}"
    try:
        link_or_copy(tmp_path / "a", copy)
        assert copy.read_bytes() == b"data"
    finally:
        copy.unlink()


def test_link_replaces_nothing(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"data")
    (tmp_path / "b").write_bytes(b"other")
    with pytest.raises(FileExistsError):
        link_or_copy(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == b"other"


@pytest.mark.parametrize("rename", [None, lacks_noreplace], ids=["renameat2", "link and unlink"])
def test_rename_replaces_nothing(tmp_path: Path, rename: None):
    (tmp_path / "a").write_bytes(b"new")
    (tmp_path / "b").write_bytes(b"old")
    with pytest.raises(FileExistsError) as caught:
        rename_without_replacing(tmp_path / "a", tmp_path / "b", rename=rename)
    assert (caught.value.filename, caught.value.filename2) == (str(tmp_path / "a"), str(tmp_path / "b")) or rename
    assert (tmp_path / "a").read_bytes() == b"new"
    assert (tmp_path / "b").read_bytes() == b"old"


@pytest.mark.parametrize("rename", [None, lacks_noreplace], ids=["renameat2", "link and unlink"])
def test_rename_moves_the_file(tmp_path: Path, rename: None):
    source, destination = tmp_path / os.fsdecode(b"caf\xe9"), tmp_path / "b"
    source.write_bytes(b"data")
    rename_without_replacing(source, destination, rename=rename)
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_rename_does_not_follow_a_dangling_link(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"data")
    (tmp_path / "b").symlink_to("nowhere")
    with pytest.raises(FileExistsError):
        rename_without_replacing(tmp_path / "a", tmp_path / "b")


def test_rename_reports_other_errors(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        rename_without_replacing(tmp_path / "a", tmp_path / "b")


def test_durable_rename_replaces(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"new")
    (tmp_path / "b").write_bytes(b"old")
    rename_durably(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == b"new"


def test_removed_folder_is_gone_with_all_it_held(tmp_path: Path):
    (tmp_path / "job" / "inner").mkdir(parents=True)
    (tmp_path / "job" / "inner" / "file").touch()
    remove_folder(tmp_path / "job", tmp_path / "trash")
    assert list(tmp_path.iterdir()) == []


def test_folder_that_cannot_be_fsynced_is_no_trouble():
    fsync_folder(Path("/proc"))


def test_file_that_cannot_be_fsynced_is_trouble_with_its_name():
    with pytest.raises(OSError, match="Invalid argument: '/proc/self/status'"):
        fsync_file(Path("/proc/self/status"))


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(28, "No space left on device", "/a/b"), "cannot paint: /a/b: No space left on device"),
        (OSError(18, "Cross-device link", "/a", None, "/b"), "cannot paint: /a -> /b: Cross-device link"),
        (OSError(5, "Input/output error", b"/caf\xe9"), r"cannot paint: /caf\xe9: Input/output error"),
        (OSError(5, "Input/output error", 7), "cannot paint: Input/output error"),
        (OSError("odd"), "cannot paint: odd"),
    ],
)
def test_trouble_says_what_where_and_why(error: OSError, message: str):
    with pytest.raises(SpoolError) as caught, trouble("paint"):
        raise error
    assert str(caught.value) == message
    assert caught.value.__cause__ is error
