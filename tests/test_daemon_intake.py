import os
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from spool_world import World, contents
from structlog.testing import capture_logs

from nstd.config.settings import Config, Limits, SpoolSettings
from nstd.daemon.intake import Intake
from nstd.daemon.metrics import Metrics
from nstd.daemon.status import Notice
from nstd.daemon.trouble import Delays
from nstd.errors import SpoolError

NOW = datetime(2026, 11, 23, 4, 15, tzinfo=UTC)


class Clock:
    """Time goes on as the test says, and by `tick` seconds whenever somebody looks."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.tick = 0.0

    def __call__(self) -> float:
        self.now += self.tick
        return self.now


class Gate:
    """An intake with its spool and its clock."""

    def __init__(
        self, root: Path, *, settle_seconds: float = 2, max_file_mib: float = 1, default: str = "", at_once: int = 1
    ) -> None:
        self.world = World(root)
        self.inbox = self.world.folders.inbox
        self.clock = Clock()
        config = Config(
            spool=SpoolSettings(settle_seconds=settle_seconds, rescan_seconds=30),
            limits=Limits(max_file_mib=max_file_mib),
            default_presets=tuple(default.split()),
            presets=self.world.presets,
        )
        self.delays = Delays(self.clock, lambda: NOW, dice=lambda: 0.5)
        self.intake = Intake(
            self.world.folders, config, self.delays, Metrics(), now=lambda: NOW, clock=self.clock, at_once=at_once
        )

    def advance(self, seconds: float = 0) -> list[str]:
        """Let time pass and the intake work; return its log lines without what differs from run to run."""
        self.clock.now += seconds
        with capture_logs() as logs:
            self.intake.advance()
        return [f"{line['event']} {line['path']}" for line in logs if "path" in line]

    def queued(self) -> list[str]:
        return [job.read().drop.path for job in self.world.jobs("new")]


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path)


@pytest.fixture
def hasty(tmp_path: Path) -> Gate:
    """Nothing has to settle."""
    return Gate(tmp_path, settle_seconds=0)


def test_drop_is_taken_in_once_it_has_settled(gate):
    gate.world.drop("swirls/cat.jpg")
    assert gate.intake.seconds_to_next() == 0
    assert gate.advance() == []
    assert gate.intake.seconds_to_next() == 2
    assert gate.advance(1.5) == []
    assert gate.intake.seconds_to_next() == 0.5
    assert gate.advance(0.5) == ["job_queued swirls/cat.jpg"]
    assert gate.queued() == ["swirls/cat.jpg"]
    assert gate.world.jobs("new")[0].read().created_at == "2026-11-23T04:15:00.000000Z"
    assert gate.intake.seconds_to_next() == 30


def test_drop_that_changes_settles_anew(gate):
    gate.world.drop(data=b"half of")
    gate.advance()
    gate.world.drop(data=b"half of a photo")
    assert gate.advance(2) == []
    assert gate.intake.seconds_to_next() == 2
    assert gate.advance(2) == ["job_queued swirls/cat.jpg"]
    assert gate.world.originals() == {"swirls/cat.jpg": b"half of a photo"}


def test_inbox_is_looked_at_now_and_then_without_any_hint(gate):
    gate.advance()
    gate.world.drop()
    assert gate.advance(29) == []
    assert gate.intake.seconds_to_next() == 1
    gate.advance(1)
    assert gate.intake.seconds_to_next() == 2, "it has been seen and settles"


def test_hint_brings_the_next_look_forward(gate):
    gate.advance()
    gate.intake.hint()
    assert gate.intake.seconds_to_next() == pytest.approx(0.2), "many hints at once cost one look"
    gate.clock.now += 5
    gate.intake.hint()
    assert gate.intake.seconds_to_next() == 0


def test_much_is_taken_in_by_batches(hasty):
    """So that a signal never waits for long."""
    for number in range(3):
        hasty.world.drop(f"swirls/{number}.jpg")
    hasty.clock.tick = 0.15
    for number in range(3):
        assert hasty.advance() == [f"job_queued swirls/{number}.jpg"]
        assert (hasty.intake.seconds_to_next() == 0) == (number < 2)


def test_drops_that_are_taken_in_at_once_are_told_in_their_order(tmp_path):
    gate = Gate(tmp_path, settle_seconds=0, at_once=8)
    names = [f"swirls/{number:02}.jpg" for number in range(20)]
    for name in names:
        gate.world.drop(name)
    assert gate.advance() == [f"job_queued {name}" for name in names]
    assert sorted(gate.queued()) == names


def test_trouble_with_one_drop_is_told_after_the_others_were_taken_in(tmp_path):
    gate = Gate(tmp_path, settle_seconds=0, at_once=8)
    for name, size in (("a", 1), ("b", 2 << 20), ("c", 1)):
        gate.world.drop(f"swirls/{name}.jpg", b"x" * size)
    gate.world.folders.failed_staging.rmdir()
    with capture_logs() as logs, pytest.raises(SpoolError, match="give up job"):
        gate.intake.advance()
    lines = [f"{line['event']} {line['path']}" for line in logs]
    assert lines == ["job_queued swirls/a.jpg", "job_refused swirls/b.jpg", "job_queued swirls/c.jpg"]


def test_drop_that_trouble_kept_in_the_inbox_is_found_at_the_next_try(hasty):
    hasty.world.drop()
    hasty.world.folders.tmp.rmdir()
    with pytest.raises(SpoolError, match=r"ingest swirls/cat\.jpg"):
        hasty.advance()
    hasty.world.folders.tmp.mkdir()
    assert hasty.advance() == ["job_queued swirls/cat.jpg"]


def test_drop_that_changes_after_it_had_settled_settles_anew(gate):
    gate.world.drop("swirls/0.jpg")
    gate.world.drop("swirls/1.jpg")
    gate.advance()
    gate.clock.tick = 0.15
    assert gate.advance(2) == ["job_queued swirls/0.jpg"]
    gate.clock.tick = 0
    gate.world.drop("swirls/1.jpg", b"more of it")
    assert gate.advance() == []
    assert gate.intake.seconds_to_next() == 2
    assert gate.advance(2) == [], "its new bytes have only been seen now"
    assert gate.advance(2) == ["job_queued swirls/1.jpg"]
    assert gate.world.originals()["swirls/1.jpg"] == b"more of it"


def test_drop_that_settles_anew_delays_no_other(gate):
    gate.world.drop("swirls/a.jpg")
    gate.world.drop("swirls/b.jpg")
    gate.advance()
    gate.world.drop("wave/c.jpg")
    gate.intake.hint()
    gate.advance(1.5)
    gate.clock.tick = 0.15
    assert gate.advance(0.5) == ["job_queued swirls/a.jpg"]
    gate.clock.tick = 0
    (gate.inbox / "swirls/b.jpg").unlink()
    assert gate.advance() == []
    assert gate.intake.seconds_to_next() < 1.5


def test_what_is_left_alone_is_told_once(hasty):
    (hasty.inbox / "holiday").mkdir()
    hasty.world.drop("lost.jpg")
    assert hasty.advance() == ["ignored holiday", "ignored lost.jpg"]
    assert hasty.advance(30) == []
    assert hasty.intake.notices == (
        Notice(path="holiday", reason="is a folder, but there is no preset of this name"),
        Notice(path="lost.jpg", reason="lies in the inbox's own top folder, but default_presets names no preset"),
    )
    (hasty.inbox / "holiday").rmdir()
    hasty.advance(30)
    assert [notice.path for notice in hasty.intake.notices] == ["lost.jpg"]
    (hasty.inbox / "holiday").mkdir()
    assert hasty.advance(30) == ["ignored holiday"]


def test_drop_whose_style_is_missing_waits_for_it(hasty):
    style = hasty.world.root / "style.jpg"
    style.rename(hasty.world.root / "hidden.jpg")
    hasty.world.drop()
    assert hasty.advance() == ["drop_blocked swirls/cat.jpg"]
    assert hasty.advance(30) == [], "it is told once"
    reason = f"presets.swirls.styles: {style}: cannot be read: No such file or directory"
    assert hasty.intake.notices == (Notice(path="swirls/cat.jpg", reason=reason),)
    assert hasty.intake.is_drained(), "nobody can wait for it"
    assert hasty.intake.blocked == 1
    assert contents(hasty.inbox) == {"swirls/cat.jpg": b"a photo"}

    (hasty.world.root / "hidden.jpg").rename(style)
    assert hasty.advance(30) == ["job_queued swirls/cat.jpg"]
    assert hasty.intake.notices == ()
    assert hasty.intake.blocked == 0


def test_blocked_drop_that_is_taken_away_is_forgotten(hasty):
    (hasty.world.root / "style.jpg").unlink()
    drop = hasty.world.drop()
    hasty.advance()
    drop.unlink()
    assert hasty.advance(30) == []
    assert hasty.intake.notices == ()


def test_file_above_the_limit_is_refused_for_each_of_its_presets(tmp_path):
    gate = Gate(tmp_path, settle_seconds=0, max_file_mib=0.5, default="swirls wave")
    gate.world.drop("huge.jpg", bytes((1 << 19) + 1))
    gate.world.drop("fits.jpg", bytes(1 << 19))
    told = ["job_queued fits.jpg", "job_queued fits.jpg", "job_refused huge.jpg", "job_refused huge.jpg"]
    assert gate.advance() == told
    assert gate.intake.refused == 2
    assert len(list(gate.world.folders.failed.glob("*/huge.jpg"))) == 2
    assert gate.queued() == ["fits.jpg", "fits.jpg"]


def test_inbox_is_drained_when_nothing_in_it_will_become_a_job(gate):
    assert gate.intake.is_drained()
    (gate.inbox / "holiday").mkdir()
    (gate.inbox / "swirls" / "half.jpg.part").touch()
    assert gate.intake.is_drained()
    gate.world.drop()
    assert not gate.intake.is_drained(), "it has not settled"
    gate.clock.now += 2
    assert not gate.intake.is_drained(), "it has settled, but is no job yet"
    gate.advance()
    assert gate.intake.is_drained()


def test_inbox_that_cannot_be_read_is_looked_at_again_at_the_next_try(hasty):
    hasty.world.drop()
    hasty.inbox.rename(hasty.world.root / "away")
    with pytest.raises(SpoolError, match=r"^cannot look through the inbox: "):
        hasty.intake.advance()
    assert hasty.intake.seconds_to_next() == 0
    (hasty.world.root / "away").rename(hasty.inbox)
    assert hasty.advance() == ["job_queued swirls/cat.jpg"]


@pytest.fixture
def immutable() -> Iterator[Callable[[Path], None]]:
    """Return a function after which not even root may take a file away, before the test's end."""
    made: list[Path] = []

    def make(path: Path) -> None:
        if subprocess.run(["chattr", "+i", path], check=False, capture_output=True).returncode:
            pytest.skip("needs root and a file system with chattr +i")
        made.append(path)

    yield make
    for path in made:
        subprocess.run(["chattr", "-i", path], check=True)


def test_drop_that_cannot_be_taken_out_waits_and_delays_no_other(hasty, immutable):
    """Only the rename tells that; by then its job is safe in the queue, and is held back."""
    immutable(hasty.world.drop("swirls/cat.jpg"))
    hasty.world.drop("wave/dog.jpg")
    assert hasty.advance() == ["job_queued swirls/cat.jpg", "job_queued wave/dog.jpg"]
    [held] = [job for job in hasty.world.jobs("new") if job.has("undisposed")]
    assert hasty.delays.pending == (held.id,)
    [delay] = hasty.delays.told
    assert delay.about == "cat.jpg as swirls"
    assert delay.reason == f"{hasty.inbox}/swirls/cat.jpg: cannot be taken out of the inbox: Operation not permitted"
    assert hasty.world.queue.claim(NOW).job.content.name == "dog.jpg"


def test_drop_in_a_folder_that_cannot_be_changed_stays_a_drop(hasty, immutable):
    hasty.world.drop("swirls/cat.jpg")
    immutable(hasty.inbox / "swirls")
    assert hasty.advance() == ["drop_blocked swirls/cat.jpg"]
    reason = "swirls/cat.jpg: cannot be taken out of the inbox: its folder is not writable"
    assert hasty.intake.notices == (Notice(path="swirls/cat.jpg", reason=reason),)
    assert hasty.queued() == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads and writes everything")
@pytest.mark.parametrize(
    ("path", "mode", "reason"),
    [
        ("swirls/cat.jpg", 0, "swirls/cat.jpg: cannot be read: Permission denied"),
        ("swirls", 0o500, "swirls/cat.jpg: cannot be taken out of the inbox: its folder is not writable"),
    ],
)
def test_drop_that_is_not_permitted_waits_and_delays_no_other(hasty, path, mode, reason):
    hasty.world.drop("swirls/cat.jpg")
    hasty.world.drop("wave/dog.jpg")
    (hasty.inbox / path).chmod(mode)
    assert hasty.advance() == ["drop_blocked swirls/cat.jpg", "job_queued wave/dog.jpg"]
    assert hasty.intake.notices == (Notice(path="swirls/cat.jpg", reason=reason),)
    assert hasty.intake.seconds_to_next() == 1
    assert hasty.advance(1) == [], "it is told once"
    (hasty.inbox / path).chmod(0o700)
    assert hasty.advance(2) == ["job_queued swirls/cat.jpg"]
    assert hasty.intake.notices == ()


def test_drop_that_is_still_open_for_writing_is_told_until_it_is_closed(hasty):
    command = ["tee", hasty.inbox / "swirls/cat.jpg"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as tee:
        tee.stdin.write(b"half of ")
        tee.stdin.flush()
        tee.stdout.read(8)
        assert hasty.advance() == []
        reason = "is still open in another program, which may write more"
        assert hasty.intake.notices == (Notice(path="swirls/cat.jpg", reason=reason),)
        assert hasty.intake.seconds_to_next() == pytest.approx(0.2), "it does not look all the time"
        assert not hasty.intake.is_drained()
    assert hasty.advance(1) == ["job_queued swirls/cat.jpg"]
    assert hasty.intake.notices == ()


def test_new_settings_count_from_then_on(gate):
    gate.world.drop("wave/cat.jpg")
    gate.advance()
    config = Config(spool=SpoolSettings(settle_seconds=5), presets={"swirls": gate.world.presets["swirls"]})
    gate.intake.use(config)
    gate.world.drop("swirls/dog.jpg")
    assert gate.advance(2) == ["ignored wave"]
    assert gate.advance(5) == ["job_queued swirls/dog.jpg"]
