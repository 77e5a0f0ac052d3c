"""Several devices of one machine, each with a worker of its own that copies."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon_world import COPYING_NSTD, RunningDaemon, World, eventually

DEVICES = "devices: ['gpu:0', 'gpu:1']"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path, engine=f"engine: {{{DEVICES}}}")
    yield world
    world.close()


def start(world: World, *arguments: str) -> RunningDaemon:
    return world.start(*arguments, nstd=COPYING_NSTD)


def running(world: World) -> dict[str, str]:
    """Return the device of each photo that is being painted."""
    daemon = world.status().daemon
    return {job.photo: job.worker for job in daemon.jobs} if daemon else {}


def drop_two(world: World, daemon: RunningDaemon) -> dict[str, str]:
    """Drop two photos that take for ever; return their devices once both are being painted."""
    for name in ("a.jpg", "b.jpg"):
        world.drop_text("slow", name)
    devices = eventually(lambda: found if len(found := running(world)) == 2 else None, "two jobs")
    daemon.wait_for("worker_started", 2)
    return devices


def pid_of(daemon: RunningDaemon, device: str) -> int:
    return next(one["pid"] for one in reversed(daemon.logged("worker_started")) if one["worker"] == device)


def test_each_device_paints_a_photo_of_its_own(world):
    daemon = start(world)
    assert set(drop_two(world, daemon).values()) == {"gpu:0", "gpu:1"}
    told = eventually(lambda: found if "2 painting" in (found := world.nstd("status").stdout) else "", "the status")
    assert "Painting a.jpg as quick on gpu:" in told
    assert "Painting b.jpg as quick on gpu:" in told
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == (0, "")
    assert {one["photo"] for one in daemon.logged("job_given_back")} == {"a.jpg", "b.jpg"}
    assert [job.attempts for job in world.status().next] == [0, 0]


def test_worker_that_is_killed_takes_only_its_own_photo_down(world):
    daemon = start(world)
    devices = drop_two(world, daemon)
    os.kill(pid_of(daemon, devices["a.jpg"]), signal.SIGKILL)
    [requeued] = daemon.wait_for("job_requeued")
    assert requeued["photo"] == "a.jpg"
    *both, last = (one["photo"] for one in daemon.wait_for("job_started", 3))
    assert (sorted(both), last) == (["a.jpg", "b.jpg"], "a.jpg")


def test_no_more_workers_are_started_than_there_are_photos(world):
    daemon = start(world)
    for number in range(3):
        world.drop_text("paint", f"{number}.jpg")
        daemon.wait_for("job_finished", number + 1)
    assert len(daemon.logged("worker_started")) == 1


def test_device_in_trouble_pauses_alone(world, monkeypatch):
    monkeypatch.setenv("COPYING_WORKER_LACKS", "gpu:1")
    daemon = start(world)
    world.drop_text("slow", "slow.jpg")
    daemon.wait_for("job_started")
    world.drop_text("paint", "next.jpg")
    [trouble, *_] = daemon.wait_for("trouble")
    assert (trouble["subject"], trouble["reason"]) == ("painting on gpu:1", "engine.device: got gpu:1")
    eventually(lambda: "painting on gpu:1 pauses:" in world.nstd("status").stdout, "the status")
    assert running(world) == {"slow.jpg": "gpu:0"}
    [job] = [job for job in world.status().daemon.jobs if job.photo == "slow.jpg"]
    world.nstd("cancel", job.id)
    daemon.wait_for("job_finished")
    assert [one["worker"] for one in daemon.logged("job_started")] == ["gpu:0", "gpu:0"]


def test_devices_come_and_go_with_the_config(world):
    text, gate = world.config.read_text(), world.root / "gate"
    world.config.write_text(text.replace(DEVICES, "devices: ['gpu:0']"))
    daemon = start(world)
    world.drop_text(f"until {gate}", "a.jpg")
    eventually(lambda: running(world) == {"a.jpg": "gpu:0"}, "the first")
    world.drop_text("slow", "b.jpg")
    world.config.write_text(text)
    eventually(lambda: running(world) == {"a.jpg": "gpu:0", "b.jpg": "gpu:1"}, "the second")

    world.config.write_text(text.replace(DEVICES, "devices: ['gpu:1']"))
    daemon.wait_for("config_reloaded", 2)
    first = pid_of(daemon, "gpu:0")
    gate.touch()
    [finished] = daemon.wait_for("job_finished")
    assert finished["photo"] == "a.jpg"
    eventually(lambda: not Path(f"/proc/{first}").exists(), "the end of its worker")
    eventually(lambda: running(world) == {"b.jpg": "gpu:1"}, "the second alone")
    assert len(daemon.logged("job_started")) == 2
    assert not daemon.logged("job_given_back"), "neither was interrupted"
    assert not daemon.logged("worker_ended")
