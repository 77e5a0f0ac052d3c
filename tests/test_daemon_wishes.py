"""`nstd hold`, `release` and `cancel` beside a running daemon and without one, with a worker that copies."""

import json
import os
import signal
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from daemon_world import COPYING_NSTD, RunningDaemon, World

RESCAN = "rescan_seconds: 3600"  # so that nothing is found but by a hint


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "world")
    world.config.write_text(world.config.read_text().replace("rescan_seconds: 1", RESCAN))
    yield world
    world.close()


def running(world: World, photo: str = "slow.jpg") -> tuple[RunningDaemon, str]:
    """Start a daemon whose worker paints a photo without end; return the job's id."""
    world.drop_text("slow", photo)
    daemon = world.start(nstd=COPYING_NSTD)
    [started] = daemon.wait_for("job_started")
    return daemon, started["job"]


def told(world: World, *arguments: str) -> str:
    done = world.nstd(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_a_running_job_is_held_and_the_next_one_begins(world):
    daemon, job = running(world)
    world.drop_text("next", "next.jpg")
    assert told(world, "hold", job) == f"{job}: slow.jpg as quick is held\n"
    daemon.wait_for("job_given_back")
    [finished] = daemon.wait_for("job_finished")
    assert finished["photo"] == "next.jpg"
    assert world.status().jobs.held == 1
    assert world.status().next[0].held
    out = told(world, "status")
    assert "0 waiting, 1 held, 0 running" in out
    assert any(job in line and line.rstrip().endswith("held") for line in out.splitlines())

    assert told(world, "release", job) == f"{job}: slow.jpg as quick is released\n"
    assert [one["job"] for one in daemon.wait_for("job_started", 3)][-1] == job
    [record] = (world.root / "state/queue/cur").glob("*/job.json")
    assert json.loads(record.read_text())["attempts"] == 1


def test_a_running_job_is_cancelled(world):
    daemon, job = running(world)
    assert told(world, "cancel", job) == f"{job}: slow.jpg as quick is cancelled\n"
    daemon.wait_for("job_cancelled")
    assert world.reasons()["slow.jpg"]["kind"] == "cancelled"
    assert (world.failed / job / "slow.jpg").read_text() == "slow"
    assert world.status().daemon.results[0].reason == "cancelled"
    assert not daemon.logged("job_failed")
    assert f"{job}  slow.jpg  cancelled" in told(world, "status")


def test_a_waiting_job_is_cancelled_at_once_while_another_is_painted(world):
    daemon, _ = running(world)
    world.drop_text("next", "next.jpg")
    daemon.wait_for("job_queued", 2)
    [waiting] = world.status().next
    told(world, "cancel", waiting.id)
    [cancelled] = daemon.wait_for("job_cancelled")
    assert (cancelled["job"], cancelled["photo"]) == (waiting.id, "next.jpg")
    assert world.reasons()["next.jpg"]["message"] == "cancelled"


def test_a_job_whose_worker_dies_is_cancelled_all_the_same(world):
    daemon, job = running(world)
    os.kill(daemon.worker_pid(), signal.SIGSTOP)
    told(world, "cancel", job)
    os.kill(daemon.worker_pid(), signal.SIGKILL)
    daemon.wait_for("job_cancelled")
    assert world.reasons()["slow.jpg"]["kind"] == "cancelled"


def test_a_cancelled_job_is_no_failure_of_a_run(world):
    world.drop_text("slow", "slow.jpg")
    daemon = world.start("--once", nstd=COPYING_NSTD)
    [started] = daemon.wait_for("job_started")
    told(world, "cancel", started["job"])
    assert daemon.wait() == (0, "")


def test_a_held_job_does_not_keep_a_run_from_its_end(world):
    world.drop_text("slow", "slow.jpg")
    daemon = world.start("--once", nstd=COPYING_NSTD)
    [started] = daemon.wait_for("job_started")
    told(world, "hold", started["job"])
    assert daemon.wait() == (0, "")
    assert world.status().jobs.held == 1


def test_without_a_daemon_wishes_are_fulfilled_at_once(world):
    daemon, first = running(world)
    world.drop_text("next", "next.jpg")
    daemon.wait_for("job_queued", 2)
    daemon.signal(signal.SIGTERM)
    daemon.wait()
    second = next(job.id for job in world.status().next if job.id != first)
    told(world, "hold", first)
    told(world, "cancel", second)
    assert list(world.reasons()) == ["next.jpg"]
    assert world.start("--once", nstd=COPYING_NSTD).wait() == (0, "")
    assert world.status().jobs.held == 1


def test_a_retried_job_begins_at_once(world):
    daemon, job = running(world)
    told(world, "cancel", job)
    daemon.wait_for("job_cancelled")
    told(world, "retry", job)
    daemon.wait_for("job_started", 2)


def test_what_cannot_be_done_is_told_and_the_rest_is_done(world):
    daemon, job = running(world)
    for command in ("hold", "release", "cancel"):
        refused = world.nstd(command, "no-such-job", job)
        assert refused.returncode == 1
        assert refused.stderr == "no-such-job: there is no job of this id in the queue\n"
        assert refused.stdout.startswith(f"{job}: slow.jpg as quick is ")
    daemon.wait_for("job_cancelled")


def test_a_second_signal_does_not_wait_for_the_step(world, tmp_path):
    """The worker hears nothing, and the first signal waits for it."""
    world.drop_text(f"deaf {tmp_path / 'never'}", "deaf.jpg")
    daemon = world.start(nstd=COPYING_NSTD)
    daemon.wait_for("job_started")
    daemon.signal(signal.SIGTERM)
    [stopping] = daemon.wait_for("stopping")
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == (0, "")
    stopped = datetime.fromisoformat(daemon.logged("daemon_stopped")[0]["timestamp"])
    assert (stopped - datetime.fromisoformat(stopping["timestamp"])).total_seconds() < stopping["seconds_at_most"]
    assert world.status().jobs.waiting == 1
