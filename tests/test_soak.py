"""The soak's ledger, which must find whatever is missing, double or half."""

import importlib
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from daemon_world import COPYING_NSTD, DEADLINE_SECONDS

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"


@pytest.fixture
def soaking(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    monkeypatch.syspath_prepend(BENCHMARKS)
    parts = ("ledger", "places", "spool")
    return SimpleNamespace(**{part: importlib.import_module(f"soaking.{part}") for part in parts})


class Soaked:
    """A spool after its daemon has done all it could, and the ledger of what was dropped."""

    def __init__(self, soaking: SimpleNamespace, root: Path) -> None:
        self._parts = soaking
        self.spool = soaking.spool.Spool(root, random.Random(1), may_mount=False)  # noqa: S311
        self.ledger = soaking.ledger.Ledger()
        self.drop("JPEG", "quick", "cat.jpg", b"fine cat")
        self.drop("PNG", "guest", "cat.png", b"fine cat")
        self.drop("for two presets", "", "dog.jpg", b"fine dog")
        self.drop("text as .jpg", "quick", "text.jpg", b"text")
        (self.spool.inbox / "quick" / "link.jpg").symlink_to("nowhere")
        self.ledger.enter_object(soaking.ledger.Entry("link", "quick", "link.jpg"))
        self.run()

    def drop(self, kind: str, place: str, name: str, photo: bytes, *, entered: bool = True) -> None:
        path = self.spool.inbox / place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photo)
        if entered:
            self.ledger.enter(self._parts.ledger.Entry(kind, place, name), photo)

    def run(self) -> None:
        command = (*COPYING_NSTD, "run", "-c", str(self.spool.config), "--once")
        subprocess.run(command, check=False, capture_output=True, timeout=DEADLINE_SECONDS)

    def balance(self) -> list[str]:
        return self.ledger.balance(self._parts.places.Places(self.spool, self.spool.status()))

    def result(self, preset: str, suffix: str) -> Path:
        return next((self.spool.outbox / preset).glob(f"*{suffix}"))

    def failed(self) -> Path:
        return next(self.spool.failed.glob("*/reason.json")).parent


@pytest.fixture
def soaked(soaking: SimpleNamespace, tmp_path: Path) -> Soaked:
    return Soaked(soaking, tmp_path)


def test_ledger_of_a_healthy_spool_balances(soaked: Soaked):
    assert soaked.balance() == []
    outcomes = soaked.ledger.outcomes()
    assert outcomes["for two presets"] == {"published": 2}
    assert outcomes["text as .jpg"] == {"failed": 1}


def lose_a_result(soaked: Soaked) -> None:
    soaked.result("guest", ".json").unlink()
    soaked.result("guest", ".png").unlink()


def fail_a_job_twice(soaked: Soaked) -> None:
    shutil.copytree(soaked.failed(), soaked.spool.failed / "again")


def drop_unseen(soaked: Soaked) -> None:
    soaked.drop("", "quick", "secret.jpg", b"fine secret", entered=False)
    soaked.run()


def paint_rubbish(soaked: Soaked) -> None:
    soaked.drop("cut off", "quick", "rubbish.jpg", b"fine after all")
    soaked.run()


def fail_a_good_photo(soaked: Soaked) -> None:
    soaked.drop("JPEG", "quick", "good.jpg", b"text that is said to be good")
    soaked.run()


def drop_hidden(soaked: Soaked) -> None:
    soaked.drop("JPEG", "guest", ".hidden.jpg", b"fine, but hidden")


@pytest.mark.parametrize(
    ("harm", "problem"),
    [
        (lose_a_result, "guest/'cat.png' (PNG) as guest, SHA-256 ……: dropped 1 times, found 0 times: nowhere"),
        (fail_a_job_twice, "quick/'text.jpg' (text as .jpg) as quick, SHA-256 ……: dropped 1 times, put back 0 times"),
        (drop_unseen, "nobody dropped this as quick, SHA-256"),
        (paint_rubbish, "is no photo, but was painted"),
        (fail_a_good_photo, "failed for a reason that is not its own"),
        (drop_hidden, ".hidden.jpg: lies in the inbox, but `nstd status` does not tell"),
        (lambda soaked: soaked.result("quick", ".png").unlink(), "the picture beside it is missing or another one"),
        (lambda soaked: soaked.result("quick", ".png").write_bytes(b"half"), "is missing or another one"),
        (lambda soaked: soaked.result("fine", ".json").unlink(), "has no log"),
        (lambda soaked: soaked.result("fine", ".json").write_text("{"), "cannot be read"),
        (lambda soaked: (soaked.failed() / "text.jpg").write_bytes(b"half"), "the photo is missing or another one"),
        (lambda soaked: (soaked.failed() / "reason.json").unlink(), "has no reason, or lost its job"),
        (lambda soaked: (soaked.spool.originals / "dog.jpg").unlink(), "is not among the originals"),
        (lambda soaked: (soaked.spool.inbox / "quick" / "link.jpg").unlink(), "is not in the inbox any more"),
        (lambda soaked: (soaked.spool.outbox / ".staging" / "x.png").touch(), "x.png: is half of something"),
    ],
)
def test_ledger_finds_the_harm(soaked: Soaked, harm: Callable[[Soaked], object], problem: str):
    harm(soaked)
    begin, _, end = problem.partition("……")
    problems = soaked.balance()
    assert any(begin in line and end in line for line in problems), problems
