"""The machine in trouble while a picture is painted: the daemon waits, says so, and loses nothing."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon_world import NSTD_WITHOUT_POWERS, World, eventually

pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "world")
    yield world
    world.close()


def spoil(folder: Path) -> None:
    """Let nobody write into a folder, not even root: a file of its name takes its place."""
    folder.rename(folder.with_name(".hidden"))
    folder.touch()


def mend(folder: Path) -> None:
    folder.unlink()
    folder.with_name(".hidden").rename(folder)


def queue(world: World) -> list[str]:
    return [path.name for place in ("tmp", "new", "cur") for path in (world.root / "state/queue" / place).iterdir()]


def check_only_result(world: World) -> None:
    log, picture = world.results("quick")
    assert (log.suffix, picture.suffix) == (".json", ".png")
    told = json.loads(log.read_text())
    assert (next(iter(told)), told["attempts"]) == ("schema_version", 1)
    assert queue(world) == []
    assert world.reasons() == {}


def test_picture_waits_for_an_outbox_that_cannot_be_written(world):
    daemon = world.start("--verbose")
    world.drop("chelsea.jpg", "quick")
    daemon.wait_for("job_started")
    spoil(world.outbox / "quick")
    first, second, *_ = daemon.wait_for("trouble", 2)
    assert first["reason"].startswith("cannot publish job ")
    assert first["reason"].endswith(f"{world.outbox / 'quick'}: File exists")
    assert (first["level"], second["reason"], second["level"]) == ("error", first["reason"], "debug")
    eventually(lambda: [one.reason for one in world.status().daemon.deferred] == [first["reason"]], "it in the status")
    assert "Deferred" in world.nstd("status").stdout
    assert len(queue(world)) == 1

    mend(world.outbox / "quick")
    daemon.wait_for("trouble_over")
    check_only_result(world)
    eventually(lambda: world.status().daemon.deferred == (), "the end of the trouble in the status")
    assert [one.picture is None for one in world.status().daemon.results] == [False]
    assert len(daemon.logged("job_started")) == 1, "it was painted once"
    for number, told in enumerate(daemon.logged("trouble")):
        assert 0.7 * 2**number < told["next_try_seconds"] < 1.3 * 2**number

    world.drop("coffee.jpg", "quick")
    daemon.wait_for("job_finished")
    assert len(daemon.logged("worker_started")) == 1, "the trouble was not the worker's"
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == (0, "")


def test_once_ends_in_trouble_and_the_next_run_publishes_without_painting(world):
    world.drop("chelsea.jpg", "quick")
    daemon = world.start("--once")
    daemon.wait_for("job_started")
    spoil(world.outbox / "quick")
    status, message = daemon.wait()
    assert status == 1
    assert message.startswith("cannot publish job ")
    mend(world.outbox / "quick")
    second = world.start("--once")
    assert second.wait() == (0, "")
    check_only_result(world)
    assert second.logged("worker_started") == []


def test_inbox_that_cannot_be_read_is_tried_less_and_less_often(world):
    daemon = world.start("--verbose", nstd=NSTD_WITHOUT_POWERS)
    daemon.wait_for("daemon_started")
    world.inbox.chmod(0)
    told = daemon.wait_for("trouble", 2)
    world.inbox.chmod(0o700)
    daemon.wait_for("trouble_over")
    assert told[0]["reason"] == f"cannot look through the inbox: {world.inbox}: Permission denied"
    first, second, *_ = (one["next_try_seconds"] for one in daemon.logged("trouble"))
    assert second > first
    assert len(daemon.logged("trouble_over")) == 1
