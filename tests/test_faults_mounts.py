"""The five roots on five file systems, which run full, turn read-only, or go away while the daemon runs."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from daemon_world import COPYING_NSTD, RunningDaemon, eventually
from ledger import Accounts, accounts_of, wait_for_the_end_of
from mounted_world import ROOTS, MountedWorld, needs_mounts

pytestmark = needs_mounts

PHOTO, TEXT = b"a photo", b"text and no photo"
NO_SPACE = "No space left on device"
READ_ONLY = "Read-only file system"
NO_MOUNT = "nothing is mounted at"


@pytest.fixture
def make_world(tmp_path: Path) -> Iterator[Callable[..., MountedWorld]]:
    worlds = []

    def make(**settings: str) -> MountedWorld:
        worlds.append(MountedWorld(tmp_path / "world", **settings))
        return worlds[-1]

    yield make
    for world in worlds:
        world.close()


@pytest.fixture
def world(make_world: Callable[..., MountedWorld]) -> MountedWorld:
    return make_world()


def started(world: MountedWorld) -> RunningDaemon:
    daemon = world.start("--verbose", nstd=COPYING_NSTD)
    daemon.wait_for("daemon_started")
    return daemon


def drop(world: MountedWorld, photo: bytes, *names: str) -> None:
    """Put photos into the share, as another machine does, wherever it is mounted here."""
    place = world.share("inbox") / "quick"
    for name in names:
        (place / f".{name}").write_bytes(photo)
        (place / f".{name}").rename(place / name)


def wait_until_told(world: MountedWorld, reason: str) -> None:
    eventually(lambda: world.is_told(reason), f"{reason!r} in the status")


def check_at_the_end(world: MountedWorld, places: dict[str, str], *, kept: bool = True) -> Accounts:
    """Each photo is in exactly one place, and archived once; nothing was written where nothing is mounted."""
    accounts = accounts_of(world, "quick")
    assert {name: accounts.places(name, "quick") for name in places} == {
        name: [place] for name, place in places.items()
    }
    assert (accounts.inbox, accounts.queue) == (set(), [])
    assert sorted(path.name for path in world.originals.glob("quick/*")) == sorted(places) * kept
    assert [world.bare(root) for root in ROOTS] == [[]] * len(ROOTS)
    return accounts


def check_painted_once(daemon: RunningDaemon, jobs: int) -> None:
    assert len(daemon.logged("job_started")) == jobs


@pytest.mark.parametrize("keep", ["true", "false"])
def test_photos_travel_over_five_file_systems(make_world: Callable[..., MountedWorld], keep: str):
    world = make_world(spool=f"keep_originals: {keep}")
    daemon = started(world)
    assert len({root.stat().st_dev for root in (world.inbox, world.outbox, world.originals, world.failed)}) == 4
    drop(world, PHOTO, "cat.jpg")
    drop(world, TEXT, "text.jpg")
    wait_for_the_end_of(2, daemon)
    check_at_the_end(world, {"cat.jpg": "outbox", "text.jpg": "failed"}, kept=keep == "true")
    [picture] = world.outbox.rglob("*.png")
    assert picture.read_bytes() == b"painted " + PHOTO
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == (0, "")


def test_daemon_killed_among_five_file_systems_loses_nothing(world: MountedWorld):
    daemon = started(world)
    names = [f"{number}.jpg" for number in range(12)]
    drop(world, PHOTO, *names)
    daemon.wait_for("job_finished", 3)
    daemon.end()
    daemon = started(world)
    eventually(
        lambda: not (held := world.status()).jobs.arriving + held.jobs.waiting + held.jobs.running + held.inbox.drops,
        "the end",
    )
    check_at_the_end(world, dict.fromkeys(names, "outbox"))


def test_full_outbox_delays_publication_and_nothing_else(world: MountedWorld):
    daemon = started(world)
    world.fill("outbox")
    drop(world, PHOTO, "cat.jpg", "dog.jpg")
    drop(world, TEXT, "text.jpg")
    daemon.wait_for("job_failed")
    wait_until_told(world, NO_SPACE)
    eventually(lambda: len(world.status().daemon.deferred) == 2, "both in the status")
    world.free("outbox")
    wait_for_the_end_of(3, daemon)
    check_at_the_end(world, {"cat.jpg": "outbox", "dog.jpg": "outbox", "text.jpg": "failed"})
    check_painted_once(daemon, 3)


def test_full_failed_folder_delays_the_bad_and_not_the_good(world: MountedWorld):
    daemon = started(world)
    world.fill("failed")
    drop(world, TEXT, "text.jpg")
    wait_until_told(world, NO_SPACE)
    drop(world, PHOTO, "cat.jpg")
    daemon.wait_for("job_finished")
    world.free("failed")
    daemon.wait_for("job_failed")
    check_at_the_end(world, {"cat.jpg": "outbox", "text.jpg": "failed"})
    check_painted_once(daemon, 2)


def test_full_originals_keep_photos_waiting_until_they_are_archived(world: MountedWorld):
    daemon = started(world)
    world.fill("originals")
    drop(world, PHOTO, "cat.jpg", "dog.jpg")
    wait_until_told(world, NO_SPACE)
    check_painted_once(daemon, 0)
    world.free("originals")
    daemon.wait_for("job_finished", 2)
    check_at_the_end(world, {"cat.jpg": "outbox", "dog.jpg": "outbox"})
    check_painted_once(daemon, 2)


def test_full_originals_do_not_matter_where_they_are_not_kept(make_world: Callable[..., MountedWorld]):
    world = make_world(spool="keep_originals: false")
    daemon = started(world)
    world.fill("originals")
    drop(world, PHOTO, "cat.jpg")
    daemon.wait_for("job_finished")
    world.free("originals")
    check_at_the_end(world, {"cat.jpg": "outbox"}, kept=False)


def test_full_inbox_is_emptied(world: MountedWorld):
    daemon = started(world)
    drop(world, PHOTO, "cat.jpg")
    world.fill("inbox")
    daemon.wait_for("job_finished")
    world.free("inbox")
    check_at_the_end(world, {"cat.jpg": "outbox"})


def test_full_state_folder_keeps_photos_in_the_inbox(world: MountedWorld):
    """The status has room nevertheless: it is what somebody looks at first."""
    daemon = started(world)
    world.fill("state")
    drop(world, PHOTO, "cat.jpg", "dog.jpg")
    wait_until_told(world, NO_SPACE)
    assert world.status().inbox.first == ("quick/cat.jpg", "quick/dog.jpg")
    world.free("state")
    daemon.wait_for("job_finished", 2)
    check_at_the_end(world, {"cat.jpg": "outbox", "dog.jpg": "outbox"})
    check_painted_once(daemon, 2)


def test_state_folder_that_runs_full_while_a_picture_is_painted_delays_it(world: MountedWorld, tmp_path: Path):
    daemon = started(world)
    drop(world, b"until " + bytes(tmp_path / "go"), "cat.jpg")
    daemon.wait_for("job_started")
    world.fill("state")
    (tmp_path / "go").touch()
    wait_until_told(world, NO_SPACE)
    world.free("state")
    daemon.wait_for("job_finished")
    accounts = check_at_the_end(world, {"cat.jpg": "outbox"})
    assert '"attempts": 1' in accounts.painted["cat.jpg"][0].read_text()


@pytest.mark.parametrize("root", ["outbox", "originals", "failed", "state"])
def test_file_system_without_room_for_another_file_is_waited_for(make_world: Callable[..., MountedWorld], root: str):
    """There is room, but no inode."""
    world = make_world(options="size=1m,nr_inodes=64")
    daemon = started(world)
    world.fill_with_files(root)
    drop(world, PHOTO, "cat.jpg")
    drop(world, TEXT, "text.jpg")
    wait_until_told(world, NO_SPACE)
    world.free(root)
    wait_for_the_end_of(2, daemon)
    check_at_the_end(world, {"cat.jpg": "outbox", "text.jpg": "failed"})
    check_painted_once(daemon, 2)


def test_read_only_outbox_delays_publication_and_nothing_else(world: MountedWorld):
    daemon = started(world)
    world.make_read_only("outbox")
    drop(world, PHOTO, "cat.jpg")
    drop(world, TEXT, "text.jpg")
    daemon.wait_for("job_failed")
    wait_until_told(world, READ_ONLY)
    world.make_writable("outbox")
    daemon.wait_for("job_finished")
    check_at_the_end(world, {"cat.jpg": "outbox", "text.jpg": "failed"})
    check_painted_once(daemon, 2)


def test_read_only_inbox_keeps_its_photos_and_they_are_listed(world: MountedWorld):
    daemon = started(world)
    world.make_read_only("inbox")
    drop(world, PHOTO, "cat.jpg")
    drop(world, TEXT, "text.jpg")
    daemon.wait_for("drop_blocked", 2)
    wait_until_told(world, "its folder is not writable")
    assert world.status().inbox.first == ("quick/cat.jpg", "quick/text.jpg")
    world.make_writable("inbox")
    wait_for_the_end_of(2, daemon)
    check_at_the_end(world, {"cat.jpg": "outbox", "text.jpg": "failed"})
    eventually(lambda: world.status().daemon.ignored == (), "the end of the notices")


@pytest.mark.parametrize("root", ["originals", "failed", "state"])
def test_read_only_root_is_waited_for(world: MountedWorld, root: str):
    daemon = started(world)
    world.make_read_only(root)
    drop(world, PHOTO, "cat.jpg")
    drop(world, TEXT, "text.jpg")
    daemon.wait_for("trouble")
    world.make_writable(root)
    wait_for_the_end_of(2, daemon)
    check_at_the_end(world, {"cat.jpg": "outbox", "text.jpg": "failed"})
    check_painted_once(daemon, 2)


# What goes on while a share is away: how often this is logged.
GOES_ON = {
    "inbox": ("job_finished", 2),
    "outbox": ("job_failed", 1),
    "originals": ("job_finished", 2),
    "failed": ("job_finished", 3),
    "state": ("worker_started", 1),
}


@pytest.mark.parametrize("root", ROOTS)
def test_unmounted_share_is_waited_for(world: MountedWorld, root: str, tmp_path: Path):
    """One picture is being painted when it goes, one waits, and two come while it is away."""
    daemon = started(world)
    drop(world, b"until " + bytes(tmp_path / "go"), "held.jpg")
    daemon.wait_for("job_started")
    drop(world, PHOTO, "cat.jpg")
    daemon.wait_for("job_queued", 2)
    world.unmount(root)
    (tmp_path / "go").touch()
    drop(world, PHOTO, "dog.jpg")
    drop(world, TEXT, "text.jpg")
    eventually(lambda: any(NO_MOUNT in one["reason"] for one in daemon.logged("trouble")), "the trouble")
    daemon.wait_for(*GOES_ON[root])
    if root == "state":  # which has no status to read, and whose worker has had its picture's folder taken away
        eventually(lambda: any(one["subject"] == "painting" for one in daemon.logged("trouble")), "its report")
    else:
        wait_until_told(world, NO_MOUNT)
    assert world.bare(root) == []

    world.mount(root)
    wait_for_the_end_of(4, daemon)
    check_at_the_end(world, dict.fromkeys(("held.jpg", "cat.jpg", "dog.jpg"), "outbox") | {"text.jpg": "failed"})
    check_painted_once(daemon, 5 if root == "state" else 4)
    eventually(lambda: not world.is_told(NO_MOUNT), "the end of the trouble in the status")
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == (0, "")


@pytest.mark.parametrize("root", ROOTS)
def test_daemon_that_ends_while_a_share_is_away_leaves_nothing_behind(world: MountedWorld, root: str, tmp_path: Path):
    daemon = started(world)
    drop(world, b"until " + bytes(tmp_path / "go"), "held.jpg")
    daemon.wait_for("job_started")
    world.unmount(root)
    eventually(lambda: any(NO_MOUNT in one["reason"] for one in daemon.logged("trouble")), "the trouble")
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == (0, "")
    assert world.bare(root) == []

    world.mount(root)
    (tmp_path / "go").touch()
    started(world).wait_for("job_finished")
    check_at_the_end(world, {"held.jpg": "outbox"})
