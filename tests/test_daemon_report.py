from pathlib import Path

import pytest

from nstd.daemon.report import Reporter, sentence
from nstd.daemon.status import CurrentJob, DaemonStatus, Delay, Notice, Outcome, State, WorkerState, WorkerStatus
from nstd.errors import SpoolError
from nstd.spool.folders import Folders
from nstd.spool.mounts import Mounts
from nstd.spool.queue import Counts

IDLE = DaemonStatus(state=State.IDLE, started_at="2026-11-23T04:15:00Z")
DELAY = Delay(subject="1", about="", reason="full", since="2026-11-23T04:15:00Z", tries=1, next_try_at="")
JOB = CurrentJob(id="1", photo="cat.jpg", preset="swirls")
OTHER_JOB = CurrentJob(id="2", photo="dog.jpg", preset="dots")
THIRD_JOB = CurrentJob(id="3", photo="owl.jpg", preset="dots")
WORKER = WorkerStatus(name="gpu:0", place="gpu:0", state=WorkerState.LOADING)
OUTCOME = Outcome(job="1", photo="cat.jpg", preset="swirls", ended_at="2026-11-23T04:16:00Z", picture="cat.png")


class Desk:
    """A reporter, what it was told to tell, and the clock it goes by."""

    def __init__(self, root: Path) -> None:
        self.state = root / "state"
        self.state.mkdir()
        self.now = 1000.0
        self.told: list[DaemonStatus] = []
        folders = Folders(root / "inbox", root / "outbox", root / "originals", root / "failed", self.state)
        self._reporter = Reporter(folders, Mounts(folders.roots), self.told.append, lambda: self.now)

    def report(self, status: DaemonStatus, at: float = 0) -> None:
        self.now = 1000 + at
        self._reporter.report(status)

    def file(self) -> DaemonStatus:
        return DaemonStatus.model_validate_json((self.state / "status.json").read_bytes())


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def painting(**progress: object) -> DaemonStatus:
    return IDLE.model_copy(update={"state": State.PAINTING, "jobs": (JOB.model_copy(update=progress),)})


def test_first_status_is_told_to_the_file_and_the_watcher(desk):
    desk.report(IDLE)
    assert desk.told == [IDLE]
    assert desk.file() == IDLE
    assert [path.name for path in desk.state.iterdir()] == ["status.json"]


def test_no_news_is_not_told_however_late(desk):
    desk.report(IDLE)
    (desk.state / "status.json").unlink()
    desk.report(IDLE, at=1000)
    assert desk.told == [IDLE]
    assert not (desk.state / "status.json").exists()


def test_progress_is_told_once_a_second(desk):
    for tenth in range(31):
        desk.report(painting(step=tenth, steps=40), at=tenth / 10)
    assert [job.step for status in desk.told for job in status.jobs] == [0, 10, 20, 30]
    assert [job.step for job in desk.file().jobs] == [30]


@pytest.mark.parametrize(
    "news",
    [
        {"state": State.STOPPING},
        {"config_error": "config.yaml:1:1: nonsense"},
        {"deferred": (DELAY,)},
        {"troubles": (DELAY,)},
        {"ignored": (Notice(path="x", reason="is a folder"),)},
        {"results": (OUTCOME,)},
        {"jobs": ()},
        {"jobs": (JOB.model_copy(update={"id": "2"}),)},
        {"jobs": (JOB.model_copy(update={"step": 1}), OTHER_JOB)},
        {"workers": (WORKER,)},
    ],
)
def test_whatever_else_changes_is_told_at_once(desk, news):
    desk.report(painting(step=1))
    changed = painting(step=1).model_copy(update=news)
    desk.report(changed, at=0.001)
    assert desk.told[1:] == [changed]
    assert desk.file() == changed


def test_file_that_cannot_be_written_is_the_machines_trouble(desk):
    desk.state.rmdir()
    with pytest.raises(SpoolError, match=r"^cannot write the status: .*No such file or directory$"):
        desk.report(IDLE)


NO_JOBS = {"waiting": 0, "held": 0, "arriving": 0, "running": 0, "failed": 0}


@pytest.mark.parametrize(
    ("status", "counts", "said"),
    [
        (IDLE, {}, "idle"),
        (IDLE, {"held": 2, "failed": 7}, "idle, 2 held"),
        (painting(progress=0.419), {"waiting": 3, "running": 1}, "painting cat.jpg as swirls, 41 %, 3 waiting"),
        (
            IDLE.model_copy(update={"state": State.PAINTING, "jobs": (JOB, OTHER_JOB, THIRD_JOB)}),
            {"waiting": 3, "running": 3},
            "painting cat.jpg as swirls, 0 %, and 2 more, 3 waiting",
        ),
        (
            painting().model_copy(update={"state": State.STOPPING}),
            {"running": 1},
            "stopping cat.jpg as swirls, 0 %",
        ),
        (
            IDLE.model_copy(
                update={"config_error": "config.yaml:1:1: wrong\nconfig.yaml:2:1: too", "troubles": (DELAY,)}
            ),
            {},
            "idle; config refused: config.yaml:1:1: wrong (and 1 more); 1: full",
        ),
    ],
)
def test_sentence_says_what_is_done_what_waits_and_what_is_wrong(status, counts, said):
    assert sentence(status, Counts(**NO_JOBS | counts)) == said
