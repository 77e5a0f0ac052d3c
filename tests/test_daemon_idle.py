"""A worker that has nothing to do, with one that copies."""

import json
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from daemon_world import COPYING_NSTD, RunningDaemon, World, eventually

RELEASE_MINUTES = 0.02


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.close()


def paint(world: World, daemon: RunningDaemon, count: int) -> None:
    world.drop_text(f"paint {count}", f"{count}.jpg")
    daemon.wait_for("job_finished", count)


def test_idle_worker_ends_and_the_next_job_starts_another(world):
    world.config.write_text(
        world.config.read_text().replace("max_attempts: 2", f"max_attempts: 2, idle_release_minutes: {RELEASE_MINUTES}")
    )
    daemon = world.start(nstd=COPYING_NSTD)
    paint(world, daemon, 1)
    [released] = daemon.wait_for("worker_released")
    pid = daemon.worker_pid()
    assert released["pid"] == pid
    eventually(lambda: not Path(f"/proc/{pid}").exists(), "the worker's end")
    # It has nothing to do once it has painted; the job is finished only when all is published.
    [log] = world.outbox.rglob("*.json")
    painted = datetime.fromisoformat(json.loads(log.read_text())["finished_at"])
    idle = datetime.fromisoformat(released["timestamp"]) - painted
    assert idle.total_seconds() >= 60 * RELEASE_MINUTES * 0.9
    paint(world, daemon, 2)
    assert daemon.worker_pid() != pid
    assert not daemon.logged("worker_ended"), "it was not missed"
    daemon.wait_for("worker_released", 2)


def test_worker_stays_as_long_as_nobody_says_otherwise(world):
    daemon = world.start(nstd=COPYING_NSTD)
    paint(world, daemon, 1)
    os.kill(daemon.worker_pid(), 0)
    paint(world, daemon, 2)
    assert len(daemon.logged("worker_started")) == 1
    world.config.write_text(
        world.config.read_text().replace("max_attempts: 2", f"max_attempts: 2, idle_release_minutes: {RELEASE_MINUTES}")
    )
    daemon.wait_for("worker_released")
