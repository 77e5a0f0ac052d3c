"""What it takes to have many jobs in the queue.

nstd's daemon runs with a worker that has one job that never ends, so that the others wait.
"""

import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from ingest import DAEMON, cpu_seconds, entries, make_spool, wait_until
from rivals.environment import with_nstd
from soaking.memory import rss_mib

from nstd.config.load import load_config
from nstd.daemon.status import SpoolStatus
from nstd.spool.folders import Folders
from nstd.spool.queue import Queue

PHOTO_BYTES = 1000
ROUNDS = 5


class Waiting(NamedTuple):
    """What it takes to have jobs wait.

    Attributes:
        jobs: how many wait.
        ingest_seconds: until all had been taken in.
        ingest_cpu_seconds: the daemon's processor time for that.
        daemon_mib: its resident memory then.
        status_seconds: of `nstd status --json`, the start of the process included.
        claim_seconds: until the next job is claimed.
    """

    jobs: int
    ingest_seconds: float
    ingest_cpu_seconds: float
    daemon_mib: float
    status_seconds: float
    claim_seconds: float


def measure(jobs: int) -> Waiting:
    """Have so many photos taken in, and see what daemon, `nstd status` and a claim take while they wait."""
    with tempfile.TemporaryDirectory(prefix="nstd-growth-") as name:
        root = Path(name)
        make_spool(root, jobs, PHOTO_BYTES)
        with (root / "log").open("wb") as log:
            command = [*DAEMON, "run", "-c", str(root / "config.yaml")]
            daemon = subprocess.Popen(command, stdout=log, stderr=log, env=with_nstd())
        try:
            ingest_seconds, ingest_cpu_seconds = _take_in(root, daemon)
            daemon_mib = rss_mib(daemon.pid)
            status_seconds = _median(lambda: _ask_status(root, jobs))
        finally:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait()
        return Waiting(
            jobs, ingest_seconds, ingest_cpu_seconds, daemon_mib, status_seconds, claim_seconds=_claim_seconds(root)
        )


def _take_in(root: Path, daemon: "subprocess.Popen[bytes]") -> tuple[float, float]:
    inbox = root / "inbox" / "swirls"
    wait_until(lambda: entries(root / "state" / "queue" / "cur"), daemon)
    cpu, began = cpu_seconds(daemon.pid), time.monotonic()
    for photo in (root / "camera").iterdir():
        photo.rename(inbox / photo.name)
    wait_until(lambda: not entries(inbox), daemon)
    return time.monotonic() - began, cpu_seconds(daemon.pid) - cpu


def _ask_status(root: Path, jobs: int) -> None:
    command = (sys.executable, "-m", "nstd", "status", "--json", "-c", str(root / "config.yaml"))
    told = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=with_nstd()).stdout
    if (waiting := SpoolStatus.model_validate_json(told).jobs.waiting) != jobs:
        sys.exit(f"{jobs} jobs should wait, but `nstd status` tells of {waiting}")


def _claim_seconds(root: Path) -> float:
    """Claim the next job again and again, once the daemon has given up the spool."""
    config = load_config(root / "config.yaml", check_image=lambda *_: None)
    queue, took = Queue(Folders.of(config.spool)), []
    for _ in range(ROUNDS):
        began = time.monotonic()
        claimed = queue.claim(datetime.now(UTC))
        took.append(time.monotonic() - began)
        if claimed is None:
            sys.exit("no job waits")
        queue.give_back(claimed)
    return statistics.median(took)


def _median(work: Callable[[], object]) -> float:
    took = []
    for _ in range(ROUNDS):
        began = time.monotonic()
        work()
        took.append(time.monotonic() - began)
    return statistics.median(took)
