import pytest

from nstd.worker.files import Disk


def test_disk_leaves_an_image_to_the_decoder(tmp_path):
    assert Disk().image(tmp_path / "missing.jpg") == tmp_path / "missing.jpg"


def test_disk_reads_what_was_committed_or_replaced(tmp_path):
    disk = Disk()
    disk.commit(tmp_path / "file", b"in ", memoryview(b"pieces"))
    assert disk.read(tmp_path / "file") == b"in pieces"
    disk.replace(tmp_path / "file", b"new")
    assert disk.read(tmp_path / "file") == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_missing_file_is_told_as_the_system_tells_it(tmp_path):
    with pytest.raises(FileNotFoundError):
        Disk().read(tmp_path / "missing")
