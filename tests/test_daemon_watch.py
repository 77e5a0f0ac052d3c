import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from daemon_world import eventually
from structlog.testing import capture_logs

from nstd.daemon.watch import watching
from nstd.spool.folders import Folders
from nstd.spool.inbox import scan


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    inbox = tmp_path / "inbox"
    (inbox / "swirls").mkdir(parents=True)
    (inbox / "swirls" / "old.jpg").write_bytes(b"old")
    (tmp_path / "state/queue/new").mkdir(parents=True)
    return inbox


@pytest.fixture
def hints(inbox: Path) -> Iterator[list[None]]:
    found: list[None] = []
    with watching(inbox, lambda: found.append(None)):
        yield found


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


@pytest.mark.parametrize("change", [drop, drop_deeper, move_in, link_in, grow, unveil, take_away])
def test_change_hints(inbox: Path, hints: list[None], change: Callable[[Path], None]):
    change(inbox)
    eventually(lambda: hints, "a hint")


def test_folder_made_later_is_watched_too(inbox: Path, hints: list[None]):
    (inbox / "wave").mkdir()
    eventually(lambda: hints, "a hint of the folder")
    hints.clear()
    (inbox / "wave" / "cat.jpg").write_bytes(b"cat")
    eventually(lambda: hints, "a hint of the photo")


def test_looking_and_reading_do_not_hint(inbox: Path, hints: list[None]):
    """Otherwise each look would cause the next. A change of mode gives exactly one hint, after those of the looks."""
    root = inbox.parent
    folders = Folders(inbox, root / "outbox", root / "originals", root / "failed", root / "state")
    photo = inbox / "swirls" / "old.jpg"
    for changes in range(1, 11):
        assert len(scan(folders, {"swirls"}, ()).drops) == 1
        photo.read_bytes()
        photo.chmod(0o600 + changes)
        eventually(lambda changes=changes: len(hints) >= changes, "a hint of the change")
    assert len(hints) == 10


def test_nothing_hints_once_the_watch_has_ended(inbox: Path):
    hints: list[None] = []
    with watching(inbox, lambda: hints.append(None)):
        pass
    drop(inbox)
    assert hints == []


def test_refused_watch_is_told_and_harms_nothing(tmp_path: Path):
    with capture_logs() as logs, watching(tmp_path / "missing", lambda: None):
        pass
    assert logs == [
        {
            "event": "inbox_unwatched",
            "log_level": "warning",
            "inbox": str(tmp_path / "missing"),
            "reason": "No such file or directory",
        }
    ]


def test_complaints_of_watchdog_are_for_developers(inbox: Path, capsys: pytest.CaptureFixture[str]):
    """It has some whenever an event comes while it stops, and Python would print them."""
    complaint = logging.getLogger("watchdog.observers")
    with capture_logs() as logs, watching(inbox, lambda: None):
        complaint.error("called when %s is inactive", "the thread")
    # It may have a complaint of its own by then.
    assert {"event": "watchdog_said", "log_level": "debug", "line": "called when the thread is inactive"} in logs
    assert {line["event"] for line in logs} == {"watchdog_said"}
    assert capsys.readouterr() == ("", "")
    assert not logging.getLogger("watchdog").handlers
