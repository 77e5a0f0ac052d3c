"""The worker dies, hangs, talks nonsense or meets with trouble: what that costs, and that all else goes on."""

import json
import os
import shlex
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from daemon_world import COPYING_NSTD, RunningDaemon, World, eventually, is_gone, listed
from ledger import accounts_of, wait_for_the_end_of

STOP_SECONDS = 15
TIMEOUT_SECONDS = 4
MEMORY_BYTES = 200 << 20
KILLED = "the worker was killed by "
LAST_ATTEMPT = " (attempt 2 of 2)"
SILENT = f"the worker said nothing for {TIMEOUT_SECONDS} s and was killed by SIGKILL"


class MemoryGroup(NamedTuple):
    """A control group whose processes may have `MEMORY_BYTES` together."""

    folder: Path

    @classmethod
    def make(cls) -> "MemoryGroup":
        """Raise OSError where that cannot be done."""
        root = Path("/sys/fs/cgroup")
        first = (root / "memory").is_dir()
        folder = (root / "memory" if first else root) / f"nstd-test-{os.getpid()}"
        if not first:
            (root / "cgroup.subtree_control").write_text("+memory")
        folder.mkdir()
        try:
            (folder / ("memory.limit_in_bytes" if first else "memory.max")).write_text(str(MEMORY_BYTES))
            swap = folder / ("memory.memsw.limit_in_bytes" if first else "memory.swap.max")
            if swap.exists():
                swap.write_text(str(MEMORY_BYTES if first else 0))
        except OSError:
            folder.rmdir()
            raise
        return cls(folder)

    def under(self) -> str:
        """Return the command that runs another in this group."""
        return shlex.join(("sh", "-c", f'echo $$ > {self.folder}/cgroup.procs && exec "$@"', "sh"))

    def kills(self) -> int:
        """Count what the kernel has killed here for want of memory."""
        controls = (self.folder / "memory.oom_control", self.folder / "memory.events")
        lines = next(path for path in controls if path.exists()).read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))


class Row(NamedTuple):
    """A photo by what it does to its worker, and what `reason.json` shall say."""

    word: str
    message: str
    kind: str = "attempts"
    traceback: str = ""
    worker_log: str = ""


def said(what: str) -> str:
    return f"the worker said what is no event ({what!r}) and was killed by SIGKILL"


ROWS = (
    Row("segfault", f"{KILLED}SIGSEGV", worker_log="about to fall"),
    Row("abort", f"{KILLED}SIGABRT"),
    Row("kill", f"{KILLED}SIGKILL"),
    Row("devour", f"{KILLED}SIGKILL"),
    Row("freeze", SILENT),
    Row("babble", said("� is no event")),
    Row("lie", said('{"type": "stepped", "number": -1}')),
    Row("drone", said("d" * 80)),
    Row("chatter", SILENT, worker_log="c" * 4096),
    Row("bug", "ValueError: bug", kind="engine", traceback="Traceback: bug"),
)
WORDS = tuple(row.word for row in ROWS)


class Spool(NamedTuple):
    """A spool with a daemon; `memory` is None where this machine has no such groups for us."""

    world: World
    daemon: RunningDaemon
    memory: MemoryGroup | None


def world_with(root: Path, photos: dict[str, str], timeout_seconds: float = TIMEOUT_SECONDS) -> World:
    """Make a spool where a worker may be silent for so long, and where a job has two attempts."""
    world = World(root)
    config = world.config.read_text()
    timeout = f"job_timeout_seconds: {timeout_seconds}"
    world.config.write_text(config.replace("max_attempts: 2", f"max_attempts: 2, {timeout}"))
    for name, photo in photos.items():
        drop(world, name, photo)
    return world


def drop(world: World, name: str, photo: str) -> None:
    path = world.inbox / "quick" / f"{name}.jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(photo)


def check_that_it_ends_well(daemon: RunningDaemon) -> None:
    daemon.signal(signal.SIGTERM)
    began = time.monotonic()
    assert daemon.wait() == (0, "")
    assert time.monotonic() - began < STOP_SECONDS
    for one in daemon.logged("worker_started"):
        assert is_gone(one["pid"])


def check_places(world: World, **places: str) -> None:
    """Where each photo is, and that nothing is anywhere else."""
    accounts = accounts_of(world, "quick")
    assert {name: accounts.places(f"{name}.jpg", "quick") for name in places} == {
        name: [place] for name, place in places.items()
    }
    assert (accounts.queue, accounts.inbox) == ([], set())


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return a function that starts a daemon on some photos."""
    worlds: list[World] = []

    def start_one(
        *arguments: str, photos: dict[str, str], timeout_seconds: float = TIMEOUT_SECONDS, **environment: str
    ) -> tuple[World, RunningDaemon]:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        worlds.append(world_with(tmp_path / str(len(worlds)), photos, timeout_seconds))
        return worlds[-1], worlds[-1].start(*arguments, nstd=COPYING_NSTD)

    yield start_one
    for world in worlds:
        world.close()


@pytest.fixture(scope="module")
def memory() -> Iterator[MemoryGroup | None]:
    try:
        group = MemoryGroup.make()
    except OSError:
        yield None
        return
    yield group
    eventually(lambda: not (group.folder / "cgroup.procs").read_text(), "the end of all in the group")
    group.folder.rmdir()


@pytest.fixture(scope="module")
def spool(tmp_path_factory: pytest.TempPathFactory, memory: MemoryGroup | None) -> Iterator[Spool]:
    """All misdeeds have been done, each by a worker of its own, and a last photo came after them."""
    words = [word for word in WORDS if memory or word != "devour"]
    world = world_with(tmp_path_factory.mktemp("workers") / "world", {word: word for word in words})
    try:
        with pytest.MonkeyPatch.context() as patch:
            if memory:
                patch.setenv("COPYING_WORKER_UNDER", memory.under())
            daemon = world.start(nstd=COPYING_NSTD)
        wait_for_the_end_of(len(words), daemon)
        drop(world, "good", "a photo")
        daemon.wait_for("job_finished")
        yield Spool(world, daemon, memory)
    finally:
        world.close()


def skip_without_memory_group(spool: Spool, word: str) -> None:
    if word == "devour" and spool.memory is None:
        pytest.skip("this machine lets us make no control group for memory")


@pytest.mark.parametrize("row", ROWS, ids=WORDS)
def test_photo_that_ends_its_worker_each_time_comes_back_with_the_reason(spool, row):
    skip_without_memory_group(spool, row.word)
    reason = spool.world.reasons()[f"{row.word}.jpg"]
    assert (reason["kind"], reason["message"]) == (row.kind, row.message + LAST_ATTEMPT)
    assert reason["traceback"] == row.traceback
    assert not row.worker_log or row.worker_log in reason["worker_log"]
    assert (spool.world.failed / reason["job"]["id"] / f"{row.word}.jpg").read_text() == row.word
    told = spool.daemon.logged("job_requeued")
    assert [one["reason"] for one in told if one["photo"] == f"{row.word}.jpg"] == [row.message]


def test_kernel_killed_who_took_too_much_memory(spool):
    skip_without_memory_group(spool, "devour")
    assert spool.memory.kills() == 2


def test_daemon_outlives_all_its_workers(spool):
    check_places(spool.world, good="outbox", **{word: "failed" for word in WORDS if spool.memory or word != "devour"})
    *dead, last = (one["pid"] for one in spool.daemon.logged("worker_started"))
    assert all(map(is_gone, dead))
    assert not is_gone(last)
    assert spool.world.status().pid == spool.daemon.pid


def test_next_photo_is_painted_by_a_new_worker_after_a_death(start):
    world, daemon = start("--once", photos={"a": "segfault", "b": "a photo"})
    assert daemon.wait() == (1, "")
    check_places(world, a="failed", b="outbox")
    assert len(daemon.logged("worker_started")) == 3
    assert [one["attempt"] for one in daemon.logged("job_started") if one["photo"] == "a.jpg"] == [1, 2]


def check_that_it_is_tried_less_and_less_often(daemon: RunningDaemon) -> None:
    pauses = [one["next_try_seconds"] for one in daemon.wait_for("trouble", 7)]
    # From 0.02 s, doubled each time, a quarter more or less by chance.
    assert pauses[0] < 0.1 < pauses[5] < pauses[6]


@pytest.mark.parametrize(
    ("order", "how"),
    [
        ("freeze", SILENT),
        ("babble", said("� is no event")),
        ("fail no such library", "the worker exited with status 1"),
    ],
)
def test_worker_that_cannot_load_costs_no_attempt_and_recovers(start, tmp_path, order, how):
    path = tmp_path / "order"
    path.write_text(order)
    world, daemon = start("--verbose", photos={"cat": "a photo"}, COPYING_WORKER_LOADS=str(path))
    reason = f"{how} while it loaded the network"
    assert daemon.wait_for("trouble")[0]["reason"] == reason
    eventually(lambda: listed(world.nstd("status").stdout, "painting", reason), "the reason in the status")
    assert [(job.photo, job.attempts) for job in world.status().next] == [("cat.jpg", 0)]
    if order.startswith("fail"):
        check_that_it_is_tried_less_and_less_often(daemon)
    path.unlink()
    daemon.wait_for("job_finished")
    assert [one["attempt"] for one in daemon.logged("job_started")] == [1]
    eventually(lambda: world.status().daemon.troubles == (), "the end of the trouble in the status")
    check_places(world, cat="outbox")
    check_that_it_ends_well(daemon)


def test_worker_that_leaves_before_its_first_job_pauses_the_painting(start, tmp_path):
    """The daemon, which sleeps meanwhile, hears that it is ready and that it is gone at once."""
    path = tmp_path / "order"
    path.write_text("wait")
    world, daemon = start(photos={"cat": "a photo"}, COPYING_WORKER_LOADS=str(path))
    daemon.wait_for("worker_started")
    daemon.signal(signal.SIGSTOP)
    path.write_text("leave without a word")
    eventually(lambda: is_gone(daemon.worker_pid()), "the worker's end")
    path.unlink()
    daemon.signal(signal.SIGCONT)
    daemon.wait_for("job_finished")
    assert [one["reason"] for one in daemon.logged("trouble")] == [
        "the worker exited with status 1 before its first job"
    ]
    assert [one["attempt"] for one in daemon.logged("job_started")] == [1]
    check_places(world, cat="outbox")
    check_that_it_ends_well(daemon)


def test_job_that_lacks_a_gpu_waits_and_the_others_go_on(start, tmp_path):
    free = tmp_path / "free"
    photos = {"a": "gpu please", "b": "a photo", "c": "a photo"}
    world, daemon = start("--verbose", photos=photos, GPU_IS_FREE=str(free))
    daemon.wait_for("job_finished", 2)
    reason = "the GPU is out of memory"
    eventually(lambda: listed(world.nstd("status").stdout, "a.jpg as quick", f"{reason}; tried"), "it in the status")
    [delay] = eventually(lambda: world.status().daemon.deferred, "the job in the status")
    assert (delay.about, delay.reason) == ("a.jpg as quick", reason)
    assert delay.since < delay.next_try_at
    free.touch()
    daemon.wait_for("job_finished", 3)
    assert {one["attempt"] for one in daemon.logged("job_started")} == {1}
    assert len(daemon.logged("worker_started")) == 1, "it was not the worker's fault"
    check_places(world, **dict.fromkeys(photos, "outbox"))
    check_that_it_ends_well(daemon)


def test_photo_that_a_gpu_has_too_little_for_is_painted_with_less(start):
    """By another worker, which CUDA's own allocator serves; the photo after it has one as before."""
    world, daemon = start("--once", photos={"a": "large", "b": "a photo"}, timeout_seconds=600)
    assert daemon.wait() == (0, "")
    check_places(world, a="outbox", b="outbox")
    assert [one["photo"] for one in daemon.logged("job_spares_memory")] == ["a.jpg"]
    assert [one["attempt"] for one in daemon.logged("job_started")] == [1, 1, 1]
    assert len(daemon.logged("worker_started")) == 3
    assert not daemon.logged("trouble")


def test_second_try_with_less_outlives_the_daemon(start):
    world, daemon = start(photos={"a": f"crowded {os.devnull}-not"}, timeout_seconds=600)
    daemon.wait_for("trouble")
    daemon.signal(signal.SIGKILL)
    daemon.wait()
    [record] = (world.root / "state/queue").glob("*/*/job.json")
    assert json.loads(record.read_text())["lacked_memory"] >= 2
    second = world.start(nstd=COPYING_NSTD)
    second.wait_for("trouble")
    assert not second.logged("job_spares_memory"), "that is known already"


def test_photo_that_a_gpu_is_too_small_for_fails_and_the_others_are_painted(start):
    world, daemon = start("--once", photos={"a": "huge", "b": "a photo"}, timeout_seconds=600)
    assert daemon.wait() == (1, "")
    check_places(world, a="failed", b="outbox")
    reason = world.reasons()["a.jpg"]
    assert (reason["kind"], reason["message"]) == ("memory", "the GPU is out of memory though it was spared")
    assert reason["job"]["lacked_memory"] == 2


def test_photo_waits_for_memory_that_other_programs_have(start, tmp_path):
    free = tmp_path / "free"
    world, daemon = start(photos={"a": f"crowded {free}", "b": "a photo"}, timeout_seconds=600)
    daemon.wait_for("trouble")
    daemon.wait_for("job_finished")
    free.touch()
    daemon.wait_for("job_finished", 2)
    assert {one["attempt"] for one in daemon.logged("job_started")} == {1}
    check_places(world, a="outbox", b="outbox")
    check_that_it_ends_well(daemon)


def test_worker_is_replaced_after_an_unforeseen_error_of_its_gpu(start):
    """Only the photo that met with it has lost an attempt, and the machine is not in trouble."""
    world, daemon = start("--once", photos={"a": "poison", "b": "a photo"}, timeout_seconds=600)
    assert daemon.wait() == (1, "")
    check_places(world, a="failed", b="outbox")
    assert [(one["photo"], one["attempt"]) for one in daemon.logged("job_started")] == [
        ("a.jpg", 1),
        ("a.jpg", 2),
        ("b.jpg", 1),
    ]
    assert len(daemon.logged("worker_started")) == 3
    assert {one["reason"] for one in daemon.logged("worker_replaced")} == {
        "its GPU cannot be relied upon after such an error"
    }
    assert not daemon.logged("trouble")
    assert not daemon.logged("worker_ended")
    assert world.reasons()["a.jpg"]["traceback"] == "Traceback: CUDA"


@pytest.mark.parametrize(("bound_gib", "workers"), [(0, 2), (2_000_000, 1), (1, 2)])
def test_worker_that_has_grown_is_replaced_between_jobs(tmp_path, bound_gib, workers):
    """It says that it holds 2^50 bytes, which are more than half of any machine."""
    world = World(tmp_path / "world", worker=f"max_memory_gib: {bound_gib}")
    try:
        drop(world, "a", "glutton")
        drop(world, "b", "a photo")
        daemon = world.start("--once", nstd=COPYING_NSTD)
        assert daemon.wait() == (0, "")
        check_places(world, a="outbox", b="outbox")
        assert len(daemon.logged("worker_started")) == workers
        replaced = daemon.logged("worker_replaced")
        assert len(replaced) == workers - 1
        for one in replaced:
            assert one["reason"].startswith("it holds 1048576.0 GiB of memory, and may hold ")
    finally:
        world.close()


def test_daemon_stops_in_time_though_its_worker_hangs(start, tmp_path):
    """A worker is given ten seconds to come to its next step, and then no more."""
    world, daemon = start(photos={"cat": f"stuck {tmp_path / 'gate'}"}, timeout_seconds=600)
    daemon.wait_for("job_started")
    eventually(lambda: is_stopped(daemon.worker_pid()), "the worker's standstill")
    check_that_it_ends_well(daemon)
    [job] = world.status().next
    assert (job.photo, job.attempts) == ("cat.jpg", 0)
    (tmp_path / "gate").touch()
    assert world.start("--once", nstd=COPYING_NSTD).wait() == (0, "")
    check_places(world, cat="outbox")


def test_worker_that_is_frozen_does_not_outlive_a_daemon_that_is_killed(start, tmp_path):
    path = tmp_path / "order"
    path.write_text("freeze")
    world, daemon = start(photos={"cat": "a photo"}, COPYING_WORKER_LOADS=str(path))
    daemon.wait_for("worker_started")
    eventually(lambda: is_stopped(daemon.worker_pid()), "the worker's standstill")
    check_that_it_dies_with_its_daemon(daemon)
    path.unlink()
    assert world.start("--once", nstd=COPYING_NSTD).wait() == (0, "")
    check_places(world, cat="outbox")


@pytest.mark.usefixtures("cache")
def test_real_worker_that_is_frozen_does_not_outlive_a_daemon_that_is_killed(tmp_path):
    world = World(tmp_path / "world")
    try:
        daemon = world.start()
        world.drop("chelsea.jpg", "slow")
        os.kill(world.wait_for_step(1), signal.SIGSTOP)
        check_that_it_dies_with_its_daemon(daemon)
        assert world.status().jobs.running == 1, "the next daemon will find it"
    finally:
        world.close()


def check_that_it_dies_with_its_daemon(daemon: RunningDaemon) -> None:
    worker = daemon.worker_pid()
    assert not is_gone(worker)
    daemon.signal(signal.SIGKILL)
    daemon.wait()
    eventually(lambda: is_gone(worker), "the worker's end")


def is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
