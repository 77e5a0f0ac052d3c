"""Whether daemon and worker stay as small as they are, over many small jobs of changing sizes."""

import os
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from .drops import Dropper
from .program import Program
from .spool import Spool

WARM_UP_JOBS = 20
GROWTH_LIMIT = 0.05
_IN_FLIGHT = 4
_PATIENCE_SECONDS = 300


def rss_mib(pid: int) -> float:
    """Return a process's resident memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def growth(series: Sequence[float]) -> float:
    """Return by what share of its value after the warm-up a series has grown at its end."""
    return series[-1] / series[min(WARM_UP_JOBS, len(series)) - 1] - 1


class Memory:
    """Resident memory of daemon and worker in MiB, after each job."""

    def __init__(self) -> None:
        self.daemon: list[float] = []
        self.worker: list[float] = []
        self.seconds = 0.0

    @property
    def problems(self) -> list[str]:
        """Whoever has grown too much."""
        series = {"daemon": self.daemon, "worker": self.worker}
        return [
            f"memory: the {name} has grown by {growth(values):.1%} (allowed: less than {GROWTH_LIMIT:.0%})"
            for name, values in series.items()
            if values and growth(values) >= GROWTH_LIMIT
        ]

    def measure(
        self,
        spool: Spool,
        program: Program,
        dropper: Dropper,
        *,
        dice: random.Random,
        jobs: int,
        tell: Callable[[str], None],
    ) -> None:
        """Have this many photos painted, a few of them in the queue at a time.

        Raises:
            TimeoutError: no picture has come for minutes.
        """
        began, dropped = time.monotonic(), 0
        while len(self.worker) < jobs:
            while dropped < min(jobs, len(self.worker) + _IN_FLIGHT):
                dropper.drop(dice.choice(("JPEG", "PNG", "WebP", "moved in")))
                dropped += 1
            self._wait_for_one_more(spool)
            self.daemon.append(rss_mib(program.pid))
            self.worker.append(rss_mib(program.worker() or program.pid))
            if len(self.worker) % WARM_UP_JOBS == 0:
                tell(f"{len(self.worker)} jobs: daemon {self.daemon[-1]:.0f} MiB, worker {self.worker[-1]:.0f} MiB")
        self.seconds = time.monotonic() - began

    def _wait_for_one_more(self, spool: Spool) -> None:
        until = time.monotonic() + _PATIENCE_SECONDS
        while sum(1 for _ in spool.outbox.glob("*/*.json")) <= len(self.worker):
            if time.monotonic() > until:
                msg = f"no picture has come for {_PATIENCE_SECONDS} s"
                raise TimeoutError(msg)
            time.sleep(0.02)
