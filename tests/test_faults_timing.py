"""Files that change while they are looked at: each drop is painted whole, once, as it was left in the end."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from daemon_world import COPYING_NSTD, World, eventually, listed, peak_megabytes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledger import accounts_of
from other_program import OtherProgram
from sabotage import needs_strace
from spool_world import AtCall, contents
from test_daemon_intake import Gate

from nstd.job import Job

STILL_OPEN = "is still open in another program, which may write more"
ONE_BYTE_A_SECOND = 'for byte in w h o l e; do printf $byte; sleep 1; done > "$1"'
MANY, STEP = 20_000, 2_000
LONG_AGO, YEAR_2100 = 0, 4_102_444_800


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    (world.inbox / "quick").mkdir(parents=True)
    yield world
    world.close()


@pytest.fixture
def cat(world: World) -> Path:
    return world.inbox / "quick" / "cat.jpg"


def painted(world: World, name: str = "cat.jpg") -> list[bytes]:
    """Return the bytes of which the pictures were made; nothing of them may be anywhere else."""
    accounts = accounts_of(world, "quick")
    pictures = [log.with_suffix(".png").read_bytes() for log in accounts.painted.get(name, ())]
    assert accounts.places(name, "quick") == ["outbox"] * len(pictures)
    assert (accounts.queue, accounts.inbox) == ([], set())
    return sorted(picture.removeprefix(b"painted ") for picture in pictures)


def wait_until_listed(world: World) -> None:
    eventually(lambda: STILL_OPEN in reasons(world), "the file's listing")


def wait_until_unlisted(world: World) -> None:
    eventually(lambda: reasons(world) == [], "the listing's end")


def reasons(world: World) -> list[str]:
    """Return why files in the inbox are left alone, as far as a daemon has said so."""
    daemon = world.status().daemon
    return [notice.reason for notice in daemon.ignored] if daemon else []


def test_file_of_a_slow_writer_is_painted_whole(world: World, cat: Path):
    daemon = world.start(nstd=COPYING_NSTD)
    daemon.wait_for("daemon_started")
    with subprocess.Popen(["sh", "-c", ONE_BYTE_A_SECOND, "sh", cat]) as writer:
        wait_until_listed(world)
        assert writer.poll() is None
    daemon.wait_for("job_finished")
    assert painted(world) == [b"whole"]


def test_file_that_is_held_open_waits_and_is_listed_until_it_is_closed(world: World, cat: Path):
    daemon = world.start(nstd=COPYING_NSTD)
    with OtherProgram(cat) as writer:
        writer.opens("wb")
        writer.writes(b"half and ")
        wait_until_listed(world)
        assert listed(world.nstd("status").stdout, "quick/cat.jpg", STILL_OPEN)
        world.drop("rocket.jpg", "slow")
        daemon.wait_for("job_finished")
        assert cat.exists()
        writer.writes(b"half")
        writer.closes()
    daemon.wait_for("job_finished", 2)
    assert painted(world) == [b"half and half"]
    wait_until_unlisted(world)


def test_file_replaced_before_it_was_taken_is_painted_as_it_is_in_the_end(world: World, cat: Path):
    daemon = world.start(nstd=COPYING_NSTD)
    with OtherProgram(cat) as writer:
        writer.opens("wb")
        writer.writes(b"old")
        wait_until_listed(world)
        replace(cat, b"new")
        daemon.wait_for("job_finished")
    assert painted(world) == [b"new"]


def test_file_deleted_before_it_was_taken_is_forgotten(world: World, cat: Path):
    daemon = world.start(nstd=COPYING_NSTD)
    with OtherProgram(cat) as writer:
        writer.opens("wb")
        wait_until_listed(world)
        cat.unlink()
        wait_until_unlisted(world)
    assert painted(world) == []
    assert [line for line in daemon.events if line["level"] not in {"info", "debug"}] == []


@pytest.mark.parametrize("restore", ["", "os.utime(path, ns=times)"])
def test_file_rewritten_in_place_with_the_same_size_is_painted_as_it_is_in_the_end(
    world: World, cat: Path, restore: str
):
    cat.write_bytes(b"old bytes")
    with OtherProgram(cat) as writer:
        writer.opens("r+b")
        writer.does("found = os.stat(path); times = found.st_atime_ns, found.st_mtime_ns")
        daemon = world.start(nstd=COPYING_NSTD)
        wait_until_listed(world)
        writer.writes(b"new bytes")
        writer.does(restore)
        writer.closes()
        daemon.wait_for("job_finished")
    assert painted(world) == [b"new bytes"]


def rewrite_and_restore_times(path: Path, data: bytes) -> None:
    found = path.stat()
    with path.open("r+b") as file:
        file.write(data)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


def rewrite(path: Path, data: bytes) -> None:
    with path.open("r+b") as file:
        file.write(data)


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def replace(path: Path, data: bytes) -> None:
    draft = path.with_name(f".{path.name}.draft")
    draft.write_bytes(data)
    draft.rename(path)


@needs_strace
@pytest.mark.parametrize("change", [rewrite_and_restore_times, rewrite, append, Path.write_bytes, replace])
def test_file_changed_while_it_is_copied_is_painted_as_it_is_in_the_end(
    world: World, cat: Path, change: Callable[[Path, bytes], object]
):
    """The daemon has read the first MiB and lingers before it reads the rest."""
    cat.write_bytes(b"old " * (3 << 17))
    delay = ("-e", "trace=read", "-P", str(cat), "-e", "inject=read:delay_enter=3000000:when=2")
    daemon = world.start(nstd=("strace", "-qq", "-e", "signal=none", *delay, "-o", "/dev/null", *COPYING_NSTD))
    copies = world.root / "state/queue/tmp"
    eventually(lambda: any(path.stat().st_size for path in copies.glob("*/content.jpg")), "half a copy")
    change(cat, b"new " * (3 << 17))
    final = cat.read_bytes()
    daemon.wait_for("job_finished")
    assert painted(world) == [final]


@needs_strace
def test_file_deleted_while_it_is_copied_is_forgotten(world: World, cat: Path):
    cat.write_bytes(b"old")
    delay = ("-e", "trace=read", "-P", str(cat), "-e", "inject=read:delay_enter=3000000:when=1")
    daemon = world.start(nstd=("strace", "-qq", "-e", "signal=none", *delay, "-o", "/dev/null", *COPYING_NSTD))
    eventually(lambda: any((world.root / "state/queue/tmp").glob("*/content.jpg")), "the beginning of a copy")
    cat.unlink()
    eventually(lambda: not any((world.root / "state/queue/tmp").iterdir()), "the copy's end")
    world.drop("rocket.jpg", "slow")
    daemon.wait_for("job_finished")
    assert painted(world) == []
    assert [line for line in daemon.events if line["level"] not in {"info", "debug"}] == []


@pytest.mark.parametrize("again", [Path.write_bytes, replace, append])
def test_same_name_after_it_was_taken_is_another_drop(world: World, cat: Path, again: Callable[[Path, bytes], object]):
    """As for someone who appends: what he appended to is gone, so he has made a new file."""
    daemon = world.start(nstd=COPYING_NSTD)
    for count, photo in enumerate((b"first", b"later", b"later"), start=1):
        again(cat, photo)
        daemon.wait_for("job_finished", count)
    assert painted(world) == [b"first", b"later", b"later"]
    archived = sorted(path.read_bytes() for path in (world.originals / "quick").iterdir())
    assert archived == [b"first", b"later"], "the same bytes of the same name are kept once"


def test_same_bytes_under_two_names_are_two_drops(world: World, cat: Path):
    cat.write_bytes(b"a photo")
    cat.with_name("dog.jpg").write_bytes(b"a photo")
    assert world.start("--once", nstd=COPYING_NSTD).wait() == (0, "")
    assert painted(world) == painted(world, "dog.jpg") == [b"a photo"]


@pytest.mark.parametrize("seconds", [LONG_AGO, YEAR_2100])
def test_times_that_cannot_be_true_do_no_harm(world: World, cat: Path, seconds: int):
    cat.write_bytes(b"a photo")
    os.utime(cat, (seconds, seconds))
    assert world.start("--once", nstd=COPYING_NSTD).wait() == (0, "")
    assert painted(world) == [b"a photo"]
    assert (world.originals / "quick" / "cat.jpg").stat().st_mtime == seconds


def rename_in(photo: Path, cat: Path) -> None:
    photo.rename(cat)


def copy_in(photo: Path, cat: Path) -> None:
    subprocess.run(["cp", "--preserve", photo, cat], check=True)


def upload(photo: Path, cat: Path) -> None:
    """As rsync does."""
    draft = cat.with_name(".cat.jpg.Xy12")
    shutil.copyfile(photo, draft)
    draft.rename(cat)


def download(photo: Path, cat: Path) -> None:
    """As browsers do."""
    draft = cat.with_name("cat.jpg.part")
    shutil.copyfile(photo, draft)
    draft.rename(cat)


@pytest.mark.parametrize("way", [rename_in, os.link, copy_in, upload, download])
def test_whatever_way_a_photo_comes_in_it_is_painted_once(world: World, cat: Path, way: Callable[[Path, Path], object]):
    daemon = world.start(nstd=COPYING_NSTD)
    daemon.wait_for("daemon_started")
    photo = world.root / "photo.jpg"
    photo.write_bytes(b"a photo")
    way(photo, cat)
    daemon.wait_for("job_finished")
    assert painted(world) == [b"a photo"]
    assert not photo.exists() or photo.read_bytes() == b"a photo"


@pytest.mark.parametrize("name", [".cat.jpg.Xy12", "cat.jpg.part", "cat.jpg.crdownload", "cat.jpg~"])
def test_name_of_something_unfinished_is_passed_over_until_it_has_another(world: World, cat: Path, name: str):
    draft = cat.with_name(name)
    draft.write_bytes(b"a photo")
    world.drop("rocket.jpg", "slow")
    daemon = world.start(nstd=COPYING_NSTD)
    daemon.wait_for("job_finished")
    assert draft.exists()
    draft.rename(cat)
    daemon.wait_for("job_finished", 2)
    assert painted(world) == [b"a photo"]


class People:
    """What people do in the inbox, each of whose files has bytes of its own.

    Attributes:
        left: versions of files that were complete, and that nobody but the daemon has removed.
        ruined: versions that somebody has overwritten or deleted; if they were taken before that, they count as well.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.left: Counter[bytes] = Counter()
        self.ruined: set[bytes] = set()
        self._open: dict[str, tuple[object, bytes]] = {}
        self._versions = 0

    def act(self, deed: str, name: str, other: str) -> None:
        """Do something, unless one of the files is being written."""
        if deed == "finish":
            self.finish(name)
        elif not {name, other} & self._open.keys():
            getattr(self, deed)(self.folder / name, self.folder / other)

    def write(self, path: Path, _: Path) -> None:
        self._ruin(path)
        path.write_bytes(self._new())

    def append(self, path: Path, _: Path) -> None:
        self._ruin(path)
        begun = path.read_bytes() if path.exists() else b""
        append(path, self._new(begun).removeprefix(begun))

    def replace(self, path: Path, _: Path) -> None:
        self._ruin(path)
        replace(path, self._new())

    def delete(self, path: Path, _: Path) -> None:
        self._ruin(path)
        path.unlink(missing_ok=True)

    def rename(self, path: Path, other: Path) -> None:
        if path.exists() and path != other:
            self._ruin(other)
            path.rename(other)

    def begin(self, path: Path, _: Path) -> None:
        self._ruin(path)
        file = path.open("wb", buffering=0)
        file.write(b"half ")
        self._open[path.name] = (file, b"half ")

    def finish(self, name: str) -> None:
        if name in self._open:
            file, half = self._open.pop(name)
            file.write(self._new(half).removeprefix(half))
            file.close()

    def finish_all(self) -> None:
        for name in list(self._open):
            self.finish(name)

    def _new(self, begun: bytes = b"") -> bytes:
        """Make a version that differs from all others in size, too: old kernels' clocks of files tick slowly."""
        self._versions += 1
        version = begun + b"%d" % self._versions + b"." * self._versions
        self.left[version] += 1
        return version

    def _ruin(self, path: Path) -> None:
        with suppress(FileNotFoundError):
            version = path.read_bytes()
            self.left -= Counter([version])
            self.ruined.add(version)


DEEDS = st.tuples(
    st.sampled_from(["write", "append", "replace", "delete", "rename", "begin", "finish"]),
    st.sampled_from(["a.jpg", "b.jpg"]),
    st.sampled_from(["a.jpg", "b.jpg"]),
)
LOOKS = st.tuples(st.just("look"), st.sampled_from([0.0, 1.0, 2.0]), st.integers(1, 40) | st.none(), DEEDS)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(DEEDS | LOOKS, max_size=25))
def test_whatever_people_do_meanwhile_each_complete_file_is_taken_once(tmp_path_factory, steps):
    """A look may be disturbed by a deed, just before the n-th call that changes the disk."""
    gate = Gate(tmp_path_factory.mktemp("spool"))
    people = People(gate.inbox / "swirls")
    for step in steps:
        if step[0] == "look":
            _, seconds, number, deed = step
            look(gate, seconds, number or 0, lambda deed=deed: people.act(*deed))
        else:
            people.act(*step)
    people.finish_all()
    for _ in range(4):
        look(gate, 2, 0, lambda: None)
    taken = Counter((job.path / "content.jpg").read_bytes() for job in gate.world.jobs("new"))
    assert contents(gate.inbox) == {}
    assert people.left <= taken, "each that was left is taken"
    assert taken <= people.left + Counter(people.ruined), "once, and whole"
    assert Counter(gate.world.originals().values()) == taken


def look(gate: Gate, seconds: float, number: int, deed: Callable[[], None]) -> None:
    gate.intake.hint()
    gate.clock.now += seconds
    with AtCall(number, deed):
        gate.intake.advance()
    while gate.intake.seconds_to_next() == 0:
        gate.intake.advance()


@contextmanager
def flooded_world() -> Iterator[World]:
    """Make a spool in memory, for speed: here no power is cut; `benchmarks/ingest.py` measures on a disk."""
    memory = Path("/dev/shm")  # noqa: S108  # what every Linux machine mounts
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        world = World(Path(folder))
        (world.inbox / "quick").mkdir(parents=True)
        (world.inbox / "quick" / "slow.jpg").write_bytes(b"slow to paint")
        (world.root / "camera").mkdir()
        for number in range(MANY):
            (world.root / "camera" / f"{number:05}.jpg").write_bytes(b"photo %d" % number)
        try:
            yield world
        finally:
            world.close()


def count_in(folder: Path) -> int:
    return sum(1 for _ in folder.iterdir())


@pytest.mark.timeout(1800)
def test_twenty_thousand_files_at_once_become_one_job_each():
    """More than inotify's queue of events holds, dropped while the daemon cannot read it; a stop comes in between."""
    with flooded_world() as world:
        new = world.root / "state/queue/new"
        daemon = world.start(nstd=COPYING_NSTD)
        daemon.wait_for("job_started")
        daemon.signal(signal.SIGSTOP)
        for photo in os.scandir(world.root / "camera"):
            Path(photo).rename(world.inbox / "quick" / photo.name)
        daemon.signal(signal.SIGCONT)
        eventually(lambda: count_in(new) >= STEP, "the first jobs")
        assert peak_megabytes(daemon.pid) < 150
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == (0, "")
        assert count_in(new) < MANY, "it does not take them all in before it stops"

        daemon = world.start(nstd=COPYING_NSTD)
        for count in range(STEP, MANY + 1, STEP):
            eventually(lambda count=count: count_in(new) >= count, f"{count} jobs")
        eventually(lambda: count_in(world.inbox / "quick") == 0, "an empty inbox")
        assert peak_megabytes(daemon.pid) < 150
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == (0, "")
        jobs = [Job.model_validate_json((folder / "job.json").read_bytes()) for folder in new.iterdir()]
        names = Counter(job.content.name for job in jobs)
        assert names == Counter([f"{number:05}.jpg" for number in range(MANY)] + ["slow.jpg"])
        assert count_in(world.originals / "quick") == MANY + 1
