"""The whole way of a photo, through real processes and the real network."""

import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import jsonschema
import pytest
from daemon_world import ASSETS, NSTD, World, eventually, is_gone, rss_megabytes
from PIL import Image

SCHEMA = json.loads((Path(__file__).parent.parent / "docs" / "result-log.schema.json").read_text())
pytestmark = pytest.mark.usefixtures("cache")

PHOTOS = ("astronaut.jpg", "chelsea.jpg", "coffee.jpg", "rocket.jpg")


@pytest.fixture
def make_world(tmp_path: Path) -> Iterator[Callable[..., World]]:
    made: list[World] = []

    def make(**settings: object) -> World:
        made.append(World(tmp_path / f"world{len(made)}", **settings))
        return made[-1]

    yield make
    for world in made:
        world.close()


@pytest.fixture
def world(make_world) -> World:
    return make_world()


def check_result(log_path: Path, photo: str, preset: str) -> dict:
    """A log that keeps its published promises, beside the picture that it describes."""
    log = json.loads(log_path.read_text())
    jsonschema.validate(log, SCHEMA, cls=jsonschema.Draft202012Validator)
    assert (log["content"]["name"], log["preset_name"], log["status"]) == (photo, preset, "done")
    picture = log_path.with_name(log["output"]["name"])
    assert picture.stem == log_path.stem
    assert picture.stat().st_size == log["output"]["bytes"]
    with Image.open(picture) as image:
        image.load()
        assert image.size == (log["output"]["width_px"], log["output"]["height_px"])
        assert max(image.size) == 64
    return log


def test_dropped_photos_come_back_as_paintings(world):
    """Four photos by `cp` while the daemon runs; one warm worker serves them all."""
    daemon = world.start()
    daemon.wait_for("daemon_started")
    assert not daemon.logged("worker_started"), "an idle daemon needs no worker"
    for photo in PHOTOS:
        subprocess.run(["cp", ASSETS / "photos" / photo, world.inbox / "quick"], check=True)
    daemon.wait_for("job_finished", len(PHOTOS))
    results = world.results("quick")
    assert len(results) == 2 * len(PHOTOS)
    logs = {path.name.partition("_")[0]: path for path in results if path.suffix == ".json"}
    for photo in PHOTOS:
        log = check_result(logs[photo.removesuffix(".jpg")], photo, "quick")
        assert log["attempts"] == 1
        assert (world.originals / "quick" / photo).read_bytes() == (ASSETS / "photos" / photo).read_bytes()
    assert list((world.inbox / "quick").iterdir()) == []
    assert len(daemon.logged("worker_started")) == len(daemon.logged("worker_ready")) == 1

    status = world.status()
    assert (status.pid, status.daemon.state, status.jobs.waiting) == (daemon.pid, "idle", 0)
    assert [result.photo for result in reversed(status.daemon.results)] == list(PHOTOS)
    assert rss_megabytes(daemon.pid) < 100
    assert not any("tensorflow" in line for line in Path(f"/proc/{daemon.pid}/maps").read_text().splitlines())

    worker = daemon.worker_pid()
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == (0, "")
    assert is_gone(worker)
    assert world.status().pid is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop_gives_the_running_job_back(world, number):
    daemon = world.start()
    world.drop("chelsea.jpg", "slow")
    worker = world.wait_for_step(2)
    daemon.signal(number)
    assert daemon.wait() == (0, "")
    assert is_gone(worker)
    [job] = (world.root / "state/queue/new").iterdir()
    assert json.loads((job / "job.json").read_text())["attempts"] == 0
    assert list((world.root / "state/queue/cur").iterdir()) == []
    assert world.results("slow") == []


def test_killed_daemon_leaves_exactly_one_result_after_a_restart(world):
    daemon = world.start()
    world.drop("chelsea.jpg", "slow")
    worker = world.wait_for_step(2)
    daemon.signal(signal.SIGKILL)
    daemon.wait()
    eventually(lambda: is_gone(worker), "the orphaned worker's end")
    second = world.start("--once")
    assert second.wait() == (0, "")
    log, picture = world.results("slow")
    assert picture.suffix == ".png"
    assert check_result(log, "chelsea.jpg", "slow")["attempts"] == 2
    # On a slow machine it may fall in the midst of writing a preview.
    repaired = [one["what"] for one in second.logged("repaired") if one["what"] != "remains_removed"]
    assert repaired == ["job_requeued"]


def test_photo_that_takes_the_daemon_down_each_time_goes_to_failed(world):
    world.drop("chelsea.jpg", "slow")
    for _ in range(2):
        daemon = world.start()
        daemon.wait_for("job_started")  # so that the status is this daemon's own
        world.wait_for_step(2)
        daemon.signal(signal.SIGKILL)
        daemon.wait()
    daemon = world.start("--once")
    assert daemon.wait() == (1, "")
    reason = world.reasons()["chelsea.jpg"]
    assert (reason["kind"], reason["message"]) == ("attempts", "nstd itself was killed in the midst of it (2 attempts)")
    assert daemon.logged("worker_started") == []


def test_killed_worker_is_replaced_and_its_job_tried_again(world):
    daemon = world.start()
    world.drop("chelsea.jpg", "slow")
    os.kill(world.wait_for_step(2), signal.SIGKILL)
    daemon.wait_for("job_finished")
    log, _ = world.results("slow")
    assert check_result(log, "chelsea.jpg", "slow")["attempts"] == 2
    assert daemon.logged("job_requeued")[0]["reason"] == "the worker was killed by SIGKILL"
    assert len(daemon.logged("worker_started")) == 2


def test_job_that_kills_its_worker_each_time_goes_to_failed_and_can_be_retried(world):
    daemon = world.start()
    world.drop("chelsea.jpg", "slow")
    for attempt in (1, 2):
        daemon.wait_for("worker_started", attempt)
        os.kill(world.wait_for_step(2), signal.SIGKILL)
        daemon.wait_for("worker_ended", attempt)
        world.wait_for_no_step()
    daemon.wait_for("job_failed")
    reason = world.reasons()["chelsea.jpg"]
    assert (reason["kind"], reason["message"]) == ("attempts", "the worker was killed by SIGKILL (attempt 2 of 2)")
    job_id = reason["job"]["id"]
    assert world.nstd("retry", job_id).stdout == f"{job_id}: chelsea.jpg as slow waits again\n"
    daemon.wait_for("job_finished")
    assert len(world.results("slow")) == 2
    assert world.reasons() == {}


def test_hostile_drops_harm_nothing(world):
    """What cannot become a painting is returned with a reason, or left alone; the next photo is painted."""
    daemon = world.start()
    daemon.wait_for("daemon_started")
    inbox = world.inbox / "quick"
    (inbox / "text.jpg").write_text("I am no picture.")
    (inbox / "cut.jpg").write_bytes((ASSETS / "photos/coffee.jpg").read_bytes()[:20_000])
    (inbox / "empty.jpg").touch()
    (inbox / "passwd.jpg").symlink_to("/etc/passwd")
    os.mkfifo(inbox / "y.jpg")
    (inbox / "z.jpg").mkdir()
    (inbox / "half.jpg.part").write_bytes(b"still loading")
    (world.inbox / "holiday").mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(inbox / "s.jpg"))
    world.drop("rocket.jpg", "quick")
    daemon.wait_for("job_finished")
    daemon.wait_for("job_failed", 3)
    reasons = world.reasons()
    assert {photo: reason["kind"] for photo, reason in reasons.items()} == dict.fromkeys(
        ("text.jpg", "cut.jpg", "empty.jpg"), "input"
    )
    assert reasons["text.jpg"]["message"].startswith("text.jpg: is not an image that nstd can read")
    assert reasons["cut.jpg"]["message"].startswith("cut.jpg: the file is cut off or damaged")
    assert reasons["empty.jpg"]["message"] == "empty.jpg: is empty (0 bytes)"
    for photo in reasons:
        assert (world.failed / reasons[photo]["job"]["id"] / photo).exists()
    left = {"passwd.jpg", "y.jpg", "z.jpg", "s.jpg", "half.jpg.part"}
    assert {path.name for path in inbox.iterdir()} == left
    ignored = {
        "holiday": "is a folder, but there is no preset of this name",
        "quick/passwd.jpg": "is a symbolic link: links are not followed",
        "quick/s.jpg": "is a socket: only regular files are taken",
        "quick/y.jpg": "is a named pipe: only regular files are taken",
        "quick/z.jpg": "is a folder: photos go directly into the preset's own folder",
    }
    assert {one["path"]: one["reason"] for one in daemon.wait_for("ignored", 5)} == ignored
    told = world.nstd("status").stdout
    assert all(path in told and reason in " ".join(told.split()) for path, reason in ignored.items()), told
    assert all(photo in told for photo in reasons)
    assert len(daemon.logged("worker_started")) == 1


def test_top_folder_serves_all_default_presets(make_world):
    world = make_world(default_presets="quick, slow", slow_iterations=3)
    world.drop("coffee.jpg")
    assert world.start("--once").wait() == (0, "")
    for preset in ("quick", "slow"):
        log, _ = world.results(preset)
        check_result(log, "coffee.jpg", preset)
    assert [path.name for path in world.originals.rglob("*.jpg")] == ["coffee.jpg"]


def test_once_fails_if_a_job_failed(world):
    world.inbox.mkdir()
    (world.inbox / "text.jpg").write_text("no picture")
    daemon = world.start("--once")
    assert daemon.wait() == (1, "")
    assert "text.jpg" in world.reasons()


def test_once_on_an_empty_inbox_needs_no_worker(world):
    daemon = world.start("--once")
    assert daemon.wait() == (0, "")
    assert daemon.logged("worker_started") == []
    assert sorted(path.name for path in world.inbox.iterdir()) == ["quick", "slow"]


def test_second_daemon_leaves_and_harms_nothing(world):
    first = world.start()
    first.wait_for("daemon_started")
    status, message = world.start().wait()
    assert status == 75
    assert f"process {first.pid}" in message
    world.drop("coffee.jpg", "quick")
    first.wait_for("job_finished")


def test_drop_that_grows_is_painted_once_it_is_whole(world):
    daemon = world.start()
    daemon.wait_for("daemon_started")
    data = (ASSETS / "photos/coffee.jpg").read_bytes()
    with (world.inbox / "quick" / "slow.jpg").open("wb", buffering=0) as file:
        for part in range(0, len(data), len(data) // 8 + 1):
            file.write(data[part : part + len(data) // 8 + 1])
    daemon.wait_for("job_finished")
    log, _ = world.results("quick")
    assert check_result(log, "slow.jpg", "quick")["content"]["bytes"] == len(data)


def test_same_name_twice_gives_two_results(world):
    daemon = world.start()
    world.drop("coffee.jpg", "quick", "cat.jpg")
    daemon.wait_for("job_finished")
    world.drop("chelsea.jpg", "quick", "cat.jpg")
    daemon.wait_for("job_finished", 2)
    assert len(world.results("quick")) == 4
    assert sorted(path.name for path in (world.originals / "quick").iterdir()) == ["cat.jpg", "cat_2.jpg"]


def test_missing_style_image_blocks_the_drop_until_it_is_back(world):
    daemon = world.start()
    daemon.wait_for("daemon_started")
    style = world.root / "styles/swirls.jpg"
    style.rename(world.root / "hidden.jpg")
    drop = world.drop("coffee.jpg", "quick")
    [blocked] = daemon.wait_for("drop_blocked")
    assert blocked["reason"] == f"presets.quick.styles: {style}: cannot be read: No such file or directory"
    assert drop.exists()
    (world.root / "hidden.jpg").rename(style)
    daemon.wait_for("job_finished")
    assert not drop.exists()


def test_service_that_is_stopped_has_not_failed_though_a_job_did(world):
    daemon = world.start()
    world.inbox.mkdir(exist_ok=True)
    (world.inbox / "text.jpg").write_text("no picture")
    daemon.wait_for("job_failed")
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == (0, "")


def test_terminal_that_is_closed_ends_what_was_run_there(world):
    terminal, child_end = os.openpty()
    command = [*NSTD, "run", "-c", str(world.config)]
    environ = os.environ | {"TERM": "xterm"}
    with subprocess.Popen(
        command, stdin=child_end, stdout=child_end, stderr=child_end, env=environ, start_new_session=True
    ) as daemon:
        os.close(child_end)
        os.set_blocking(terminal, False)
        eventually(lambda: read_from(terminal) and world.status().daemon, "the daemon's first words")
        os.close(terminal)
        daemon.send_signal(signal.SIGHUP)
        assert daemon.wait(60) == 0
    assert world.status().daemon.state == "stopped"


def read_from(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except BlockingIOError:
        return b""


def test_missing_weights_stop_the_daemon_with_the_command_to_run(world, monkeypatch, tmp_path):
    monkeypatch.setenv("NSTD_CACHE", str(tmp_path / "empty"))
    drop = world.drop("coffee.jpg", "quick")
    path = tmp_path / "empty/weights/vgg19.npz"
    message = f"vgg19 weights are missing: nothing at {path}; run 'nstd weights pull'\n"
    assert world.start().wait() == (78, message)
    assert drop.exists()


def test_damaged_weights_keep_the_job_until_they_are_mended(world, cache, monkeypatch, tmp_path):
    stored = tmp_path / "other/weights/vgg19.npz"
    stored.parent.mkdir(parents=True)
    shutil.copyfile(cache / "weights/vgg19.npz", stored)
    with stored.open("r+b") as file:
        file.seek(1_000_000)
        file.write(b"damage")
    monkeypatch.setenv("NSTD_CACHE", str(tmp_path / "other"))
    world.drop("coffee.jpg", "quick")
    status, message = world.start("--once").wait()
    assert status == 78
    assert message.startswith(f"vgg19 weights are damaged: {stored}: ")
    assert message.endswith("; run 'nstd weights pull'\n")
    [job] = (world.root / "state/queue/new").iterdir()
    assert json.loads((job / "job.json").read_text())["attempts"] == 0

    daemon = world.start()
    [trouble] = daemon.wait_for("trouble")
    assert (trouble["subject"], trouble["reason"]) == ("painting", message.strip())
    shutil.copyfile(cache / "weights/vgg19.npz", stored)
    [finished] = daemon.wait_for("job_finished")
    assert finished["photo"] == "coffee.jpg"
