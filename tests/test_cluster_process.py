"""The driver as the daemon sees it: a child process that these tests have written."""

import contextlib
import itertools
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from daemon_world import eventually
from structlog.testing import capture_logs

from nstd.cluster.process import Cluster, RemoteWorker
from nstd.config.settings import ClusterSettings, EngineSettings, Limits
from nstd.errors import SpoolError
from nstd.worker.messages import Checkpointed, Event, Setup, Waiting, to_line

SETUP = Setup(engine=EngineSettings(), limits=Limits(), cache=Path("/nowhere"))
WAITING = Waiting(reason="a place")
LINE = to_line(WAITING)
# Says on each line that it is there, and ends when all lines have ended; `FIRST` comes before.
DRIVER = """
import os, socket, sys, threading
FIRST
control = socket.socket(fileno=0)
threads = []
def serve(commands, events):
    os.write(events, LINE)
    while os.read(commands, 1000):
        pass
    os.close(events)
while True:
    message, descriptors, *_ = socket.recv_fds(control, 1 << 16, 2)
    if not message:
        break
    if message == b"?":
        control.send(b"!")
        continue
    threads.append(threading.Thread(target=serve, args=descriptors))
    threads[-1].start()
for thread in threads:
    thread.join()
"""


@pytest.fixture
def make_cluster() -> Iterator[Callable[..., Cluster]]:
    clusters = []

    def make(first: str = "", line: bytes = LINE, **options: Callable[[], float]) -> Cluster:
        command = (sys.executable, "-c", DRIVER.replace("FIRST", first).replace("LINE", repr(line)))
        clusters.append(Cluster(ClusterSettings(), command, **options))
        return clusters[-1]

    yield make
    for cluster in clusters:
        cluster.close()


def said(worker: RemoteWorker) -> Event:
    return next(iter(eventually(lambda: list(worker.read_events()), "an event")))


def is_over(worker: RemoteWorker) -> bool:
    list(worker.read_events())
    return worker.events.closed


def test_each_worker_has_a_line_of_its_own_to_one_driver(make_cluster):
    cluster = make_cluster()
    workers = [cluster.start(SETUP) for _ in range(3)]
    assert [said(worker) for worker in workers] == [WAITING] * 3
    assert len({worker.pid for worker in workers}) == 1
    workers[1].kill()
    eventually(lambda: is_over(workers[1]), "the end of its line")
    assert not is_over(workers[0])
    assert [worker.close() for worker in workers] == [
        "was ended",
        "is out of reach: the driver has let it go",
        "was ended",
    ]


def test_end_of_the_driver_ends_all_lines_and_its_last_words_are_told(make_cluster):
    cluster = make_cluster("sys.stderr.write('the head is gone\\n'); sys.exit(1)")
    first = cluster.start(SETUP)
    eventually(lambda: is_over(first), "the end of the line")
    assert first.close() == "is out of reach: the head is gone"
    second = cluster.start(SETUP)
    assert second.pid != first.pid
    second.close()


class Clock:
    seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def begin_and_kill(cluster: Cluster) -> None:
    worker = cluster.start(SETUP)
    said(worker)
    os.kill(worker.pid, signal.SIGKILL)
    eventually(lambda: is_over(worker), "the end of the line")
    worker.close()


def test_driver_that_ends_again_and_again_is_started_ever_more_rarely(make_cluster):
    clock = Clock()
    cluster = make_cluster(clock=clock)
    begin_and_kill(cluster)
    begin_and_kill(cluster)  # after the first fall only the daemon waits
    for falls, pause in ((2, 1), (3, 2), (4, 4)):
        expected = f"^the driver has ended {falls} times in a row: the driver ended with status -9$"
        for seconds in (0, pause - 0.5):
            clock.seconds += seconds
            with pytest.raises(SpoolError, match=expected):
                cluster.start(SETUP)
        clock.seconds += 0.5
        begin_and_kill(cluster)


@pytest.mark.parametrize("event", [Checkpointed(number=1, bytes=1, seconds=0), WAITING])
def test_driver_whose_workers_come_on_is_started_again_at_once(make_cluster, event):
    cluster = make_cluster(line=to_line(event))
    with contextlib.nullcontext() if event is not WAITING else pytest.raises(SpoolError):
        for _ in range(4):
            begin_and_kill(cluster)


def test_driver_that_ends_with_its_last_worker_has_not_fallen(make_cluster):
    cluster = make_cluster("control = socket.socket(fileno=0); control.recv(99999); sys.exit(0)")
    for _ in range(3):
        worker = cluster.start(SETUP)
        eventually(lambda worker=worker: is_over(worker), "the end of the line")
        worker.close()
        eventually(lambda pid=worker.pid: not is_running(pid), "the end of the driver")


def is_running(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def test_warnings_of_the_driver_are_logged_as_such_and_are_no_last_words(make_cluster):
    first = (
        "sys.stderr.write('all is well\\n'); from nstd.cluster.messages import warn; warn('Ray\\nis new'); sys.exit(1)"
    )
    cluster = make_cluster(first)
    with capture_logs() as logs:
        worker = cluster.start(SETUP)
        eventually(lambda: is_over(worker), "the end of the line")
        assert worker.close() == "is out of reach: all is well"
    warnings = [one for one in logs if one["log_level"] == "warning"]
    assert warnings == [{"event": "cluster_doubtful", "reason": "Ray is new", "log_level": "warning"}]


def test_cluster_that_is_left_ends_with_its_last_worker(make_cluster):
    cluster = make_cluster()
    worker = cluster.start(SETUP)
    assert said(worker) == WAITING
    cluster.leave()
    assert cluster.is_left
    assert not cluster.has_ended()
    worker.close()
    eventually(cluster.has_ended, "the end of the driver")
    with pytest.raises(ProcessLookupError):
        os.kill(worker.pid, 0)


def test_cluster_without_a_worker_has_nothing_to_end(make_cluster):
    cluster = make_cluster()
    assert not cluster.has_ended()
    cluster.leave()
    assert cluster.has_ended()


def open_files() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


@contextlib.contextmanager
def room_for(descriptors: int) -> Iterator[None]:
    """Let this process open so many more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = open_files()
    free = (number for number in itertools.count() if str(number) not in taken)
    resource.setrlimit(resource.RLIMIT_NOFILE, (next(itertools.islice(free, descriptors, None)), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_start_that_lacks_descriptors_leaves_none_open(make_cluster):
    before, cluster = open_files(), make_cluster()
    for room in itertools.count():
        with room_for(room), contextlib.suppress(OSError):
            cluster.start(SETUP).close()
            break
        cluster.close()
        assert open_files() == before, f"with room for {room}"
    assert room > len(("socket", "socket", "pipe", "pipe"))


def test_nothing_stays_open(make_cluster):
    before = open_files()
    cluster = make_cluster()
    for _ in range(5):
        worker = cluster.start(SETUP)
        said(worker)
        worker.close()
    cluster.close()
    assert open_files() == before


def test_driver_that_does_not_answer_is_killed_with_a_worker_that_hangs(make_cluster):
    cluster = make_cluster()
    hanging, other = (cluster.start(SETUP) for _ in range(2))
    assert [said(worker) for worker in (hanging, other)] == [WAITING] * 2
    os.kill(other.pid, signal.SIGSTOP)
    hanging.kill()
    eventually(lambda: is_over(other), "the end of the other line")
    assert other.close() == "is out of reach: the driver ended with status -9"
    hanging.close()
    another = cluster.start(SETUP)
    assert said(another) == WAITING
    assert another.pid != other.pid
    another.close()
