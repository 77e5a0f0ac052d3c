"""The daemon is told to stop, to reload, or is killed, whatever it is doing; and other daemons want its spool."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from daemon_world import COPYING_NSTD, RunningDaemon, World, eventually, is_gone
from ledger import accounts_of
from sabotage import delaying, needs_strace
from test_daemon_faults import mend, spoil
from test_faults_kill import check_at_any_time

from nstd.spool.lock import retry_lock

STOP_SECONDS = 15
MANY = 10
STOPS = (signal.SIGTERM, signal.SIGINT)
SETTLE = "settle_seconds: 0.2"


class Stage:
    """A spool with a daemon, and what keeps it in one state until `let_go`."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world = World(root / "world")
        self.photos: dict[str, bytes] = {}
        self.let_go: Callable[[], object] = lambda: None
        self._gate = root / "gate"
        self._monkeypatch = monkeypatch

    @property
    def gate(self) -> Path:
        """What photos wait for."""
        self.let_go = self._gate.touch
        return self._gate

    def drop(self, *photos: str) -> None:
        for photo in photos:
            name = f"photo{len(self.photos)}.jpg"
            self.photos[name] = photo.encode()
            path = self.world.inbox / "quick" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.photos[name])

    def start(self, *under: str) -> RunningDaemon:
        return self.world.start(nstd=(*under, *COPYING_NSTD))

    def hold_workers(self) -> None:
        """Keep them from becoming ready."""
        order = self.world.root / "order"
        order.write_text("wait")
        self._monkeypatch.setenv("COPYING_WORKER_LOADS", str(order))
        self.let_go = order.unlink

    def settle_for_long(self) -> None:
        config = self.world.config
        text = config.read_text()
        config.write_text(text.replace(SETTLE, "settle_seconds: 3600"))
        self.let_go = lambda: config.write_text(text)

    def spoil_outbox(self) -> None:
        outbox = self.world.outbox / "quick"
        spoil(outbox)
        self.let_go = lambda: mend(outbox)

    def wait_for_state(self, state: str) -> None:
        eventually(lambda: (told := self.world.status().daemon) and told.state == state, f"the state {state}")


def starting(stage: Stage) -> RunningDaemon:
    """The second lock is the one that recovery takes."""
    stage.drop("a photo")
    daemon = stage.start(*delaying("flock", 2, when="2"))
    stage.wait_for_state("starting")
    return daemon


def idle(stage: Stage) -> RunningDaemon:
    """Its worker is warm."""
    stage.drop("a photo")
    daemon = stage.start()
    daemon.wait_for("job_finished")
    stage.wait_for_state("idle")
    return daemon


def settling(stage: Stage) -> RunningDaemon:
    stage.settle_for_long()
    stage.drop("a photo")
    daemon = stage.start()
    stage.wait_for_state("idle")
    return daemon


def ingesting(stage: Stage) -> RunningDaemon:
    """For two seconds."""
    stage.drop(*["a photo"] * 12)
    daemon = stage.start(*delaying("fsync", 0.02))
    daemon.wait_for("job_queued", 2)
    return daemon


def loading(stage: Stage) -> RunningDaemon:
    stage.hold_workers()
    stage.drop("a photo")
    daemon = stage.start()
    daemon.wait_for("worker_started")
    return daemon


def painting(stage: Stage) -> RunningDaemon:
    stage.drop(f"until {stage.gate}", "a photo")
    daemon = stage.start()
    stage.world.wait_for_step(2)
    return daemon


def publishing(stage: Stage) -> RunningDaemon:
    """The log is there, and the picture not yet: the third of these calls brings it."""
    stage.drop("a photo")
    daemon = stage.start(*delaying("renameat2", 2, when="3"))
    eventually(lambda: stage.world.results("quick"), "the log of the picture")
    return daemon


def in_trouble(stage: Stage) -> RunningDaemon:
    daemon = stage.start()
    daemon.wait_for("daemon_started")
    stage.spoil_outbox()
    stage.drop("a photo")
    daemon.wait_for("trouble")
    return daemon


def stopping(stage: Stage) -> RunningDaemon:
    stage.drop(f"deaf {stage.gate}")
    daemon = stage.start()
    daemon.wait_for("job_started")
    daemon.signal(signal.SIGTERM)
    stage.wait_for_state("stopping")
    return daemon


AT_WORK = (
    pytest.param(starting, marks=needs_strace),
    idle,
    settling,
    pytest.param(ingesting, marks=needs_strace),
    loading,
    painting,
    pytest.param(publishing, marks=needs_strace),
    in_trouble,
)


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    stage = Stage(tmp_path, monkeypatch)
    yield stage
    stage.world.close()


def check_that_it_ends_well(daemon: RunningDaemon) -> None:
    began = time.monotonic()
    assert daemon.wait() == (0, "")
    assert time.monotonic() - began < STOP_SECONDS
    check_that_no_worker_lives(daemon)


def check_that_no_worker_lives(daemon: RunningDaemon) -> None:
    for one in daemon.logged("worker_started"):
        eventually(lambda pid=one["pid"]: is_gone(pid), "the worker's end")


def check_that_all_is_listed(stage: Stage) -> None:
    """Each photo is painted, or waits, and no attempt is held against one that waits."""
    status, accounts = stage.world.status(), accounts_of(stage.world, "quick")
    listed = status.inbox.drops + status.jobs.waiting + status.jobs.running
    assert (listed + len(accounts.painted), status.jobs.arriving) == (len(stage.photos), 0)
    assert [job.attempts for job in status.next] == [0] * len(status.next)


def check_that_all_are_painted(stage: Stage, *, attempts: int) -> None:
    """Once each, and nothing else is left."""
    accounts = accounts_of(stage.world, "quick")
    places = {name: accounts.places(name, "quick") for name in stage.photos}
    assert places == {name: ["outbox"] for name in stage.photos}
    assert (accounts.queue, accounts.inbox) == ([], set())
    for name, [log] in accounts.painted.items():
        assert log.with_suffix(".png").read_bytes() == b"painted " + stage.photos[name]
        assert json.loads(log.read_text())["attempts"] <= attempts


def check_that_the_next_run_paints_the_rest(stage: Stage, *, attempts: int = 1) -> None:
    """And only the rest."""
    painted = set(stage.world.results("quick"))
    assert stage.world.start("--once", nstd=COPYING_NSTD).wait() == (0, "")
    assert painted <= set(stage.world.results("quick"))
    check_that_all_are_painted(stage, attempts=attempts)


@pytest.mark.parametrize("number", STOPS)
@pytest.mark.parametrize("state", AT_WORK)
def test_daemon_that_is_told_to_stop_ends_well_and_loses_nothing(stage, state, number):
    daemon = state(stage)
    daemon.signal(number)
    check_that_it_ends_well(daemon)
    assert daemon.logged("daemon_stopped")
    if state is not in_trouble:
        check_that_all_is_listed(stage)
    stage.let_go()
    check_that_the_next_run_paints_the_rest(stage)


@pytest.mark.parametrize("number", [*STOPS, signal.SIGHUP])
def test_more_signals_change_nothing_for_a_daemon_that_stops(stage, number):
    daemon = stopping(stage)
    daemon.signal(number)
    daemon.signal(number)
    stage.let_go()
    check_that_it_ends_well(daemon)
    check_that_all_is_listed(stage)
    assert len(daemon.logged("stopping")) == 1
    check_that_the_next_run_paints_the_rest(stage)


@pytest.mark.parametrize("state", AT_WORK)
def test_daemon_that_is_told_to_reload_goes_on(stage, state):
    daemon = state(stage)
    daemon.signal(signal.SIGHUP)
    daemon.wait_for("config_reloaded")
    stage.let_go()
    daemon.wait_for("job_finished", len(stage.photos))
    stage.wait_for_state("idle")
    check_that_all_are_painted(stage, attempts=1)
    daemon.signal(signal.SIGTERM)
    check_that_it_ends_well(daemon)


@pytest.mark.parametrize("state", [*AT_WORK, stopping])
def test_daemon_that_is_killed_leaves_no_worker_and_loses_nothing(stage, state):
    daemon = state(stage)
    daemon.signal(signal.SIGKILL)
    status, _ = daemon.wait()
    assert status == -signal.SIGKILL
    check_that_no_worker_lives(daemon)
    for photo in stage.photos.values():
        check_at_any_time(stage.world, photo)
    stage.let_go()
    check_that_the_next_run_paints_the_rest(stage, attempts=2)


def test_daemon_starts_beside_a_retry_that_was_stopped_for_ever(stage):
    """By Ctrl-Z, for one: it has the lock, and files of its own."""
    stage.drop("text and no photo")
    daemon = stage.start()
    daemon.wait_for("job_failed")
    daemon.signal(signal.SIGTERM)
    check_that_it_ends_well(daemon)
    remains = stage.world.root / "state/queue/tmp/of_the_retry"
    remains.mkdir()
    with retry_lock(stage.world.root / "state/retry.lock"):
        daemon = stage.start()
        daemon.wait_for("daemon_started")
        assert remains.exists()
        daemon.signal(signal.SIGTERM)
        check_that_it_ends_well(daemon)
    assert stage.world.start("--once", nstd=COPYING_NSTD).wait() == (0, "")
    assert not remains.exists()
    assert accounts_of(stage.world, "quick").places("photo0.jpg", "quick") == ["failed"]


def test_of_many_daemons_that_start_at_once_exactly_one_survives_unharmed(stage):
    daemons = [stage.start() for _ in range(MANY)]
    eventually(lambda: sum(daemon.has_ended() for daemon in daemons) >= MANY - 1, "the end of all but one")
    [survivor] = [daemon for daemon in daemons if not daemon.has_ended()]
    for daemon in daemons:
        if daemon is not survivor:
            status, message = daemon.wait()
            assert (status, daemon.events) == (os.EX_TEMPFAIL, [])
            assert f"another nstd (process {survivor.pid}) works on this spool" in message
    stage.drop("a photo")
    survivor.wait_for("job_finished")
    check_that_all_are_painted(stage, attempts=1)
    assert stage.world.status().pid == survivor.pid
    survivor.signal(signal.SIGTERM)
    check_that_it_ends_well(survivor)
