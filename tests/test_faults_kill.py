"""Killed at every system call that changes the disk, for one job from the inbox to the outbox or to `failed`.

The calls are found by tracing one life with strace; then, for each of them, another life is killed just before it, a
third one follows, and the promises are checked.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from daemon_world import COPYING_NSTD, World
from ledger import accounts_of
from sabotage import Call, calls_below, killing_at, needs_strace, tracing

pytestmark = needs_strace

PHOTO, TEXT = b"a photo", b"text and no photo"
LIVES_AT_ONCE = 2


def world_with(root: Path, photo: bytes) -> World:
    world = World(root)
    (world.inbox / "quick").mkdir(parents=True)
    (world.inbox / "quick" / "cat.jpg").write_bytes(photo)
    return world


def check_at_any_time(world: World, photo: bytes) -> None:
    """The photo is somewhere, and every picture has its log."""
    kept = [world.inbox, world.root / "state", world.originals, world.failed]
    assert any(path.read_bytes() == photo for place in kept for path in place.rglob("*") if path.is_file())
    pictures = [path for path in world.results("quick") if path.suffix == ".png"]
    assert all(path.with_suffix(".json").exists() for path in pictures)


def check_at_the_end(world: World, photo: bytes, place: str) -> None:
    """The photo came to its end in exactly one place, and is archived once."""
    accounts = accounts_of(world, "quick")
    assert accounts.places("cat.jpg", "quick") == [place]
    assert accounts.queue == []
    assert accounts.inbox == set()
    assert [path.read_bytes() for path in world.originals.rglob("*.*") if path.is_file()] == [photo]
    for picture in world.outbox.rglob("*.png"):
        assert picture.read_bytes() == b"painted " + photo


def outlive(root: Path, photo: bytes, place: str, call: Call) -> str:
    """Be killed at a call, live again, and return what is wrong then; nothing if all is well."""
    world = world_with(root, photo)
    try:
        status, _ = world.start("--once", nstd=(*killing_at(call), *COPYING_NSTD)).wait()
        assert status in {-9, int(place == "failed")}, "it is killed, or made the call another time"
        check_at_any_time(world, photo)
        status, message = world.start("--once", nstd=COPYING_NSTD).wait()
        assert message == ""
        check_at_the_end(world, photo, place)
    except AssertionError as error:
        return f"{call}: {error}"
    finally:
        world.close()
    return ""


def from_the_claim_on(calls: list[Call]) -> list[Call]:
    """Leave out what every job's life begins with."""
    return calls[next(index for index, call in enumerate(calls) if "/queue/cur/" in call.text) :]


@pytest.mark.parametrize(("photo", "place", "fewest"), [(PHOTO, "outbox", 60), (TEXT, "failed", 20)])
def test_daemon_killed_at_any_call_ends_each_drop_once(tmp_path: Path, photo: bytes, place: str, fewest: int):
    world = world_with(tmp_path / "traced", photo)
    daemon = world.start("--once", nstd=(*tracing(tmp_path / "calls"), *COPYING_NSTD))
    assert daemon.wait() == (int(place == "failed"), "")
    world.close()
    check_at_the_end(world, photo, place)
    calls = calls_below(world.root, tmp_path / "calls")
    if photo is TEXT:
        calls = from_the_claim_on(calls)
    assert len(calls) > fewest

    with ThreadPoolExecutor(LIVES_AT_ONCE) as lives:
        roots = (tmp_path / str(number) for number, _ in enumerate(calls))
        verdicts = list(lives.map(lambda root, call: outlive(root, photo, place, call), roots, calls))
    assert [verdict for verdict in verdicts if verdict] == []


def test_worker_killed_at_any_call_costs_attempts_and_no_photo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Each of its successors is killed, too, so the photo goes to `failed`, and comes back from there."""
    traced = world_with(tmp_path / "traced", PHOTO)
    monkeypatch.setenv("COPYING_WORKER_UNDER", " ".join(tracing(tmp_path / "calls")))
    assert traced.start("--once", nstd=COPYING_NSTD).wait() == (0, "")
    traced.close()
    calls = calls_below(traced.root, tmp_path / "calls")
    assert {call.name for call in calls} == {"write", "fsync", "rename"}
    for number, call in enumerate(calls):
        world = world_with(tmp_path / str(number), PHOTO)
        monkeypatch.setenv("COPYING_WORKER_UNDER", " ".join(killing_at(call)))
        assert world.start("--once", nstd=COPYING_NSTD).wait() == (1, "")
        check_at_the_end(world, PHOTO, "failed")
        assert world.reasons()["cat.jpg"]["message"] == "the worker was killed by SIGKILL (attempt 2 of 2)"
        monkeypatch.delenv("COPYING_WORKER_UNDER")
        assert world.nstd("retry", "--all").returncode == 0
        assert world.start("--once", nstd=COPYING_NSTD).wait() == (0, "")
        check_at_the_end(world, PHOTO, "outbox")
        world.close()
