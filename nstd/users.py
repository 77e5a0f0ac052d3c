"""Acting as another user: what root does to a service's files must leave them the service's."""

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_ROOT = 0


def user_named(name: str) -> pwd.struct_passwd | None:
    """Return a user of this machine, if there is one of this name."""
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def current_user() -> str:
    """Name whom this process acts as."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"user {os.geteuid()}"


@contextmanager
def acting_as(user: pwd.struct_passwd | None) -> Iterator[None]:
    """Let root have no more rights than another user while the block runs; for the main thread, and no other.

    Args:
        user: None to go on as before.
    """
    if user is None or os.geteuid() != _ROOT:
        yield
        return
    groups, group = os.getgroups(), os.getegid()
    os.setgroups(os.getgrouplist(user.pw_name, user.pw_gid))
    os.setegid(user.pw_gid)
    os.seteuid(user.pw_uid)
    try:
        yield
    finally:
        os.seteuid(_ROOT)
        os.setegid(group)
        os.setgroups(groups)


def become_owner(folder: Path) -> None:
    """Let root become the user whom a folder belongs to, for good, so that what it makes there is that user's.

    Without the folder, or for anybody but root, nothing changes.
    """
    if os.geteuid() != _ROOT or not folder.exists():
        return
    status = folder.stat()
    if status.st_uid == _ROOT:
        return
    try:
        become(pwd.getpwuid(status.st_uid))
    except KeyError:  # a user of another machine's
        os.setgroups([])
        os.setgid(status.st_gid)
        os.setuid(status.st_uid)


def become(user: pwd.struct_passwd) -> None:
    """Let root become another user, for good; for anybody else nothing changes."""
    if os.geteuid() == _ROOT:
        os.setgroups(os.getgrouplist(user.pw_name, user.pw_gid))
        os.setgid(user.pw_gid)
        os.setuid(user.pw_uid)
