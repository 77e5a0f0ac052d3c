"""Another program that holds a file: what the tests about writers share."""

import subprocess
import sys
from pathlib import Path
from typing import Self

_PROGRAM = """
import contextlib, fcntl, mmap, os, signal, sys
path = sys.argv[1]
for line in sys.stdin:
    exec(line)
    print("done", flush=True)
"""


class OtherProgram:
    """A child process that does what it is told, line by line, with the file at `path`."""

    def __init__(self, path: Path) -> None:
        command = [sys.executable, "-c", _PROGRAM, str(path)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def does(self, line: str) -> None:
        """Let it do something, and wait until it has."""
        self._process.stdin.write(f"{line}\n")
        assert self._process.stdout.readline() == "done\n", line

    def opens(self, mode: str) -> None:
        self.does(f"file = open(path, {mode!r}, buffering=0)")

    def writes(self, data: bytes) -> None:
        self.does(f"file.write({data!r})")

    def closes(self) -> None:
        self.does("file.close()")
