"""The config changes while the daemon runs: what is valid counts from then on, and what is not changes nothing."""

import hashlib
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from daemon_world import COPYING_NSTD, RunningDaemon, World, eventually, listed
from ledger import accounts_of

PHOTO = b"a photo"
WAVE = "  wave: {styles: [styles/dots.jpg], size_px: 64, levels: [1], iterations: 2}\n"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "world")
    yield world
    world.close()


@pytest.fixture
def daemon(world: World) -> RunningDaemon:
    daemon = world.start(nstd=COPYING_NSTD)
    daemon.wait_for("daemon_started")
    return daemon


def drop(world: World, name: str, preset: str = "quick", photo: bytes = PHOTO) -> Path:
    path = world.inbox / preset / name
    path.with_name(f".{name}").write_bytes(photo)
    return path.with_name(f".{name}").rename(path)


def check_painted(world: World, preset: str, *names: str) -> None:
    accounts = accounts_of(world, preset)
    assert {name: accounts.places(name, preset) for name in names} == {name: ["outbox"] for name in names}


def save(path: Path, text: str) -> None:
    path.write_text(text)


def save_as_editors_do(path: Path, text: str) -> None:
    path.with_suffix(".new").write_text(text)
    path.rename(path.with_suffix(".old"))
    path.with_suffix(".new").rename(path)


def swap_link(path: Path, text: str) -> None:
    """As a ConfigMap does: the path leads to another file in another folder from one moment to the next."""
    (path.parent / "version2").mkdir()
    (path.parent / "version2" / "config.yaml").write_text(text)
    path.with_suffix(".link").symlink_to("version2/config.yaml")
    path.with_suffix(".link").replace(path)


def save_in_two_halves(path: Path, text: str) -> None:
    with path.open("w") as file:
        file.write(text[: len(text) // 2])
        file.flush()
        file.write(text[len(text) // 2 :])


@pytest.mark.parametrize("change", [save, save_as_editors_do, save_in_two_halves])
def test_new_preset_gets_its_folders_and_paints(
    world: World, daemon: RunningDaemon, change: Callable[[Path, str], None]
):
    change(world.config, world.config.read_text() + WAVE)
    daemon.wait_for("config_reloaded")
    eventually((world.inbox / "wave").is_dir, "the preset's folder")
    drop(world, "cat.jpg", "wave")
    daemon.wait_for("job_finished")
    check_painted(world, "wave", "cat.jpg")
    assert daemon.logged("config_refused") == []


def test_link_that_leads_elsewhere_is_followed(world: World):
    text = world.config.read_text()
    world.config.rename(world.root / "first.yaml")
    world.config.symlink_to("first.yaml")
    daemon = world.start(nstd=COPYING_NSTD)
    daemon.wait_for("daemon_started")
    swap_link(world.config, text + WAVE)
    daemon.wait_for("config_reloaded")
    eventually((world.inbox / "wave").is_dir, "the preset's folder")


def test_wrong_config_changes_nothing_and_is_told_until_it_is_right(world: World, daemon: RunningDaemon):
    good = world.config.read_text()
    save(world.config, good.replace("size_px: 64", "size_pix: 64"))
    [refused] = daemon.wait_for("config_refused")
    line = 1 + good[: good.index("size_px")].count("\n")
    assert refused["reason"].startswith(f"{world.config}:{line}:")
    assert "presets.quick.size_pix: is not a known setting; did you mean 'size_px'?" in refused["reason"]
    drop(world, "cat.jpg")
    daemon.wait_for("job_finished")
    eventually(lambda: world.status().daemon.config_error, "the error in the status")
    told = world.nstd("status").stdout
    assert f"The config file is not in force: {refused['reason']}" in told

    save(world.config, good)
    daemon.wait_for("config_reloaded")
    eventually(lambda: world.status().daemon.config_error is None, "the error's end in the status")
    check_painted(world, "quick", "cat.jpg")


def test_missing_config_is_told_and_changes_nothing(world: World, daemon: RunningDaemon):
    good = world.config.read_text()
    world.config.unlink()
    [refused] = daemon.wait_for("config_refused")
    assert refused["reason"] == f"{world.config}: cannot be read: No such file or directory"
    drop(world, "cat.jpg")
    daemon.wait_for("job_finished")
    save(world.config, good)
    daemon.wait_for("config_reloaded")


def test_removed_preset_still_paints_what_it_has_and_its_folder_is_told(world: World, daemon: RunningDaemon):
    go = world.root / "go"
    drop(world, "first.jpg", "quick", b"until " + bytes(go))
    drop(world, "second.jpg", "slow")
    daemon.wait_for("job_queued", 2)
    daemon.wait_for("job_started")
    lines = world.config.read_text().splitlines()
    save(world.config, "\n".join(line for line in lines if "  slow:" not in line))
    daemon.wait_for("config_reloaded")
    left = drop(world, "third.jpg", "slow")
    go.touch()
    daemon.wait_for("job_finished", 2)
    check_painted(world, "slow", "second.jpg")
    daemon.wait_for("ignored")
    told = world.nstd("status").stdout
    assert listed(told, "slow", "is a folder, but there is no preset of this name")
    assert left.exists()


def frozen_styles(world: World) -> list[bytes]:
    return [path.read_bytes() for path in (world.root / "state/styles").iterdir()]


@pytest.mark.parametrize("harm", [Path.unlink, lambda path: path.write_bytes(b"another image")])
def test_job_keeps_the_style_image_that_it_came_in_with(
    world: World, daemon: RunningDaemon, harm: Callable[[Path], object]
):
    style, go = world.root / "styles/swirls.jpg", world.root / "go"
    was = style.read_bytes()
    drop(world, "first.jpg", "slow", b"until " + bytes(go))
    drop(world, "second.jpg")
    daemon.wait_for("job_queued", 2)
    harm(style)
    records = (json.loads(path.read_text()) for path in (world.root / "state/queue").glob("*/*/job.json"))
    frozen = {record["content"]["name"]: record["styles"][0]["sha256"] for record in records}
    assert frozen["second.jpg"] == hashlib.sha256(was).hexdigest()
    assert was in frozen_styles(world)
    go.touch()
    daemon.wait_for("job_finished", 2)
    check_painted(world, "quick", "second.jpg")


def test_style_image_that_is_gone_blocks_the_drop_until_it_is_back(world: World, daemon: RunningDaemon):
    style = world.root / "styles/swirls.jpg"
    style.rename(world.root / "away.jpg")
    path = drop(world, "cat.jpg")
    daemon.wait_for("drop_blocked")
    assert listed(world.nstd("status").stdout, "quick/cat.jpg", "cannot be read: No such file or directory")
    assert path.exists()
    (world.root / "away.jpg").rename(style)
    daemon.wait_for("job_finished")
    check_painted(world, "quick", "cat.jpg")


def test_limits_of_attempts_and_time_change_for_what_comes(world: World, daemon: RunningDaemon):
    text = world.config.read_text().replace("max_attempts: 2", "max_attempts: 1")
    save(world.config, text.replace("settle_seconds: 0.2", "settle_seconds: 1.5"))
    daemon.wait_for("config_reloaded")
    drop(world, "cat.jpg", photo=b"abort now")
    daemon.wait_for("job_failed")
    assert world.reasons()["cat.jpg"]["message"] == "the worker was killed by SIGABRT (attempt 1 of 1)"


def test_other_arithmetic_takes_another_worker_for_the_next_job(world: World, daemon: RunningDaemon):
    drop(world, "cat.jpg")
    daemon.wait_for("job_finished")
    save(world.config, world.config.read_text() + "engine: {precision: float32}\n")
    daemon.wait_for("config_reloaded")
    drop(world, "dog.jpg")
    daemon.wait_for("job_finished", 2)
    assert len(daemon.logged("worker_started")) == 2
    assert daemon.logged("job_requeued") + daemon.logged("job_given_back") == []


def test_spool_cannot_move_while_the_daemon_runs(world: World, daemon: RunningDaemon):
    good = world.config.read_text()
    save(world.config, good.replace("{settle_seconds", "{outbox: elsewhere, settle_seconds"))
    [refused] = daemon.wait_for("config_refused")
    assert "spool.outbox: cannot change" in refused["reason"]
    assert "restart nstd" in refused["reason"]
    drop(world, "cat.jpg")
    daemon.wait_for("job_finished")
    save(world.config, good)
    check_painted(world, "quick", "cat.jpg")


def test_hangup_reads_the_config_at_once_though_it_has_not_changed(world: World, daemon: RunningDaemon):
    os.kill(daemon.pid, signal.SIGHUP)
    daemon.wait_for("config_reloaded")
    drop(world, "cat.jpg")
    daemon.wait_for("job_finished")


def test_old_results_are_removed_once_that_is_asked_for(world: World, daemon: RunningDaemon):
    drop(world, "cat.jpg")
    daemon.wait_for("job_finished")
    daemon.signal(signal.SIGTERM)
    daemon.wait()
    text = world.config.read_text()
    save(world.config, text.replace("settle_seconds: 0.2", "settle_seconds: 0.2, keep_results_days: 0.000001"))
    second = world.start(nstd=COPYING_NSTD)
    removed = {one["kind"] for one in second.wait_for("removed")}
    assert removed == {"result"}
    eventually(lambda: world.results("quick") == [], "an empty outbox")
    assert (world.originals / "quick" / "cat.jpg").exists()
