import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from spool_world import World
from structlog.testing import capture_logs

from nstd.config.settings import SpoolSettings
from nstd.daemon.housekeeper import Housekeeper

HOUR = 3600.0
DAY = 24 * HOUR
FOR_A_DAY = SpoolSettings(keep_originals_days=1)


class Clocks:
    """The wall clock, which can be set, and the uptime, which goes on by `tick` whenever somebody looks."""

    def __init__(self) -> None:
        self.wall = datetime.now(UTC)
        self.up = 1000.0
        self.tick = 0.0

    def pass_by(self, seconds: float) -> None:
        self.up += seconds
        self.wall += timedelta(seconds=seconds)

    def uptime(self) -> float:
        self.pass_by(self.tick)
        return self.up


class House:
    def __init__(self, root: Path, settings: SpoolSettings) -> None:
        self.world = World(root)
        self.clocks = Clocks()
        self.keeper = Housekeeper(self.world.folders, settings, now=lambda: self.clocks.wall, uptime=self.clocks.uptime)

    def put(self, name: str = "cat.jpg") -> Path:
        path = self.world.folders.originals / name
        path.touch()
        # The file has the system's time, which went on since the clock was made.
        self.clocks.wall = max(self.clocks.wall, datetime.now(UTC))
        return path

    def advance(self, seconds: float = 0) -> list[str]:
        """Let time pass and the housekeeper work; return its log lines."""
        self.clocks.pass_by(seconds)
        with capture_logs() as logs:
            self.keeper.advance()
        return [" ".join(str(value) for key, value in line.items() if key != "log_level") for line in logs]


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path, FOR_A_DAY)


def test_first_sweep_is_at_the_start_and_then_one_an_hour(house: House):
    photo = house.put()
    assert house.keeper.seconds_to_next() == 0
    assert house.advance() == []
    assert house.keeper.seconds_to_next() == HOUR
    for _ in range(23):
        assert house.advance(HOUR) == []
    assert house.advance(HOUR - 60) == []
    assert house.keeper.seconds_to_next() == 60
    assert house.advance(60) == [f"original {photo} removed"]
    assert house.keeper.seconds_to_next() == HOUR
    assert not photo.exists()


def test_what_became_old_while_no_daemon_ran_goes_at_the_start(tmp_path: Path):
    house = House(tmp_path, FOR_A_DAY)
    photo = house.put()
    house.clocks.pass_by(DAY + 1)
    assert house.advance() == [f"original {photo} removed"]


def test_everything_is_kept_by_default(tmp_path: Path):
    house = House(tmp_path, SpoolSettings())
    house.put()
    assert house.advance(3650 * DAY) == []
    assert house.world.originals() == {"cat.jpg": b""}


@pytest.mark.parametrize("days", [1, -1])
def test_clock_that_was_set_puts_the_sweep_off_by_an_hour(house: House, days: int):
    house.advance()
    photo = house.put()
    house.clocks.wall += timedelta(days=days)
    assert house.advance(HOUR) == [f"{days * 86400} 3600.0 housekeeping_put_off"]
    assert house.keeper.seconds_to_next() == HOUR
    assert house.advance(HOUR / 2) == []
    assert photo.exists()
    assert house.advance(HOUR / 2) == ([f"original {photo} removed"] if days > 0 else [])


def test_clock_that_is_set_right_again_in_time_has_removed_nothing(house: House):
    house.advance()
    photo = house.put()
    house.clocks.wall += timedelta(days=400)
    assert len(house.advance(HOUR)) == 1
    house.clocks.wall -= timedelta(days=400)
    assert house.advance(HOUR) == ["-34560000 3600.0 housekeeping_put_off"]
    assert house.advance(HOUR) == []
    assert photo.exists()


def test_clock_that_drifts_delays_nothing(house: House):
    house.advance()
    photo = house.put()
    for _ in range(24):
        house.clocks.wall += timedelta(seconds=59)
        house.advance(HOUR)
    assert not photo.exists()


def test_much_is_removed_by_batches(house: House):
    """So that a signal never waits for long."""
    for number in range(4):
        house.put(f"{number}.jpg")
    house.clocks.pass_by(DAY + 1)
    house.clocks.tick = 0.1
    for left in (2, 0):
        assert len(house.advance()) == 2
        assert len(house.world.originals()) == left
        assert house.keeper.seconds_to_next() == 0
    assert house.advance() == []
    assert house.keeper.seconds_to_next() == pytest.approx(HOUR, abs=5)


def test_other_settings_end_the_sweep_by_the_old_ones(house: House):
    for number in range(3):
        house.put(f"{number}.jpg")
    house.clocks.pass_by(DAY + 1)
    house.clocks.tick = 0.2
    assert len(house.advance()) == 1
    house.clocks.tick = 0
    house.keeper.use(SpoolSettings(keep_originals_days=7))
    assert house.advance() == []
    assert house.advance(HOUR) == []
    assert len(house.world.originals()) == 2
    house.keeper.use(FOR_A_DAY)
    assert len(house.advance(HOUR)) == 2


def test_trouble_that_lasts_is_told_once(house: House):
    away = house.world.root / "away"
    house.world.folders.originals.rename(away)
    originals = house.world.folders.originals
    told = f"original {originals} cannot look through {originals}: {originals}: No such file or directory not_removed"
    assert house.advance() == [told]
    assert house.advance(HOUR) == house.advance(HOUR) == []
    away.rename(originals)
    assert house.advance(HOUR) == []
    originals.rename(away)
    assert house.advance(HOUR) == [told]


def test_hours_are_those_of_the_machine_s_uptime(tmp_path: Path):
    started_at = time.clock_gettime(time.CLOCK_BOOTTIME)
    keeper = Housekeeper(World(tmp_path).folders, FOR_A_DAY, now=lambda: datetime.now(UTC))
    keeper.advance()
    left = keeper.seconds_to_next()
    assert HOUR - (time.clock_gettime(time.CLOCK_BOOTTIME) - started_at) <= left <= HOUR
