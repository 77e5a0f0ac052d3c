"""The machine in trouble, for real: no descriptors, failing reads, folders that go, a clock that is set, no output."""

import contextlib
import json
import os
import resource
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from daemon_world import COPYING_NSTD, RunningDaemon, World, eventually
from ledger import accounts_of, wait_for_the_end_of
from sabotage import needs_strace
from test_daemon_watch import needs_namespaces

PHOTO, TEXT = b"a photo", b"text and no photo"
NO_DESCRIPTORS = "Too many open files"
SHELL = ("sh", "-c")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "world")
    yield world
    world.close()


def setting(world: World, old: str, new: str) -> None:
    """Change the config."""
    assert old in world.config.read_text()
    world.config.write_text(world.config.read_text().replace(old, new))


def without_rescan(world: World) -> None:
    setting(world, "rescan_seconds: 1,", "rescan_seconds: 3600,")


def started(world: World, *under: str) -> RunningDaemon:
    daemon = world.start("--verbose", nstd=(*under, *COPYING_NSTD))
    daemon.wait_for("daemon_started")
    return daemon


def drop(world: World, name: str, photo: bytes = PHOTO, mtime: float | None = None) -> None:
    place = world.inbox / "quick"
    (place / f".{name}").write_bytes(photo)
    if mtime is not None:
        os.utime(place / f".{name}", (mtime, mtime))
    (place / f".{name}").rename(place / name)


def check_at_the_end(world: World, places: dict[str, str]) -> dict[str, list[Path]]:
    """Each photo is in exactly one place, and archived once; return the logs of the painted ones."""
    accounts = accounts_of(world, "quick")
    found = {name: accounts.places(name, "quick") for name in places}
    assert found == {name: [place] for name, place in places.items()}
    assert (accounts.inbox, accounts.queue) == (set(), [])
    return accounts.painted


def stop(daemon: RunningDaemon) -> None:
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == (0, "")


# No descriptors


def limit_descriptors(daemon: RunningDaemon, limit: int) -> None:
    _, hard = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (limit, hard))


def descriptors_of(daemon: RunningDaemon) -> list[int]:
    return sorted(int(path.name) for path in Path(f"/proc/{daemon.pid}/fd").iterdir())


def test_daemon_that_runs_out_of_descriptors_goes_on_when_it_gets_some(world: World):
    """One more from time to time, so that it lacks them at every depth of its work."""
    daemon = started(world)
    drop(world, "first.jpg")
    daemon.wait_for("job_finished")
    taken = descriptors_of(daemon)
    limits = [number for number in range(100) if number not in taken][:8]
    names = [f"{limit}.jpg" for limit in limits]
    for count, (name, limit) in enumerate(zip(names, limits, strict=True), 2):
        troubles = len(daemon.logged("trouble"))
        limit_descriptors(daemon, limit)
        drop(world, name)
        daemon.wait_for_any(("trouble", "job_finished"), troubles + count)
        limit_descriptors(daemon, 1024)
        daemon.wait_for("job_finished", count)
    check_at_the_end(world, dict.fromkeys(names, "outbox"))
    assert {NO_DESCRIPTORS} == {one["reason"].rpartition(": ")[2] for one in daemon.logged("trouble")}
    assert daemon.logged("folder_polled") == []
    # What it had open for a moment when they were counted may be gone.
    eventually(lambda: set(descriptors_of(daemon)) <= set(taken), "no more descriptors than before")
    stop(daemon)


def test_photo_waits_while_there_is_no_descriptor(world: World):
    daemon = started(world)
    limit_descriptors(daemon, 3)
    drop(world, "cat.jpg")
    daemon.wait_for("trouble", 3)
    assert world.status().inbox.first == ("quick/cat.jpg",)
    limit_descriptors(daemon, 1024)
    daemon.wait_for("job_finished")
    check_at_the_end(world, {"cat.jpg": "outbox"})
    stop(daemon)


@pytest.mark.parametrize("limit", range(6, 22, 3))
def test_daemon_that_starts_with_few_descriptors_paints_or_says_why_not(world: World, limit: int):
    (world.inbox / "quick").mkdir(parents=True)
    drop(world, "cat.jpg")
    status, message = world.start("--once", nstd=("prlimit", f"--nofile={limit}", *COPYING_NSTD)).wait()
    if status:
        assert (status, message.endswith(f"{NO_DESCRIPTORS}\n"), message.count("\n")) == (1, True, 1)
        assert accounts_of(world, "quick").painted == {}
        status, message = world.start("--once", nstd=COPYING_NSTD).wait()
    assert (status, message) == (0, "")
    check_at_the_end(world, {"cat.jpg": "outbox"})


# A failing disk


def failing_for_a_while(call: str, numbers: str, *only: str) -> tuple[str, ...]:
    fault = f"inject={call}:error=EIO:when={numbers}"
    return ("strace", "-qq", "-e", "signal=none", "-e", f"trace={call}", "-e", fault, "-o", "/dev/null", *only)


@needs_strace
@pytest.mark.parametrize("numbers", ["1..6", "4..9", "8..13", "12..17"])
def test_disk_that_fails_for_a_while_is_waited_for(world: World, numbers: str):
    daemon = started(world, *failing_for_a_while("fsync", numbers))
    drop(world, "cat.jpg")
    drop(world, "text.jpg", TEXT)
    wait_for_the_end_of(2, daemon)
    check_at_the_end(world, {"cat.jpg": "outbox", "text.jpg": "failed"})
    assert len(daemon.logged("job_started")) == 2
    assert any("Input/output error" in one["reason"] for one in daemon.logged("trouble"))
    daemon.end()


@needs_strace
def test_photo_that_cannot_be_read_delays_no_other(world: World):
    (world.inbox / "quick").mkdir(parents=True)
    drop(world, "cat.jpg")
    daemon = started(world, *failing_for_a_while("read", "1..2", "-P", str(world.inbox / "quick" / "cat.jpg")))
    daemon.wait_for("drop_blocked")
    drop(world, "dog.jpg")
    [first] = daemon.wait_for("job_finished")
    assert first["photo"] == "dog.jpg"
    reason = "quick/cat.jpg: cannot be read: Input/output error"
    assert [(one["path"], one["reason"]) for one in daemon.logged("drop_blocked")] == [("quick/cat.jpg", reason)]
    daemon.wait_for("job_finished", 2)
    check_at_the_end(world, {"cat.jpg": "outbox", "dog.jpg": "outbox"})
    assert not [one for one in daemon.logged("trouble") if one["subject"] == "inbox"]
    daemon.end()


# Folders that go away


def delete(folder: Path) -> None:
    """In one step, as the daemon may make the folder again, and others in it, while it is emptied."""
    folder.rename(aside := folder.with_name("deleted"))
    shutil.rmtree(aside)


def move_away(folder: Path) -> None:
    folder.rename(folder.with_name("away"))


@pytest.mark.parametrize("remove", [delete, move_away])
def test_another_inbox_in_the_place_of_the_first_is_used(world: World, remove: Callable[[Path], None]):
    without_rescan(world)
    daemon = started(world)
    drop(world, "first.jpg")
    daemon.wait_for("job_finished")
    remove(world.inbox)
    (world.inbox / "quick").mkdir(parents=True, exist_ok=True)
    drop(world, "second.jpg")
    daemon.signal(signal.SIGHUP)  # the next look is now
    daemon.wait_for("job_finished", 2)
    drop(world, "third.jpg")  # and the next one in an hour, unless the watch sees this
    daemon.wait_for("job_finished", 3)
    check_at_the_end(world, dict.fromkeys(("first.jpg", "second.jpg", "third.jpg"), "outbox"))
    stop(daemon)


def test_inbox_that_was_deleted_is_made_again(world: World):
    without_rescan(world)
    daemon = started(world)
    delete(world.inbox)
    eventually((world.inbox / "quick").exists, "the inbox")
    drop(world, "cat.jpg")
    daemon.wait_for("job_finished")
    check_at_the_end(world, {"cat.jpg": "outbox"})
    stop(daemon)


def test_folders_that_were_deleted_are_made_again(world: World, tmp_path: Path):
    """One picture is painted meanwhile."""
    daemon = started(world)
    drop(world, "held.jpg", b"until " + bytes(tmp_path / "go"))
    daemon.wait_for("job_started")
    for root in (world.outbox, world.originals, world.failed):
        delete(root)
    (tmp_path / "go").touch()
    drop(world, "cat.jpg")
    drop(world, "text.jpg", TEXT)
    wait_for_the_end_of(3, daemon)
    check_at_the_end(world, {"held.jpg": "outbox", "cat.jpg": "outbox", "text.jpg": "failed"})
    assert len(daemon.logged("job_started")) == 3
    stop(daemon)


# No inotify


def with_inotify_limit(name: str, limit: int) -> tuple[str, ...]:
    script = f'echo {limit} > /proc/sys/user/max_inotify_{name} && exec "$@"'
    return ("unshare", "-Ur", *SHELL, script, "sh")


@needs_namespaces
@pytest.mark.parametrize(("name", "limit"), [("watches", 1), ("watches", 0), ("instances", 0)])
def test_inbox_is_polled_where_inotify_is_refused(world: World, name: str, limit: int):
    without_rescan(world)
    daemon = started(world, *with_inotify_limit(name, limit))
    assert str(world.inbox) in [one["folder"] for one in daemon.logged("folder_polled")]
    drop(world, "cat.jpg")
    daemon.wait_for("job_finished")
    check_at_the_end(world, {"cat.jpg": "outbox"})
    stop(daemon)


@needs_namespaces
def test_regular_look_finds_photos_where_nothing_is_watched(world: World):
    setting(world, "{settle_seconds", "{watch: inotify, settle_seconds")
    daemon = started(world, *with_inotify_limit("watches", 0))
    assert str(world.inbox) in [one["folder"] for one in daemon.logged("folder_unwatched")]
    drop(world, "cat.jpg")
    daemon.wait_for("job_finished")
    check_at_the_end(world, {"cat.jpg": "outbox"})
    stop(daemon)


def test_inbox_is_polled_where_that_is_asked_for(world: World):
    setting(world, "{settle_seconds", "{watch: polling, settle_seconds")
    without_rescan(world)
    daemon = started(world)
    opened = [Path(f"/proc/{daemon.pid}/fd/{number}").readlink() for number in descriptors_of(daemon)]
    assert opened.count(Path("anon_inode:inotify")) == 1, "only the config's folder is watched by it"
    drop(world, "cat.jpg")
    daemon.wait_for("job_finished")
    check_at_the_end(world, {"cat.jpg": "outbox"})
    stop(daemon)


# A clock that is set


FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
needs_faketime = pytest.mark.skipif(FAKETIME is None, reason="needs libfaketime (Debian's package faketime)")


class WallClock:
    """A wall clock for other processes, which can be set while they run; their other clocks stay right.

    They cannot sleep, though: libfaketime 0.9.10 breaks the call. So the daemon polls, and does not end in order.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self.set(0)

    def set(self, days: int) -> None:
        """Be right, or wrong by some days."""
        staged = self._file.with_suffix(".new")
        staged.write_text(f"{days:+}d\n")
        staged.rename(self._file)

    @property
    def under(self) -> tuple[str, ...]:
        """What runs a command by this clock."""
        settings = {"NO_CACHE": 1, "DONT_FAKE_MONOTONIC": 1, "TIMESTAMP_FILE": self._file}
        words = (f"FAKETIME_{name}={value}" for name, value in settings.items())
        return ("env", f"LD_PRELOAD={FAKETIME}", "NO_FAKE_STAT=1", *words)


@needs_faketime
@pytest.mark.parametrize("days", [1, -1])
def test_clock_that_is_set_neither_hurries_nor_delays_anything(world: World, tmp_path: Path, days: int):
    setting(world, "settle_seconds: 0.2,", "settle_seconds: 1, keep_results_days: 0.5, keep_originals_days: 0.5,")
    setting(world, "{settle_seconds", "{watch: polling, settle_seconds")
    clock = WallClock(tmp_path / "clock")
    daemon = started(world, *clock.under)
    drop(world, "held.jpg", b"until " + bytes(tmp_path / "go"))
    daemon.wait_for("job_started")
    dropped_at = time.monotonic()
    drop(world, "cat.jpg")
    clock.set(days)
    daemon.wait_for("job_queued", 2)
    assert time.monotonic() - dropped_at >= 1, "it settled"
    (tmp_path / "go").touch()
    daemon.wait_for("job_finished", 2)
    clock.set(0)
    drop(world, "dog.jpg")
    daemon.wait_for("job_finished", 3)
    painted = check_at_the_end(world, dict.fromkeys(("held.jpg", "cat.jpg", "dog.jpg"), "outbox"))
    assert [days_off(painted["cat.jpg"][0]), days_off(painted["dog.jpg"][0])] == [days, 0]
    assert len(list(world.originals.glob("quick/*"))) == 3
    assert daemon.logged("removed") + daemon.logged("worker_ended") == []
    daemon.end()


def days_off(log: Path) -> int:
    finished = datetime.fromisoformat(json.loads(log.read_text())["finished_at"])
    return round((finished - datetime.now(UTC)) / timedelta(days=1))


@pytest.mark.parametrize("year", [1938, 1970, 2100])
def test_photo_from_any_year_is_painted_and_kept(world: World, year: int):
    setting(world, "settle_seconds: 0.2,", "settle_seconds: 0.2, keep_originals_days: 1,")
    mtime = datetime(year, 1, 1, tzinfo=UTC).timestamp()
    daemon = started(world)
    drop(world, "cat.jpg", mtime=mtime)
    daemon.wait_for("job_finished")
    stop(daemon)
    daemon = started(world)  # which looks at once for what has been kept for long enough
    drop(world, "dog.jpg")
    daemon.wait_for("job_finished")
    check_at_the_end(world, {"cat.jpg": "outbox", "dog.jpg": "outbox"})
    assert (world.originals / "quick" / "cat.jpg").stat().st_mtime == mtime
    stop(daemon)


# No output


def check_that_it_paints_in_silence(world: World, daemon: RunningDaemon) -> None:
    drop(world, "cat.jpg")
    drop(world, "text.jpg", TEXT)
    eventually(lambda: (told := world.status().daemon) and len(told.results) == 2, "the results in the status")
    check_at_the_end(world, {"cat.jpg": "outbox", "text.jpg": "failed"})
    stop(daemon)


def test_daemon_goes_on_where_its_log_has_no_room(world: World):
    daemon = world.start("--verbose", nstd=(*SHELL, 'exec "$@" > /dev/full', "sh", *COPYING_NSTD))
    eventually((world.inbox / "quick").exists, "the inbox")
    check_that_it_paints_in_silence(world, daemon)


def test_daemon_goes_on_when_nobody_reads_its_log_any_more(world: World, tmp_path: Path):
    os.mkfifo(tmp_path / "log")
    reader = os.open(tmp_path / "log", os.O_RDONLY | os.O_NONBLOCK)
    daemon = world.start("--verbose", nstd=(*SHELL, f'exec "$@" > {tmp_path / "log"}', "sh", *COPYING_NSTD))
    with contextlib.ExitStack() as end:
        end.callback(os.close, reader)
        eventually(lambda: b"daemon_started" in read_what_is_there(reader), "the first words")
    check_that_it_paints_in_silence(world, daemon)


def read_what_is_there(descriptor: int) -> bytes:
    with contextlib.suppress(BlockingIOError):
        return os.read(descriptor, 1 << 16)
    return b""
