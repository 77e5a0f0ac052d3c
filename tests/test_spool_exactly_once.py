"""The crown: whenever it is killed, and whatever call fails, each photo ends with exactly one result."""

import contextlib
import os
import random
import signal
import tempfile
import warnings
from collections.abc import Callable, Iterator
from hashlib import sha256
from itertools import count
from pathlib import Path

import pytest
from spool_world import NOT_AN_IMAGE, NOW, STAMP, AtCall, World, contents, no_space

from nstd.errors import ConfigError, SpoolError
from nstd.job import Failure, FailureKind, ResultLog
from nstd.spool.failed import failed_jobs, retry
from nstd.spool.recover import recover

PHOTO = b"a photo"


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def survives(life: Callable[[], object], kill_at: int) -> bool:
    """Run a life in a child process that is killed at its n-th call; tell whether it came to its end."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the child uses no other thread
        child = os.fork()
    if child == 0:
        code = 1
        try:
            with AtCall(kill_at, _die):
                life()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert status in {0, signal.SIGKILL}, "the child raised an error"
    return status == 0


class Case:
    """What is prepared, what is done over and over, and how it must end."""

    presets: tuple[str, ...] = ("swirls",)
    photo = PHOTO
    archived = "swirls/cat.jpg"
    fails = False

    def __init__(self, root: Path, elsewhere: Path | None) -> None:
        self.world = World(root, elsewhere=elsewhere)
        self.prepare()

    def prepare(self) -> None:
        self.world.drop("swirls/cat.jpg", self.photo)

    def live(self) -> None:
        self.world.live()

    def check_at_any_time(self) -> None:
        """The photo is somewhere, and each published picture has its log."""
        world = self.world
        places = (world.folders.inbox, world.folders.state, world.folders.originals, world.folders.failed)
        assert any(self.photo in contents(place).values() for place in places) or world.results()
        for name in world.results():
            assert name.endswith(".json") or name.replace(".png", ".json") in world.results()

    def check_at_the_end(self) -> None:
        world = self.world
        assert world.remains() == []
        assert contents(world.folders.inbox) == {}
        assert world.originals() == {self.archived: self.photo}
        assert contents(world.folders.failed) == {} or self.fails
        assert set(world.results()) == self.published()
        for name, data in world.results().items():
            if name.endswith(".png"):
                log = ResultLog.model_validate_json(world.results()[name.replace(".png", ".json")])
                assert (log.output.name, log.output.sha256) == (Path(name).name, sha256(data).hexdigest())

    def published(self) -> set[str]:
        stems = [f"{preset}/cat_{preset}_{STAMP}" for preset in self.presets]
        return {f"{stem}.{extension}" for stem in stems for extension in ("png", "json")}


class TwoPresets(Case):
    presets = ("swirls", "wave")
    archived = "cat.jpg"

    def prepare(self) -> None:
        self.world.default_presets = self.presets
        self.world.drop("cat.jpg", self.photo)


class Unkept(Case):
    def prepare(self) -> None:
        super().prepare()
        self.world = World(self.world.root, elsewhere=self.world.elsewhere, keep_originals=False)

    def check_at_the_end(self) -> None:
        assert self.world.originals() == {}
        (self.world.folders.originals / "swirls").mkdir()
        (self.world.folders.originals / self.archived).write_bytes(self.photo)
        super().check_at_the_end()


class BadPhoto(Case):
    photo = NOT_AN_IMAGE
    fails = True

    def published(self) -> set[str]:
        return set()

    def check_at_the_end(self) -> None:
        super().check_at_the_end()
        failed = [contents(folder.path) for folder in self.world.jobs("failed")]
        assert [found.pop("cat.jpg") for found in failed] == [self.photo] * len(self.presets)
        for found in failed:
            assert Failure.model_validate_json(found.pop("reason.json")).kind is FailureKind.INPUT
            assert found == {}


class TooBigForTwoPresets(BadPhoto, TwoPresets):
    photo = b"x" * 1000

    def prepare(self) -> None:
        self.world = World(self.world.root, elsewhere=self.world.elsewhere, max_bytes=999)
        TwoPresets.prepare(self)


class Retried(Case):
    photo = NOT_AN_IMAGE

    def prepare(self) -> None:
        super().prepare()
        self.world.live()
        self.world.lenient = True

    def live(self) -> None:
        recover(self.world.folders, keep_originals=True, now=NOW)
        for failed in failed_jobs(self.world.folders):
            retry(self.world.folders, failed.id)
        self.world.work()


CASES = (Case, TwoPresets, Unkept, BadPhoto, TooBigForTwoPresets, Retried)


@pytest.fixture
def memory() -> Iterator[Path]:
    """Return a folder in memory, for speed: here no power is cut, so nothing needs a real disk."""
    where = Path("/dev/shm")  # noqa: S108  # what every Linux machine mounts
    with tempfile.TemporaryDirectory(dir=where if where.is_dir() else None) as folder:
        yield Path(folder)


@pytest.fixture(params=["one file system", "two file systems"])
def fresh_case(request: pytest.FixtureRequest, memory: Path, tmp_path: Path) -> Callable[[type[Case]], Case]:
    """Return a function that sets a case up, with inbox and failed on a file system of their own or not."""
    numbers = count()
    two = request.param == "two file systems"
    if two and memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("needs /dev/shm, as another file system")

    def make(case: type[Case]) -> Case:
        number = str(next(numbers))
        for folder in (memory / number, tmp_path / number):
            folder.mkdir()
        return case(memory / number, tmp_path / number if two else None)

    return make


@pytest.mark.parametrize("kind", CASES)
def test_killed_before_any_call_each_photo_has_one_result(kind: type[Case], fresh_case: Callable[[type[Case]], Case]):
    for kill_at in count(1):
        case = fresh_case(kind)
        survived = survives(case.live, kill_at)
        case.check_at_any_time()
        case.live()
        case.check_at_the_end()
        if survived:
            break
    assert kill_at > 20


@pytest.mark.parametrize("kind", CASES)
@pytest.mark.parametrize("seed", range(3))
def test_killed_again_and_again_each_photo_has_one_result(
    kind: type[Case], seed: int, fresh_case: Callable[[type[Case]], Case]
):
    dice = random.Random(seed)  # noqa: S311  # no secret
    case = fresh_case(kind)
    while not survives(case.live, dice.randint(1, 60)):
        case.check_at_any_time()
    case.live()
    case.check_at_the_end()


@pytest.mark.parametrize("kind", CASES)
def test_whatever_call_fails_the_same_process_ends_with_one_result(
    kind: type[Case], fresh_case: Callable[[type[Case]], Case]
):
    for fail_at in count(1):
        case = fresh_case(kind)
        with AtCall(fail_at, no_space) as calls, contextlib.suppress(SpoolError, ConfigError):
            case.live()
        case.check_at_any_time()
        for _ in range(2):
            case.world.work()
        assert contents(case.world.folders.inbox) == {}
        case.live()
        case.check_at_the_end()
        if calls.left > 0:
            break
    assert fail_at > 20
