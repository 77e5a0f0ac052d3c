"""A job that is killed or stopped goes on from its checkpoint, and its picture is the one of a run in peace."""

import json
import os
import random
import signal
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest
from daemon_world import World, eventually, is_gone
from PIL import Image

pytestmark = pytest.mark.usefixtures("cache")

OFTEN = "checkpoint_seconds: 0.01, preview_seconds: 0.01"
LEVELS = "levels: [0.5, 1]"
STEPS = 60
# Which tell what a test waits for.
VERBOSE = "--verbose"


@pytest.fixture
def make_world(tmp_path: Path) -> Iterator[Callable[..., World]]:
    made: list[World] = []

    def make(slow: str = "optimizer: lbfgs", **settings: object) -> World:
        root = tmp_path / f"world{len(made)}"
        made.append(World(root, slow=f"{LEVELS}, {slow}", slow_iterations=STEPS, **settings))
        made[-1].drop("chelsea.jpg", "slow")
        return made[-1]

    yield make
    for world in made:
        world.close()


def result(world: World) -> tuple[bytes, dict]:
    log, picture = world.results("slow")
    return picture.read_bytes(), json.loads(log.read_text())


def in_peace(world: World) -> bytes:
    assert world.start("--once").wait() == (0, "")
    picture, log = result(world)
    assert log["resumes"] == 0
    return picture


def the_job(world: World) -> Path:
    [job] = (path for place in ("new", "cur") for path in (world.root / "state/queue" / place).iterdir())
    return job


@pytest.mark.parametrize(
    ("engine", "slow"),
    [("", "optimizer: lbfgs"), ("engine: {precision: float32}", "optimizer: adam, style_statistics: wasserstein")],
    ids=["lbfgs-gram", "adam-wasserstein"],
)
def test_killed_at_random_moments_it_ends_with_the_same_bytes(make_world, engine, slow):
    """By turns the daemon and the worker are killed, while a checkpoint is written at nearly every step."""
    peaceful = in_peace(make_world(slow, engine=engine, worker="checkpoint_seconds: 0"))
    world = make_world(slow, engine=engine, worker=OFTEN)
    dice = random.Random(5)  # noqa: S311  the moments are to be about the same each time
    daemon = world.start(VERBOSE)
    for kill in range(5):
        daemon.wait_for("checkpoint_written", len(daemon.logged("checkpoint_written")) + dice.randrange(1, 8))
        worker = daemon.worker_pid()
        if kill % 2:
            os.kill(worker, signal.SIGKILL)
            daemon.wait_for("worker_ended", len(daemon.logged("worker_ended")) + 1)
        else:
            daemon.signal(signal.SIGKILL)
            daemon.wait()
            eventually(lambda pid=worker: is_gone(pid), "the orphaned worker's end")
            daemon = world.start(VERBOSE)
    daemon.wait_for("job_finished")
    picture, log = result(world)
    assert picture == peaceful
    # An attempt that came on by a checkpoint is not held against the job, and two were allowed.
    assert (log["resumes"], log["attempts"]) == (5, 6)
    assert [sum(1 for _ in level["history"]) for level in log["levels"]] == [STEPS + 1, STEPS + 1]
    assert list((world.outbox / ".previews").iterdir()) == []
    assert list((world.root / "state/queue/cur").iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopped_and_started_again_it_ends_with_the_same_bytes(make_world, number):
    """With the default settings, a checkpoint is written at the end of a level, and when the daemon is stopped."""
    peaceful = in_peace(make_world())
    world = make_world()
    daemon = world.start(VERBOSE)
    daemon.wait_for("checkpoint_written")
    daemon.signal(number)
    assert daemon.wait() == (0, "")
    assert [one["step"] for one in daemon.logged("checkpoint_written")][-1] > STEPS + 1
    job = json.loads((the_job(world) / "job.json").read_text())
    assert (job["attempts"], job["resumes"]) == (0, 0)
    stopped_at = (the_job(world) / "checkpoint").stat().st_mtime

    second = world.start("--once")
    assert second.wait() == (0, "")
    [resumed] = second.logged("job_resumed")
    assert "differs" not in resumed
    assert resumed["step"] == daemon.logged("checkpoint_written")[-1]["step"]
    picture, log = result(world)
    assert picture == peaceful
    assert (log["attempts"], log["resumes"]) == (1, 1)
    assert datetime.fromisoformat(log["started_at"]).timestamp() < stopped_at
    assert log["seconds"]["optimise"] > resumed["seconds_before"] > 0
    assert log["levels"][0]["seconds"] < log["seconds"]["optimise"]


def test_with_another_precision_it_goes_on_and_is_told(make_world):
    world = make_world(engine="engine: {precision: float32}")
    daemon = world.start(VERBOSE)
    daemon.wait_for("checkpoint_written")
    daemon.signal(signal.SIGTERM)
    daemon.wait()
    world.config.write_text(world.config.read_text().replace("precision: float32", "precision: bfloat16"))

    second = world.start("--once")
    assert second.wait() == (0, "")
    [resumed] = second.logged("job_resumed")
    assert resumed["differs"] == ["precision: float32, then bfloat16"]
    assert resumed["note"] == "goes on, but not to the same bits"
    _, log = result(world)
    assert (log["resumes"], log["provenance_changes"]) == (1, resumed["differs"])
    assert log["engine"]["device_model"]


def test_a_damaged_checkpoint_is_told_and_the_job_starts_over(make_world):
    peaceful = in_peace(make_world())
    world = make_world()
    daemon = world.start(VERBOSE)
    daemon.wait_for("checkpoint_written")
    daemon.signal(signal.SIGTERM)
    daemon.wait()
    checkpoint = the_job(world) / "checkpoint"
    checkpoint.write_bytes(checkpoint.read_bytes()[:-1])

    second = world.start("--once")
    assert second.wait() == (0, "")
    [ignored] = second.logged("checkpoint_ignored")
    assert ignored["reason"].startswith("it is damaged or cut off: its ")
    assert ignored["photo"] == "chelsea.jpg"
    picture, log = result(world)
    assert (picture, log["resumes"]) == (peaceful, 0)


def test_a_preview_shows_the_picture_so_far_until_the_job_ends(make_world):
    world = make_world(worker=OFTEN)
    daemon = world.start()
    preview = eventually(lambda: list((world.outbox / ".previews").glob("*.jpg")), "a preview")[0]
    with Image.open(preview) as image:
        image.load()
        assert max(image.size) in {32, 64}
    assert preview.stem == the_job(world).name
    daemon.wait_for("job_finished")
    assert not preview.exists()
    world.drop("coffee.jpg", "slow")
    eventually(lambda: list((world.outbox / ".previews").glob("*.jpg")), "another preview")
    daemon.signal(signal.SIGTERM)
    daemon.wait()
    assert list((world.outbox / ".previews").iterdir()) == []


def test_a_preview_of_a_killed_daemon_is_removed_by_the_next(make_world):
    world = make_world(worker=OFTEN)
    daemon = world.start()
    eventually(lambda: list((world.outbox / ".previews").glob("*.jpg")), "a preview")
    daemon.signal(signal.SIGKILL)
    daemon.wait()
    second = world.start()
    second.wait_for("daemon_started")
    removed = [one["subject"] for one in second.logged("repaired") if one["what"] == "remains_removed"]
    assert any("/.previews/" in path for path in removed)
