"""Writes that survive a power cut, and renames that replace nothing."""

import contextlib
import ctypes
import errno
import hashlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from nstd.errors import SpoolError
from nstd.spool.names import to_text

Data = bytes | memoryview

_TEMPORARY: Final = ".tmp"
_CHUNK_BYTES: Final = 1 << 20
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
_AT_FDCWD: Final = -100
_RENAME_NOREPLACE: Final = 1
_NO_SUCH_RENAME: Final = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


class Copied(NamedTuple):
    """What was copied."""

    bytes: int
    sha256: str


@contextlib.contextmanager
def trouble(doing: str) -> Iterator[None]:
    """Turn the machine's errors into `SpoolError`.

    Args:
        doing: what was tried, to stand after "cannot".

    Raises:
        SpoolError: the block raised an `OSError`; says what was tried, where, and what the machine said.
    """
    try:
        yield
    except OSError as error:
        names = [name for name in (error.filename, error.filename2) if isinstance(name, str | bytes | Path)]
        where = " -> ".join(to_text(os.fsdecode(name)) for name in names)
        msg = ": ".join(part for part in (f"cannot {doing}", where, error.strerror or str(error)) if part)
        raise SpoolError(msg) from error


def write_new(path: Path, *data: Data) -> None:
    """Create a file with these bytes and fsync it; its folder is the caller's to fsync."""
    _write_new(path, data)


def write_durably(path: Path, *data: Data) -> None:
    """Commit a file: when this returns, it holds the data for good; before, it is what it was.

    A kill may leave a file beside it, which `remove_remains` removes.
    """
    write_durably_from(path, data)


def write_durably_from(path: Path, pieces: Iterable[Data]) -> None:
    """Commit a file of pieces that are written one by one, as they come; if one fails to, nothing has changed."""
    temporary = path.with_name(f".{secrets.token_hex(8)}{_TEMPORARY}")
    _write_new(temporary, pieces)
    try:
        temporary.rename(path)
    except OSError:
        _discard(temporary)
        raise
    fsync_folder(path.parent)


def replace(path: Path, data: bytes) -> None:
    """Let a file hold these bytes, all of them from one moment on; it need not survive a power cut."""
    staged = _staged(path)
    staged.write_bytes(data)
    staged.replace(path)


def remove_replaced(path: Path) -> None:
    """Remove a file that `replace` has written, if it is there, and what a kill has left of another."""
    for file in (path, _staged(path)):
        file.unlink(missing_ok=True)


def remove_remains(folder: Path) -> None:
    """Remove what kills have left of writes into a folder; nobody may be writing there."""
    for remains in folder.glob(f".*{_TEMPORARY}"):
        remains.unlink(missing_ok=True)


def copy_durably(source: int, path: Path) -> Copied:
    """Copy an open file to a new one and fsync that; its folder is the caller's to fsync.

    Args:
        source: descriptor of the file, read from its beginning.
        path: must not exist.

    Raises:
        OSError: names the new file, or no file where the source cannot be read.
    """
    digest, size = hashlib.sha256(), 0
    with _created(path) as target:
        for chunk in _chunks(source):
            with _named(path):
                _write(target, chunk)
            digest.update(chunk)
            size += len(chunk)
    return Copied(size, digest.hexdigest())


def measure(path: Path) -> Copied:
    """Return a file's size and SHA-256."""
    digest, size = hashlib.sha256(), 0
    with opened(path) as source, _named(path):
        for chunk in _chunks(source):
            digest.update(chunk)
            size += len(chunk)
    return Copied(size, digest.hexdigest())


def link_or_copy(source: Path, path: Path) -> None:
    """Give a file that nobody will change a second name, on another file system a second self."""
    try:
        path.hardlink_to(source)
    except FileExistsError:
        raise
    except OSError:
        with opened(source) as descriptor:
            copy_durably(descriptor, path)
    else:
        fsync_file(path)


def rename_durably(source: Path, destination: Path) -> None:
    """Rename within one file system, for good."""
    source.rename(destination)
    fsync_folder(destination.parent)


def rename_without_replacing(
    source: Path, destination: Path, *, rename: Callable[[Path, Path], None] | None = None
) -> None:
    """Rename within one file system, unless the new name is taken; the folders are the caller's to fsync.

    Args:
        source: a file.
        destination: its new name.
        rename: what to try first, in place of the kernel's RENAME_NOREPLACE. Where the file system has no such
            thing, a link and an unlink do the same in two steps.

    Raises:
        FileExistsError: the new name is taken.
    """
    try:
        (rename or _renameat2)(source, destination)
    except OSError as error:
        if error.errno not in _NO_SUCH_RENAME:
            raise
        os.link(source, destination, follow_symlinks=False)
        source.unlink()


def remove_folder(folder: Path, trash: Path) -> None:
    """Remove a folder as if in one step; what a kill or the machine's trouble leaves of it lies in `trash`."""
    folder.rename(trash)
    # A folder that a power cut may bring back must come back whole, so it is kept until its removal is durable.
    with contextlib.suppress(OSError):
        fsync_folder(folder.parent)
        shutil.rmtree(trash, ignore_errors=True)


def fsync_file(path: Path) -> None:
    """Bring a file's bytes to the disk."""
    with opened(path) as descriptor, _named(path):
        os.fsync(descriptor)


def fsync_folder(folder: Path) -> None:
    """Bring a folder's names to the disk."""
    with opened(folder, os.O_DIRECTORY) as descriptor, _named(folder):
        try:
            os.fsync(descriptor)
        except OSError as error:
            # Some network file systems cannot fsync a folder: they have nothing to flush.
            if error.errno != errno.EINVAL:
                raise


@contextlib.contextmanager
def opened(path: Path, flags: int = 0) -> Iterator[int]:
    """Open a file of our own for reading; yields its descriptor."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _write_new(path: Path, pieces: Iterable[Data]) -> None:
    with _created(path) as target:
        for piece in pieces:
            with _named(path):
                _write(target, piece)


@contextlib.contextmanager
def _created(path: Path) -> Iterator[int]:
    descriptor = os.open(path, _CREATE, 0o666)
    try:
        yield descriptor
        with _named(path):
            os.fsync(descriptor)
    except BaseException:
        _discard(path)
        raise
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """Errors of calls on descriptors name no file: add it."""
    try:
        yield
    except OSError as error:
        if error.filename is not None or error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def _chunks(source: int) -> Iterator[bytes]:
    os.lseek(source, 0, os.SEEK_SET)
    while chunk := os.read(source, _CHUNK_BYTES):
        yield chunk


def _write(target: int, data: Data) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(target, rest) :]


def _staged(path: Path) -> Path:
    return path.with_name(f".{path.name}{_TEMPORARY}")


def _discard(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


def _renameat2(source: Path, destination: Path) -> None:
    call = getattr(_LIBC, "renameat2", None)
    if call is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), str(source), None, str(destination))
    if call(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(destination), _RENAME_NOREPLACE) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(source), None, str(destination))
