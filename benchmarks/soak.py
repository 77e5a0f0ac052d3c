"""Whether anything is lost when everything goes wrong: a real `nstd run` under random faults, and then the ledger.

    python benchmarks/soak.py [--minutes 5 | --hours 8] [--seed 1] [--jobs 200]

First, `--jobs` small photos are painted in peace while the memory of daemon and worker is watched. Then files of all
kinds are dropped while the daemon and its worker are killed and stopped, the disk fills up, the outbox turns
read-only, the config changes and breaks. At last all is put right, the queue empties, and every drop must lie in
exactly one place: published, in `failed/` with a reason, or still waiting and told by `nstd status`. Whatever is
missing, double or half is printed, and the exit status is 1; the spool is then kept, to look into.

The same seed gives the same drops and faults, though not to the millisecond. As root, the spool lies on file systems
of its own, which can be full. The weights must be stored: `nstd weights pull`.
"""

import argparse
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from soaking.agenda import Agenda
from soaking.drops import Dropper
from soaking.faults import Faults
from soaking.ledger import Ledger
from soaking.memory import Memory
from soaking.places import Places
from soaking.program import Program
from soaking.report import counts_table, drops_table, memory_table
from soaking.spool import Spool

from nstd.daemon.status import SpoolStatus

NAMESPACE = "NSTD_SOAK_MAY_MOUNT"
LARGEST_BACKLOG = 40
SHARE_OF_DROPS_AT_BACKLOG = 0.1
PATIENCE_SECONDS = 240
QUIET_LOOKS = 2


class Soak:
    """One soak from beginning to end."""

    def __init__(self, folder: Path, dice: random.Random) -> None:
        self.folder = folder
        self.dice = dice
        self.began = time.monotonic()
        self.agenda, self.ledger, self.memory = Agenda(), Ledger(), Memory()
        self.spool = Spool(folder, dice, may_mount=NAMESPACE in os.environ)
        self.program = Program(self.spool.config, folder / "daemon.log")
        self.dropper = Dropper(self.spool, self.ledger, self.agenda, dice)
        self.faults = Faults(self.spool, self.program, self.dropper, self.ledger, agenda=self.agenda, dice=dice)
        self.last_fault = ""
        self.chaos_seconds = 0.0

    def tell(self, line: str) -> None:
        """Print how far it is."""
        print(f"{time.monotonic() - self.began:6.0f} s  {line}", flush=True)

    def run(self, jobs: int, seconds: float) -> list[str]:
        """Do all of it; return what is wrong."""
        self.program.start()
        try:
            self.memory.measure(self.spool, self.program, self.dropper, dice=self.dice, jobs=jobs, tell=self.tell)
            began = time.monotonic()
            self.chaos(seconds)
            self.settle()
            self.chaos_seconds = time.monotonic() - began
            return [*self.balance(), *self.program.surprises, *self.crashes(), *self.memory.problems]
        finally:
            self.program.close()

    def chaos(self, seconds: float) -> None:
        """Drop files and let faults happen; in the end put all right that does not come right by itself."""
        self.agenda.repeat(lambda: self.dice.expovariate(3), self.drop)
        self.agenda.repeat(lambda: self.dice.uniform(1, 6), self.strike)
        self.agenda.repeat(lambda: 0.5, self.restart)
        self.agenda.repeat(lambda: 10, self.tell_progress)
        self.agenda.run(seconds)
        self.agenda.wind_up()
        self.spool.calm()

    def drop(self) -> None:
        """Drop something; seldom if much waits already."""
        if self.spool.backlog() < LARGEST_BACKLOG or self.dice.random() < SHARE_OF_DROPS_AT_BACKLOG:
            for _ in range(self.dice.choice((1, 1, 1, 1, 6))):
                self.dropper.drop_anything()

    def strike(self) -> None:
        """Let a fault happen."""
        self.last_fault = self.faults.strike() or self.last_fault

    def restart(self) -> None:
        """Start the daemon again if it ended by itself."""
        self.program.restart_if_ended(in_trouble=self.spool.in_trouble)

    def settle(self) -> None:
        """Wait until nothing waits any more, or nothing moves; then do it again with a daemon that starts afresh."""
        self.tell("all is put right; waiting for the rest to be painted")
        self.wait_until_idle()
        self.program.stop()
        self.program.start()
        self.wait_until_idle()

    def wait_until_idle(self) -> None:
        """Wait until inbox and queue are empty, as two looks agree, or nothing has moved for minutes."""
        last, moved_at, idle_looks = "", time.monotonic(), 0
        while idle_looks < QUIET_LOOKS and time.monotonic() < moved_at + PATIENCE_SECONDS:
            self.restart()
            status = self.spool.status()
            jobs = status.jobs
            is_idle = status.pid and status.inbox.drops + jobs.waiting + jobs.held + jobs.running == 0
            idle_looks = idle_looks + 1 if is_idle else 0
            if (now := f"{status.inbox.drops} {jobs}") != last:
                last, moved_at = now, time.monotonic()
            time.sleep(1)

    def balance(self) -> list[str]:
        """Find every drop."""
        status = SpoolStatus.model_validate_json(self.program.ask("status", "--json"))
        self.program.stop()
        return self.ledger.balance(Places(self.spool, status))

    def crashes(self) -> Iterator[str]:
        """Tell of tracebacks in the log."""
        if count := self.program.tracebacks():
            yield f"daemon.log: {count} tracebacks"

    def tell_progress(self) -> None:
        """Print a line."""
        published = sum(1 for _ in self.spool.outbox.glob("*/*.json"))
        failed = sum(1 for _ in self.spool.failed.glob("*/reason.json"))
        self.tell(
            f"{self.ledger.drops} drops, {published} published, {failed} failed, {self.spool.backlog()} wait, "
            f"{self.faults.done.total()} faults, the last: {self.last_fault}"
        )

    def report(self) -> Iterator[str]:
        """Tell the figures."""
        outcomes = sum(self.ledger.outcomes().values(), Counter())
        ended = outcomes["published"] + outcomes["failed"] - len(self.memory.worker)
        yield from drops_table(self.ledger)
        yield from ("", *counts_table("drops not finished by the dropper", self.dropper.given_up))
        yield from ("", *counts_table("faults", self.faults.done))
        yield from ("", *counts_table("endings of the daemon", self.program.endings))
        yield from ("", *counts_table("endings of the worker alone", self.workers()))
        yield f"jobs a minute under faults: {ended / self.chaos_seconds * 60:.0f}"
        yield f"good photos that failed because their attempts were killed: {self.ledger.failed_by_attempts}"
        yield f"photos taken out of the inbox and put back that became two jobs: {self.ledger.painted_twice}"
        if self.memory.worker:
            yield f"jobs a minute in peace: {len(self.memory.worker) / self.memory.seconds * 60:.0f}"
            yield from ("", *memory_table(self.memory))

    def workers(self) -> Counter[str]:
        """Count how the workers ended."""
        return Counter(event["how"] for event in self.program.logged() if event["event"] == "worker_ended")


def enter_namespace() -> None:
    """Go on in a mount namespace of its own, if that is permitted."""
    unshare = ("unshare", "--mount", "--propagation", "private")
    if NAMESPACE in os.environ:
        return
    if os.geteuid() == 0 and shutil.which("unshare"):
        probe = subprocess.run([*unshare, "mount", "-t", "tmpfs", "probe", "/mnt"], check=False, capture_output=True)
        if probe.returncode == 0:
            os.environ[NAMESPACE] = "yes"
            os.execvp(unshare[0], [*unshare, sys.executable, *sys.argv])  # noqa: S606
    print("left out, for want of root and a mount namespace: the full disk")


def keep(folder: Path) -> Path:
    """Copy the spool to where it outlives this process."""
    kept = Path(tempfile.mkdtemp(prefix="nstd-soak-kept-"))
    with contextlib.suppress(shutil.Error):  # a pipe cannot be copied
        shutil.copytree(folder, kept, symlinks=True, dirs_exist_ok=True)
    return kept


def main() -> None:
    """Soak, print, and judge."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=5, help="time of the faults")
    parser.add_argument("--hours", type=float, help="the same in hours")
    parser.add_argument("--seed", type=int, default=1, help="of all chance")
    parser.add_argument("--jobs", type=int, default=200, help="jobs in peace, to watch the memory; 0 for none")
    arguments = parser.parse_args()
    enter_namespace()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    seconds = 60 * (arguments.minutes if arguments.hours is None else 60 * arguments.hours)
    with tempfile.TemporaryDirectory(prefix="nstd-soak-", ignore_cleanup_errors=True) as folder:
        soak = Soak(Path(folder), random.Random(arguments.seed))
        with contextlib.closing(soak.spool):
            problems = soak.run(arguments.jobs, seconds)
            print("", *soak.report(), "", sep="\n")
            print("\n".join(problems) or "the ledger balances: every drop is accounted for")
            if problems:
                print(f"kept: {keep(soak.folder)}")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
