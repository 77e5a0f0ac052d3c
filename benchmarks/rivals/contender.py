"""The parent's side of the line protocol."""

import json
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, cast

from rivals.environment import program, with_nstd, without_nstd

BENCHMARKS = Path(__file__).resolve().parents[1]


class Contender:
    """A process that computes only when it is told to.

    Args:
        module: of this package; it calls `answering.answer`.
        arguments: of its command line.
        environment: folder of the virtual environment that it runs in; by default this process's own.

    Attributes:
        facts: what it told when it was ready.
    """

    def __init__(self, module: str, *arguments: object, environment: Path | None = None) -> None:
        python = program(environment, "python") if environment else sys.executable
        self._module = module
        self._process = subprocess.Popen(
            [python, "-m", f"rivals.{module}", *map(str, arguments)],
            cwd=BENCHMARKS,
            env=without_nstd() if environment else with_nstd(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.facts: dict[str, Any] = self._read()

    def ask(self, line: str = "run") -> Any:  # noqa: ANN401  each contender has its own answers
        """Send a line and wait for the answer."""
        questions = cast("IO[str]", self._process.stdin)
        print(line, file=questions, flush=True)
        return self._read()

    def _read(self) -> Any:  # noqa: ANN401
        line = cast("IO[str]", self._process.stdout).readline()
        if not line:
            sys.exit(f"rivals.{self._module} ended with status {self._process.wait()}")
        return json.loads(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """End the process, and wait until it has ended: its memory is for the next one."""
        self._process.communicate()
