"""The account of a spool: where each drop is."""

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daemon_world import RunningDaemon, World

from nstd.spool.names import to_name

ENDINGS = ("job_finished", "job_failed", "job_refused")


def wait_for_the_end_of(jobs: int, daemon: RunningDaemon) -> None:
    """Wait until this many jobs have ended, in whatever way."""
    daemon.wait_for_any(ENDINGS, jobs)


@dataclass(frozen=True)
class Accounts:
    """Everything below a spool's roots, by the name of the photo.

    Attributes:
        painted: the logs of published results; every picture beside one.
        failed: the folders, each with its `reason.json` and the photo.
        inbox: paths below the inbox.
        queue: what lies in `tmp`, `new` and `cur`.
    """

    painted: dict[str, list[Path]]
    failed: dict[str, list[Path]]
    inbox: set[str]
    queue: list[Path]

    def places(self, name: str, preset: str) -> list[str]:
        """Say in which places this drop is, once for each time."""
        painted, failed = len(self.painted.get(name, ())), len(self.failed.get(name, ()))
        return ["outbox"] * painted + ["failed"] * failed + ["inbox"] * (f"{preset}/{name}" in self.inbox)


def accounts_of(world: World, preset: str) -> Accounts:
    """Draw up the account of a preset, and check that there is no half of anything."""
    painted, failed = defaultdict(list), defaultdict(list)
    results = world.results(preset)
    logs = [path for path in results if path.suffix == ".json"]
    assert sorted(results) == sorted(file for log in logs for file in (log, log.with_suffix(".png")))
    for log in logs:
        painted[to_name(_read(log)["content"]["name"])].append(log)
    for reason in world.failed.glob("*/reason.json"):
        name = to_name(_read(reason)["job"]["content"]["name"])
        failed[name].append(reason.parent)
        assert len(list(reason.parent.iterdir())) == 2, "the reason and the photo"
    assert len(list(world.failed.glob("*"))) == len([folder for folders in failed.values() for folder in folders]) + 1
    inbox = {str(path.relative_to(world.inbox)) for path in world.inbox.rglob("*")} - {"quick", "slow"}
    queue = [path for place in ("tmp", "new", "cur") for path in (world.root / "state/queue" / place).iterdir()]
    return Accounts(painted, failed, inbox, queue)


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())
