"""Real faults of the machine, by strace: system calls that fail, and processes that are killed at one."""

import re
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

# All by which the daemon changes the disk; a file that was opened to be made is first written, or its folder fsynced.
DISK_CALLS = (
    "fsync",
    "ftruncate",
    "link",
    "linkat",
    "mkdir",
    "pwrite64",
    "rename",
    "renameat2",
    "rmdir",
    "unlink",
    "unlinkat",
    "utimensat",
    "write",
)
needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace (Debian's package strace)")


class Call(NamedTuple):
    """The n-th call of a name that a process's main thread makes.

    Attributes:
        text: the call as strace wrote it.
    """

    name: str
    number: int
    text: str

    def __str__(self) -> str:
        return f"{self.name} #{self.number}: {self.text}"


def tracing(log: Path) -> tuple[str, ...]:
    """Return the command that runs another and writes down its calls that change the disk."""
    return (
        "strace",
        "-qq",
        "-y",
        "-s",
        "200",
        "-e",
        "signal=none",
        "-e",
        f"trace={','.join(DISK_CALLS)}",
        "-o",
        str(log),
    )


def failing(call: Call, error: str) -> tuple[str, ...]:
    """Return the command that runs another, whose call then fails with an error such as EIO."""
    return _injecting(call, f"error={error}")


def killing_at(call: Call) -> tuple[str, ...]:
    """Return the command that runs another, which is then killed just before a call."""
    return _injecting(call, "signal=KILL")


def calls_below(root: Path, log: Path) -> list[Call]:
    """Return the traced calls that concern the folder, in their order; a line of the log only tells of it."""
    return [call for call in _calls(log) if str(root) in call.text and "<pipe:" not in call.text]


def _calls(log: Path) -> Iterator[Call]:
    numbers: Counter[str] = Counter()
    for line in log.read_text(errors="replace").splitlines():
        if match := re.match(r"(\w+)\(", line):
            numbers[match[1]] += 1
            yield Call(match[1], numbers[match[1]], line)


def _injecting(call: Call, what: str) -> tuple[str, ...]:
    fault = f"inject={call.name}:{what}:when={call.number}"
    return ("strace", "-qq", "-e", "signal=none", "-e", f"trace={call.name}", "-e", fault, "-o", "/dev/null")


def delaying(name: str, seconds: float, *, when: str = "1+") -> tuple[str, ...]:
    """Return the command that runs another, whose calls of a name begin late.

    The other has the process id of the command, so that signals reach it.

    Args:
        name: of the call.
        seconds: how late.
        when: which of them, as strace counts: `3`, or `3+` for those after it, too.
    """
    fault = f"inject={name}:delay_enter={round(seconds * 1e6)}:when={when}"
    return ("strace", "-D", "-qq", "-e", "signal=none", "-e", f"trace={name}", "-e", fault, "-o", "/dev/null")
