"""What systemd is told; tests/test_service.py shows what it makes of it."""

import os
import queue
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon_world import COPYING_NSTD, DEADLINE_SECONDS, World
from structlog.testing import capture_logs

from nstd.daemon.service_manager import ServiceManager


class Listener:
    """What a service manager hears: assignments, datagram by datagram."""

    def __init__(self, address: str) -> None:
        self.environ = {"NOTIFY_SOCKET": address}
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self._heard: queue.SimpleQueue[list[str]] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def next(self) -> list[str]:
        return self._heard.get(timeout=DEADLINE_SECONDS)

    def wait_for(self, line: str) -> list[str]:
        """Return what was heard until a line with this beginning came."""
        heard: list[str] = []
        while not (heard and heard[-1].startswith(line)):
            heard += self.next()
        return heard

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    def _listen(self) -> None:
        while data := self._socket.recv(1 << 16):
            self._heard.put(data.decode().splitlines())


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[Listener]:
    listener = Listener(str(tmp_path / "notify"))
    yield listener
    listener.close()


@pytest.fixture
def world(tmp_path: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    for name, value in listener.environ.items():
        monkeypatch.setenv(name, value)
    world = World(tmp_path / "world")
    yield world
    world.close()


class Watched:
    """A manager with a watchdog of three seconds, which wants a beat every second."""

    def __init__(self, listener: Listener, **environ: str) -> None:
        self.now = 1000.0
        self.well = True
        self._listener = listener
        self.manager = ServiceManager(
            {"worker": lambda: self.well},
            listener.environ | {"WATCHDOG_USEC": "3000000"} | environ,
            clock=lambda: self.now,
        )

    def beat(self, seconds: float = 0) -> None:
        self.now += seconds
        self.manager.beat()


def test_watchdog_is_fed_three_times_an_interval(listener):
    watched = Watched(listener)
    for seconds in (0, 0.4, 0.4, 0.2, 5):
        watched.beat(seconds)
    assert watched.manager.seconds_to_beat() == 1
    watched.manager.say("that is all")
    assert listener.wait_for("STATUS=") == ["WATCHDOG=1"] * 3 + ["STATUS=that is all"]


def test_watchdog_goes_hungry_while_anything_is_unwell(listener):
    watched = Watched(listener)
    watched.well = False
    with capture_logs() as logs:
        for _ in range(3):
            watched.beat(1)
    assert [(line["event"], line["unwell"]) for line in logs] == [("watchdog_not_fed", ["worker"])]
    watched.manager.say("hungry")
    assert listener.next() == ["STATUS=hungry"]
    watched.well = True
    watched.beat(1)
    assert listener.next() == ["WATCHDOG=1"]


@pytest.mark.parametrize(
    "environ", [{"WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": ""}, {"WATCHDOG_USEC": "soon"}, {"WATCHDOG_USEC": "0"}]
)
def test_nobody_watches_this_process(listener, environ):
    watched = Watched(listener, **environ)
    watched.beat(1000)
    assert watched.manager.seconds_to_beat() == float("inf")
    watched.manager.ready()
    assert listener.next() == ["READY=1"]


def test_watchdog_of_this_process_is_fed(listener):
    Watched(listener, WATCHDOG_PID=str(os.getpid())).beat()
    assert listener.next() == ["WATCHDOG=1"]


def test_photo_name_cannot_speak_for_the_daemon(listener):
    manager = ServiceManager({}, listener.environ)
    manager.say("painting x\nMAINPID=1\r\u2028.jpg")
    assert listener.next() == ["STATUS=painting x?MAINPID=1??.jpg"]


def test_same_words_are_not_said_twice(listener):
    manager = ServiceManager({}, listener.environ)
    for text in ("idle", "idle", "painting"):
        manager.say(text)
    assert [listener.next(), listener.next()] == [["STATUS=idle"], ["STATUS=painting"]]


def test_reload_begins_with_its_time_and_ends_once(listener):
    manager = ServiceManager({}, listener.environ, clock=lambda: 12.5)
    manager.reloaded()
    manager.reloading()
    manager.reloaded()
    manager.reloaded()
    manager.stopping(3)
    assert listener.wait_for("EXTEND") == [
        "RELOADING=1",
        "MONOTONIC_USEC=12500000",
        "READY=1",
        "STOPPING=1",
        "EXTEND_TIMEOUT_USEC=3000000",
    ]


def test_abstract_socket_is_found(tmp_path):
    listener = Listener(f"@nstd-test-{tmp_path.name}-{os.getpid()}")
    ServiceManager({}, listener.environ).ready()
    assert listener.next() == ["READY=1"]
    listener.close()


def test_without_a_service_manager_nothing_is_told():
    with capture_logs() as logs:
        ServiceManager({}, {}).ready()
    assert not logs


def test_service_manager_that_is_gone_does_no_harm(tmp_path, monkeypatch):
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    world = World(tmp_path / "world")
    daemon = world.start(nstd=COPYING_NSTD)
    daemon.wait_for("daemon_started")
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == (0, "")
    [untold] = daemon.logged("service_manager_not_told")
    assert untold["reason"].endswith("No such file or directory")
    world.close()


def test_daemon_is_ready_after_the_recovery_and_tells_what_it_does(world, listener):
    world.drop_text("slow", "cat.jpg")
    world.drop_text("slow", "dog.jpg")
    daemon = world.start(nstd=COPYING_NSTD)
    assert listener.wait_for("READY=1") == ["STATUS=starting", "READY=1"]
    said = listener.wait_for("STATUS=painting ")[-1]
    assert said.startswith("STATUS=painting ")
    assert ".jpg as quick, " in said
    while not said.endswith(" %, 1 waiting"):
        said = listener.wait_for("STATUS=painting ")[-1]
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == (0, "")
    heard = listener.wait_for("STATUS=stopped")
    stopping = heard.index("STOPPING=1")
    name, _, microseconds = heard[stopping + 1].partition("=")
    assert name == "EXTEND_TIMEOUT_USEC"
    assert 5e6 < int(microseconds) < 60e6


def test_reload_is_over_once_the_status_tells_of_a_wrong_config(world, listener):
    daemon = world.start(nstd=COPYING_NSTD)
    listener.wait_for("READY=1")
    daemon.signal(signal.SIGHUP)
    assert listener.wait_for("READY=1")[-3:][0::2] == ["RELOADING=1", "READY=1"]
    good = world.config.read_text()
    world.config.write_text(good + "colour: red\n")
    daemon.signal(signal.SIGHUP)
    heard = listener.wait_for("READY=1")
    [refusal] = [line for line in heard if "refused" in line]
    assert refusal.startswith("STATUS=idle; config refused: ")
    assert "config.yaml:9:1: colour: is not a known setting" in refusal
    assert heard.index(refusal) < heard.index("READY=1")
    world.config.write_text(good)
    daemon.signal(signal.SIGHUP)
    assert "STATUS=idle" in listener.wait_for("READY=1")


def test_daemon_with_nothing_to_do_feeds_its_watchdog(world, listener, monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", "300000")
    world.config.write_text(world.config.read_text().replace("rescan_seconds: 1", "rescan_seconds: 3600"))
    world.start(nstd=COPYING_NSTD)
    listener.wait_for("READY=1")
    for _ in range(5):
        listener.wait_for("WATCHDOG=1")
