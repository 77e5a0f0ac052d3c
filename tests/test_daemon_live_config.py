import math
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from daemon_world import eventually
from structlog.testing import capture_logs

from nstd.config.load import load_config
from nstd.config.settings import Config
from nstd.daemon.live_config import LiveConfig
from nstd.daemon.watch import FolderWatches
from nstd.errors import ConfigError

TWO = "presets: {one: {styles: [a.png]}, two: {styles: [a.png]}}\n"
ONE = "presets: {one: {styles: [a.png]}}\n"
OTHER = "presets: {other: {styles: [a.png]}}\n"
BROKEN = "presets: {one: {styles: [a.png], size_px: 0}}\n"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class World:
    """A config file, and a clock that moves on as far as there is something to wait for."""

    def __init__(self, root: Path) -> None:
        self.path = root / "config.yaml"
        self.path.write_text(ONE)
        (root / "a.png").touch()
        self.clock = Clock()
        self.live = self.begin()

    def begin(self, accept: Callable[[Config], object] = lambda _: None) -> LiveConfig:
        return LiveConfig(self.load(), self.path, self.load, accept=accept, clock=self.clock)

    def load(self) -> Config:
        return load_config(self.path, check_image=lambda *_: None)

    def look(self) -> Config | None:
        """Give a hint, and let the file settle."""
        self.live.hint()
        return self.settle()

    def settle(self) -> Config | None:
        found = None
        while found is None and self.live.seconds_to_next() < math.inf:
            self.clock.now += self.live.seconds_to_next()
            found = self.live.advance()
        return found

    def replace(self, text: str) -> None:
        """Save as editors do."""
        draft = self.path.with_name("config.yaml~")
        draft.write_text(text)
        draft.rename(self.path)


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    assert world.settle() is None
    return world


def presets(config: Config | None) -> set[str]:
    return set(config.presets) if config else set()


def events(logs: list) -> list[tuple[str, str]]:
    return [(line["event"], line.get("reason", "")) for line in logs]


def test_unchanged_file_is_left_alone(world: World):
    with capture_logs() as logs:
        assert world.look() is None
    assert (world.live.seconds_to_next(), logs) == (math.inf, [])


def test_change_before_the_beginning_is_noticed(world: World):
    """The file was loaded long before: the lock may have been waited for, or the weights read."""
    world.live = LiveConfig(world.load(), world.path, world.load, clock=world.clock)
    world.path.write_text(TWO)
    assert presets(world.settle()) == {"one", "two"}


@pytest.mark.parametrize("save", [World.replace, lambda world, text: world.path.write_text(text)])
def test_valid_change_comes_into_force(world: World, save: Callable[[World, str], None]):
    with capture_logs() as logs:
        save(world, TWO)
        config = world.look()
    assert presets(config) == {"one", "two"}
    assert world.live.config == config
    assert world.live.error is None
    assert logs == [{"event": "config_reloaded", "log_level": "info", "config": str(world.path)}]


def test_removed_preset_is_gone(world: World):
    world.path.write_text(TWO)
    world.look()
    world.path.write_text(ONE)
    assert presets(world.look()) == {"one"}


def test_file_of_the_same_size_and_times_is_another_if_it_was_put_in_place(world: World):
    status = world.path.stat()
    draft = world.path.with_name("draft")
    draft.write_text(ONE.replace("one", "two"))
    os.utime(draft, ns=(status.st_atime_ns, status.st_mtime_ns))
    draft.rename(world.path)
    assert presets(world.look()) == {"two"}


def test_half_written_file_is_not_loaded(world: World):
    """What is there of it would be valid: only waiting helps."""
    with capture_logs() as logs, world.path.open("w") as file:
        for line in ("presets:\n", "  one: {styles: [a.png]}\n", "  two: {styles: [a.png]}\n"):
            file.write(line)
            file.flush()
            world.live.hint()
            assert world.live.advance() is None
            world.clock.now += 0.4
            assert world.live.advance() is None
    assert logs == []
    assert presets(world.settle()) == {"one", "two"}


def test_file_that_changes_while_it_is_read_is_read_again(world: World):
    texts = [TWO]

    def load() -> Config:
        config = world.load()
        if texts:
            world.path.write_text(texts.pop())
        return config

    world.live = LiveConfig(world.load(), world.path, load, clock=world.clock)
    world.path.write_text(OTHER)
    with capture_logs() as logs:
        assert presets(world.settle()) == {"one", "two"}
    assert events(logs) == [("config_reloaded", "")]


def test_broken_file_leaves_the_old_one_in_force_until_it_is_mended(world: World):
    before = world.live.config
    with capture_logs() as logs:
        world.replace(BROKEN)
        assert world.look() is None
        error = world.live.error
        assert world.live.config == before
        for _ in range(10):
            world.clock.now += 30
            assert world.look() is None
        world.replace(TWO)
        assert presets(world.look()) == {"one", "two"}
    assert error == f"{world.path}:1:43: presets.one.size_px: must be >= 32 (got 0)"
    assert world.live.error is None
    assert events(logs) == [("config_refused", error), ("config_reloaded", "")]


def test_old_text_put_back_clears_the_error(world: World):
    world.replace(BROKEN)
    world.look()
    world.replace(ONE)
    assert presets(world.look()) == {"one"}
    assert world.live.error is None


def test_yaml_that_cannot_be_read_is_told_with_its_place(world: World):
    world.replace("presets: [\n")
    world.look()
    assert world.live.error.startswith(f"{world.path}:2:1: ")


def test_style_image_that_arrives_after_the_config_is_found(world: World):
    image = world.path.with_name("late.png")
    world.replace(ONE.replace("a.png", "late.png"))
    assert world.look() is None
    assert "late.png" in world.live.error
    image.touch()
    world.clock.now += 30
    assert presets(world.look()) == {"one"}
    assert world.live.error is None


def test_file_missing_for_a_moment_is_no_error(world: World):
    with capture_logs() as logs:
        world.path.unlink()
        world.live.hint()
        assert world.live.advance() is None
        world.clock.now += 0.4
        world.path.write_text(TWO)
        assert presets(world.look()) == {"one", "two"}
    assert events(logs) == [("config_reloaded", "")]


def test_file_that_stays_missing_is_told_until_it_is_back(world: World):
    world.path.unlink()
    with capture_logs() as logs:
        for _ in range(3):
            world.clock.now += 30
            assert world.look() is None
    assert world.live.error == f"{world.path}: cannot be read: No such file or directory"
    assert events(logs) == [("config_refused", world.live.error)]
    world.path.write_text(ONE)
    assert presets(world.look()) == {"one"}
    assert world.live.error is None


@pytest.mark.parametrize("root", ["inbox", "outbox", "originals", "failed", "state"])
def test_spool_that_would_have_to_move_is_refused_whole(world: World, root: str):
    here = world.path.parent
    world.replace(f"spool: {{{root}: elsewhere}}\n{TWO}")
    assert world.look() is None
    assert presets(world.live.config) == {"one"}
    assert world.live.error == (
        f"{world.path}: spool.{root}: cannot change from {here / root} to {here / 'elsewhere'} "
        "while nstd runs: restart nstd"
    )


def test_all_roots_that_would_have_to_move_are_told(world: World):
    world.replace(f"spool: {{inbox: in, outbox: out}}\n{ONE}")
    world.look()
    assert [line.split(": ")[1] for line in world.live.error.splitlines()] == ["spool.inbox", "spool.outbox"]


def test_same_root_spelled_otherwise_is_no_move(world: World):
    world.path.with_name("link").symlink_to(".")
    world.replace(f"spool: {{inbox: link/inbox, settle_seconds: 7}}\n{ONE}")
    assert world.look().spool.settle_seconds == 7


def test_config_that_is_not_accepted_is_refused(world: World):
    def accept(config: Config) -> None:
        if "other" in config.presets:
            raise ConfigError("no others here")

    world.live = world.begin(accept)
    world.replace(OTHER)
    assert world.look() is None
    assert world.live.error == "no others here"
    world.replace(TWO)
    assert presets(world.look()) == {"one", "two"}


def test_reload_loads_the_same_file_at_once(world: World):
    world.live.reload()
    assert world.live.seconds_to_next() == 0
    with capture_logs() as logs:
        assert presets(world.live.advance()) == {"one"}
        assert world.live.advance() is None
    assert events(logs) == [("config_reloaded", "")]


def test_reload_does_not_wait_for_a_change_to_settle(world: World):
    world.path.write_text(TWO)
    world.live.reload()
    assert presets(world.live.advance()) == {"one", "two"}


def test_reload_says_again_what_is_wrong(world: World):
    world.replace(BROKEN)
    with capture_logs() as logs:
        world.look()
        world.look()
        world.live.reload()
        assert world.live.advance() is None
    assert events(logs) == [("config_refused", world.live.error)] * 2


def test_swapped_links_are_followed_and_their_folders_named(tmp_path: Path):
    """A mounted ConfigMap is config.yaml -> ..data/config.yaml, ..data -> one folder after the other."""
    place = tmp_path / "etc"
    place.mkdir()
    (place / "a.png").touch()
    for name, text in (("..first", ONE), ("..second", TWO)):
        (place / name).mkdir()
        (place / name / "config.yaml").write_text(text)
    (place / "..data").symlink_to("..first")
    path = place / "config.yaml"
    path.symlink_to("..data/config.yaml")

    def load() -> Config:
        return load_config(path, check_image=lambda *_: None)

    live, hinted = LiveConfig(load(), path, load, settle_seconds=0.05), threading.Event()

    def notice() -> Config | None:
        if hinted.is_set():
            hinted.clear()
            live.hint()
        return live.advance()

    with FolderWatches(lambda: live.folders, hinted.set) as watches:
        eventually(lambda: not notice() and live.seconds_to_next() == math.inf, "the first look")
        assert live.folders == {place, place / "..first"}
        (place / "..next").symlink_to("..second")
        (place / "..next").rename(place / "..data")
        assert presets(eventually(notice, "the new config")) == {"one", "two"}
        assert live.folders == {place, place / "..second"}
        watches.renew()
        (place / "..second" / "config.yaml").write_text(OTHER)
        assert presets(eventually(notice, "the change where the links lead")) == {"other"}
