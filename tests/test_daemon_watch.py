import logging
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from daemon_world import eventually
from structlog.testing import capture_logs
from watchdog.events import FileSystemEventHandler

from nstd.config.settings import Watch
from nstd.daemon.observer import FolderObserver
from nstd.daemon.watch import FolderWatch, FolderWatches
from nstd.spool.folders import Folders
from nstd.spool.inbox import scan

POLL_SECONDS = 0.05
LIMITS = Path("/proc/sys/user")
INCOMPLETE = "not every folder in it can be watched: inotify watch limit reached"
MAX_QUEUED_EVENTS = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())


class Hints:
    """Counts hints from any thread."""

    def __init__(self) -> None:
        self.count = 0
        self._lock = threading.Lock()

    def __call__(self) -> None:
        with self._lock:
            self.count += 1

    def clear(self) -> None:
        with self._lock:
            self.count = 0

    def follow(self, change: Callable[[], object], what: str) -> None:
        """Make a change, and wait for a hint of it."""
        self.clear()
        change()
        eventually(lambda: self.count, f"a hint of {what}")


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    inbox = tmp_path / "inbox"
    make_inbox(inbox)
    (tmp_path / "state/queue/new").mkdir(parents=True)
    return inbox


@pytest.fixture
def hints() -> Hints:
    return Hints()


@pytest.fixture(params=[Watch.INOTIFY, Watch.POLLING])
def mode(request: pytest.FixtureRequest) -> Watch:
    return request.param


@pytest.fixture
def watch(inbox: Path, hints: Hints, mode: Watch) -> Iterator[FolderWatch]:
    with FolderWatch(inbox, hints, mode=mode, poll_seconds=POLL_SECONDS) as watch:
        hints.clear()
        yield watch


def make_inbox(inbox: Path) -> None:
    (inbox / "swirls").mkdir(parents=True)
    (inbox / "swirls" / "old.jpg").write_bytes(b"old")


def drop(inbox: Path) -> None:
    (inbox / "cat.jpg").write_bytes(b"cat")


def drop_deeper(inbox: Path) -> None:
    (inbox / "swirls" / "cat.jpg").write_bytes(b"cat")


def move_in(inbox: Path) -> None:
    (inbox.parent / "cat.jpg").write_bytes(b"cat")
    (inbox.parent / "cat.jpg").rename(inbox / "swirls" / "cat.jpg")


def link_in(inbox: Path) -> None:
    (inbox.parent / "cat.jpg").write_bytes(b"cat")
    (inbox / "cat.jpg").hardlink_to(inbox.parent / "cat.jpg")


def grow(inbox: Path) -> None:
    with (inbox / "swirls" / "old.jpg").open("ab") as file:
        file.write(b"er")


def unveil(inbox: Path) -> None:
    (inbox / "swirls" / "old.jpg").rename(inbox / "swirls" / "new.jpg")


def take_away(inbox: Path) -> None:
    (inbox / "swirls" / "old.jpg").unlink()


@pytest.mark.usefixtures("watch")
@pytest.mark.parametrize("change", [drop, drop_deeper, move_in, link_in, grow, unveil, take_away])
def test_change_hints(inbox: Path, hints: Hints, change: Callable[[Path], None]):
    hints.follow(lambda: change(inbox), "the change")


@pytest.mark.usefixtures("watch")
def test_folder_made_later_is_watched_too(inbox: Path, hints: Hints):
    hints.follow((inbox / "wave").mkdir, "the folder")
    hints.follow(lambda: (inbox / "wave" / "cat.jpg").write_bytes(b"cat"), "the photo")


@pytest.mark.usefixtures("watch")
def test_looking_and_reading_do_not_hint(inbox: Path, hints: Hints):
    """Otherwise each look would cause the next. A change of mode gives exactly one hint, after those of the looks."""
    root = inbox.parent
    folders = Folders(inbox, root / "outbox", root / "originals", root / "failed", root / "state")
    photo = inbox / "swirls" / "old.jpg"
    for changes in range(1, 11):
        assert len(scan(folders, {"swirls"}, ()).drops) == 1
        photo.read_bytes()
        photo.chmod(0o600 + changes)
        eventually(lambda changes=changes: hints.count >= changes, "a hint of the change")
    assert hints.count == 10


def test_beginning_hints_since_something_may_have_changed_before(inbox: Path, hints: Hints, mode: Watch):
    with FolderWatch(inbox, hints, mode=mode):
        assert hints.count == 1


def test_nothing_hints_once_the_watch_has_ended(inbox: Path, hints: Hints, mode: Watch):
    before = threading.enumerate()
    with FolderWatch(inbox, hints, mode=mode, poll_seconds=POLL_SECONDS) as watch:
        hints.clear()
    drop(inbox)
    assert hints.count == 0
    assert threading.enumerate() == before
    watch.close()


def test_renewing_a_good_watch_does_nothing(watch: FolderWatch, inbox: Path, hints: Hints):
    with capture_logs() as logs:
        for _ in range(3):
            watch.renew()
    assert (hints.count, logs) == (0, [])
    hints.follow(lambda: drop(inbox), "the photo")


def test_missing_folder_is_told_once_and_watched_when_it_comes(tmp_path: Path, hints: Hints, mode: Watch):
    inbox = tmp_path / "inbox"
    with capture_logs() as logs, FolderWatch(inbox, hints, mode=mode, poll_seconds=POLL_SECONDS) as watch:
        watch.renew()
        watch.renew()
        assert hints.count == 0
        make_inbox(inbox)
        watch.renew()
        assert hints.count == 1
        hints.follow(lambda: drop_deeper(inbox), "the photo")
    assert told(logs) == [
        {
            "event": "folder_unwatched",
            "log_level": "warning",
            "folder": str(inbox),
            "reason": "No such file or directory",
        },
        {"event": "folder_watched", "log_level": "info", "folder": str(inbox)},
    ]


def test_file_in_place_of_the_folder_harms_nothing(tmp_path: Path, hints: Hints):
    (tmp_path / "inbox").touch()
    with capture_logs() as logs, FolderWatch(tmp_path / "inbox", hints) as watch:
        watch.renew()
    assert [line["reason"] for line in told(logs)] == ["Not a directory"]


def test_root_deleted_and_recreated_is_watched_anew(watch: FolderWatch, inbox: Path, hints: Hints):
    """More than once: a file system likes to give the new folder the inode of the old one."""
    for _ in range(5):
        shutil.rmtree(inbox)
        make_inbox(inbox)
        hints.follow(watch.renew, "the new watch")
        hints.follow(lambda: drop_deeper(inbox), "the photo")


def test_root_deleted_and_recreated_later_is_watched_anew(watch: FolderWatch, inbox: Path, hints: Hints):
    shutil.rmtree(inbox)
    with capture_logs() as logs:
        for _ in range(3):
            watch.renew()
        make_inbox(inbox)
        watch.renew()
    assert [line["event"] for line in told(logs)] == ["folder_unwatched", "folder_watched"]
    hints.follow(lambda: drop_deeper(inbox), "the photo")


@contextmanager
def spare_descriptors(count: int) -> Iterator[None]:
    """Let this process open so many more files at once."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    probes = [os.open(os.devnull, os.O_RDONLY) for _ in range(count + 1)]
    for probe in probes:
        os.close(probe)
    resource.setrlimit(resource.RLIMIT_NOFILE, (probes[count], hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("count", range(4))
def test_lack_of_descriptors_blinds_no_observer(inbox: Path, count: int):
    """Taken for blind it would be ended, and where inotify is refused just then, the folder be polled for ever."""
    observer = FolderObserver(inbox, FileSystemEventHandler(), recursive=True, poll_seconds=None)
    try:
        with spare_descriptors(count):
            assert not observer.is_blind()
    finally:
        observer.stop()


def test_another_root_in_the_place_of_the_first_is_watched(watch: FolderWatch, inbox: Path, hints: Hints):
    inbox.rename(inbox.with_name("away"))
    make_inbox(inbox)
    hints.follow(watch.renew, "the new watch")
    hints.follow(lambda: drop_deeper(inbox), "the photo")


def test_root_that_was_away_for_a_while_is_watched_anew(inbox: Path, hints: Hints):
    """Polling ends when it misses the folder, and the one that comes back is the same."""
    with FolderWatch(inbox, hints, mode=Watch.POLLING, poll_seconds=POLL_SECONDS) as watch:
        hints.follow(lambda: inbox.rename(inbox.with_name("away")), "the loss")
        inbox.with_name("away").rename(inbox)
        wait_for_new_watch(watch)
        hints.follow(lambda: drop_deeper(inbox), "the photo")


def wait_for_new_watch(watch: FolderWatch) -> None:
    with capture_logs() as logs:
        eventually(lambda: watch.renew() or "folder_watched" in [line["event"] for line in logs], "the new watch")


def confuse_watchdog(inbox: Path, hints: Hints) -> Path:
    """Make it hold two watches for one path, and then move one of them; return the other's folder."""
    away = inbox.with_name("away")
    hints.follow(lambda: (inbox / "wave" / "deep").mkdir(parents=True), "the folders")
    hints.follow((inbox / "wave" / "deep" / "cat.jpg").touch, "the watch on the deeper one")
    hints.follow(lambda: (inbox / "wave" / "deep").rename(away), "the folder that is gone")
    hints.follow((inbox / "wave" / "deep").mkdir, "the new folder")
    hints.follow(lambda: (inbox / "wave").rename(inbox / "new wave"), "the move")
    return away


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_watch_whose_thread_has_died_is_renewed(inbox: Path, hints: Hints):
    with FolderWatch(inbox, hints) as watch:
        shutil.rmtree(confuse_watchdog(inbox, hints))
        wait_for_new_watch(watch)
        hints.follow(lambda: drop_deeper(inbox), "the photo")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_watch_that_has_died_is_begun_anew_before_it_counts_as_alive(inbox: Path, hints: Hints):
    with FolderWatch(inbox, hints) as watch:
        assert watch.is_alive()
        shutil.rmtree(confuse_watchdog(inbox, hints))
        with capture_logs() as logs:
            eventually(lambda: watch.is_alive() and logs, "the new watch")
        assert [line["event"] for line in logs] == ["folder_watched"]
        hints.follow(lambda: drop_deeper(inbox), "the photo")


def test_watch_that_there_cannot_be_counts_as_alive(tmp_path: Path, hints: Hints):
    with FolderWatch(tmp_path / "missing", hints) as watch:
        assert watch.is_alive()


def test_watch_that_cannot_be_ended_in_order_leaves_nothing_open(inbox: Path, hints: Hints):
    descriptors = os.listdir("/proc/self/fd")  # noqa: PTH208  names are what is compared
    with FolderWatch(inbox, hints) as watch:
        away = confuse_watchdog(inbox, hints)
        inbox.rename(inbox.with_name("old"))
        make_inbox(inbox)
        hints.follow(watch.renew, "the new watch")
        hints.follow(lambda: drop_deeper(inbox), "the photo")
        shutil.rmtree(away)
        confuse_watchdog(inbox, hints)
    assert os.listdir("/proc/self/fd") == descriptors  # noqa: PTH208


def test_where_a_link_leads_is_watched(tmp_path: Path, hints: Hints, mode: Watch):
    for name in ("first", "second"):
        make_inbox(tmp_path / name)
    link = tmp_path / "inbox"
    link.symlink_to("first")
    with FolderWatch(link, hints, mode=mode, poll_seconds=POLL_SECONDS) as watch:
        hints.follow(lambda: drop(link), "the photo")
        (tmp_path / "next").symlink_to("second")
        (tmp_path / "next").rename(link)
        hints.follow(watch.renew, "the new watch")
        hints.follow(lambda: drop_deeper(tmp_path / "second"), "the photo")


@pytest.mark.usefixtures("watch")
def test_links_in_the_inbox_are_not_followed(inbox: Path, hints: Hints):
    """Two links that lead back would else keep polling busy for ever."""
    for name in ("round", "and-round"):
        hints.follow(lambda name=name: (inbox / name).symlink_to("."), "the link")
    hints.follow(lambda: drop_deeper(inbox), "the photo")


def test_complaints_of_watchdog_are_for_developers(inbox: Path, hints: Hints, capsys: pytest.CaptureFixture[str]):
    """It has some whenever an event comes while it stops, and Python would print them."""
    complaint = logging.getLogger("watchdog.observers")
    with capture_logs() as logs, FolderWatch(inbox, hints):
        complaint.error("called when %s is inactive", "the thread")
    # It may have a complaint of its own by then.
    assert {"event": "watchdog_said", "log_level": "debug", "line": "called when the thread is inactive"} in logs
    assert {line["event"] for line in logs} == {"watchdog_said"}
    assert capsys.readouterr() == ("", "")
    assert not logging.getLogger("watchdog").handlers


def test_watches_follow_the_folders(tmp_path: Path, hints: Hints):
    """A change of mode gives exactly one hint."""
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        drop(folder)
    folders = {first}
    with FolderWatches(lambda: folders, hints) as watches:
        hints.follow(lambda: (first / "cat.jpg").chmod(0o600), "the first file")
        folders = {second}
        hints.follow(watches.renew, "the new watch")
        (first / "cat.jpg").chmod(0o640)
        hints.follow(lambda: (second / "cat.jpg").chmod(0o600), "the second file")
        assert hints.count == 1
        second.rename(tmp_path / "away")
        second.mkdir()
        hints.follow(watches.renew, "the renewed watch")
        hints.follow(lambda: drop(second), "a file in the new folder")
    assert not logging.getLogger("watchdog").handlers


# What follows needs another system than the one the tests run on: a child process has it to itself.


def can_have_namespaces() -> bool:
    unshare = shutil.which("unshare")
    return unshare is not None and subprocess.run([unshare, "-Urm", "true"], check=False).returncode == 0


needs_namespaces = pytest.mark.skipif(not can_have_namespaces(), reason="`unshare -Urm` is not allowed or missing")
CHILD = "import pathlib, sys, test_daemon_watch as tests; getattr(tests, sys.argv[1])(pathlib.Path(sys.argv[2]))"


def child(work: Callable[[Path], None], inbox: Path, *prefix: str) -> subprocess.Popen[str]:
    command = [*prefix, sys.executable, "-W", "error", "-c", CHILD, work.__name__, str(inbox)]
    here = Path(__file__).parent
    path = os.pathsep.join([str(here.parent), str(here)])
    environ = os.environ | {"PYTHONPATH": path}
    return subprocess.Popen(command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def in_namespace(work: Callable[[Path], None], inbox: Path) -> None:
    with child(work, inbox, "unshare", "-Urm") as process:
        assert process.wait() == 0


def told(logs: list) -> list:
    return [line for line in logs if line["event"] != "watchdog_said"]


def set_limit(name: str, limit: int) -> None:
    (LIMITS / name).write_text(str(limit))


def check_that_auto_polls(inbox: Path, reason: str) -> None:
    hints = Hints()
    with capture_logs() as logs, FolderWatch(inbox, hints, poll_seconds=POLL_SECONDS) as watch:
        for _ in range(3):
            watch.renew()
        hints.follow(lambda: drop_deeper(inbox), "the photo")
    line = {"event": "folder_polled", "log_level": "warning", "folder": str(inbox), "reason": reason}
    assert told(logs) == [line], logs


def auto_without_instances(inbox: Path) -> None:
    set_limit("max_inotify_instances", 0)
    check_that_auto_polls(inbox, "inotify instance limit reached")


def auto_without_watches(inbox: Path) -> None:
    set_limit("max_inotify_watches", 0)
    check_that_auto_polls(inbox, "inotify watch limit reached")


def auto_with_one_watch(inbox: Path) -> None:
    set_limit("max_inotify_watches", 1)
    check_that_auto_polls(inbox, INCOMPLETE)


def auto_with_too_few_watches_later(inbox: Path) -> None:
    set_limit("max_inotify_watches", 2)
    hints = Hints()
    with capture_logs() as logs, FolderWatch(inbox, hints, poll_seconds=POLL_SECONDS) as watch:
        watch.renew()
        assert not told(logs)
        hints.follow((inbox / "wave").mkdir, "the folder")
        hints.follow(watch.renew, "polling")
        assert [line["event"] for line in told(logs)] == ["folder_polled"]
        hints.follow((inbox / "wave" / "cat.jpg").touch, "the photo")


def inotify_without_watches(inbox: Path) -> None:
    set_limit("max_inotify_watches", 0)
    hints = Hints()
    threads, descriptors = threading.enumerate(), os.listdir("/proc/self/fd")  # noqa: PTH208  as above
    with capture_logs() as logs, FolderWatch(inbox, hints, mode=Watch.INOTIFY) as watch:
        for _ in range(3):
            watch.renew()
        assert [line["reason"] for line in told(logs)] == ["inotify watch limit reached"]
        assert (hints.count, threading.enumerate()) == (0, threads)
        assert os.listdir("/proc/self/fd") == descriptors  # noqa: PTH208
        set_limit("max_inotify_watches", 100)
        hints.follow(watch.renew, "the watch")
        hints.follow(lambda: drop_deeper(inbox), "the photo")
    assert [line["event"] for line in told(logs)] == ["folder_unwatched", "folder_watched"]


def inotify_with_one_watch(inbox: Path) -> None:
    set_limit("max_inotify_watches", 1)
    hints = Hints()
    with capture_logs() as logs, FolderWatch(inbox, hints, mode=Watch.INOTIFY) as watch:
        hints.clear()
        for _ in range(3):
            watch.renew()
        assert [line["reason"] for line in told(logs)] == [INCOMPLETE]
        assert hints.count == 0
        hints.follow(lambda: drop(inbox), "a photo where the one watch is")
        set_limit("max_inotify_watches", 100)
        hints.follow(watch.renew, "the whole watch")
        hints.follow(lambda: drop_deeper(inbox), "the photo")


def mounts(inbox: Path) -> None:
    """Every tmpfs gives its root the same inode, and often the same device as the one before."""
    hints = Hints()
    with FolderWatch(inbox, hints) as watch:
        for _ in range(3):
            hints.clear()
            subprocess.run(["mount", "-t", "tmpfs", "tmpfs", inbox], check=True)
            hints.follow(watch.renew, "the watch on what is mounted")
            hints.follow(lambda: drop(inbox), "a photo in there")
            subprocess.run(["umount", inbox], check=True)
            subprocess.run(["mount", "-t", "tmpfs", "tmpfs", inbox], check=True)
            hints.follow(watch.renew, "the watch on what is mounted instead")
            hints.follow(lambda: drop(inbox), "a photo in there")
            subprocess.run(["umount", inbox], check=True)
            hints.follow(watch.renew, "the watch on what was there before")
            hints.follow(lambda: grow(inbox), "a photo in there")


@needs_namespaces
@pytest.mark.parametrize("work", [auto_without_instances, auto_without_watches, auto_with_one_watch])
def test_auto_polls_where_the_system_refuses_inotify(inbox: Path, work: Callable[[Path], None]):
    in_namespace(work, inbox)


@needs_namespaces
def test_auto_polls_when_a_later_folder_is_refused(inbox: Path):
    in_namespace(auto_with_too_few_watches_later, inbox)


@needs_namespaces
@pytest.mark.parametrize("work", [inotify_without_watches, inotify_with_one_watch])
def test_inotify_that_is_refused_is_told_and_tried_again(inbox: Path, work: Callable[[Path], None]):
    in_namespace(work, inbox)


@needs_namespaces
def test_root_mounted_over_and_unmounted_is_watched_anew(inbox: Path):
    in_namespace(mounts, inbox)


def sleep_through_a_flood(inbox: Path) -> None:
    hints = Hints()
    with capture_logs() as logs, FolderWatch(inbox, hints) as watch:
        hints.clear()
        print("watching", flush=True)  # noqa: T201  for the parent, which stops this process now
        sys.stdin.readline()
        eventually(lambda: any("overflow" in line.get("line", "") for line in logs), "the overflow")
        eventually(lambda: hints.count, "a hint")
        watch.renew()
        hints.follow((inbox / "late" / "cat.jpg").touch, "a photo in a folder whose making went unseen")


@pytest.mark.skipif(MAX_QUEUED_EVENTS > 100_000, reason="the queue of inotify's events is too long to be filled here")
def test_more_changes_than_inotify_can_hold_harm_nothing(inbox: Path):
    with child(sleep_through_a_flood, inbox) as process:
        assert process.stdout.readline() == "watching\n"
        process.send_signal(signal.SIGSTOP)
        for number in range(MAX_QUEUED_EVENTS):
            (inbox / f"{number}.jpg").touch()
        (inbox / "late").mkdir()
        process.send_signal(signal.SIGCONT)
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.wait() == 0
