import contextlib
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from spool_world import AtCall, World, contents, no_space, paint
from structlog.testing import capture_logs

from nstd.daemon.metrics import Metrics
from nstd.daemon.outcomes import Outcomes
from nstd.daemon.status import Outcome
from nstd.daemon.trouble import Delays
from nstd.job import FailureKind, Job, Painting
from nstd.spool.failed import retry
from nstd.spool.jobs import ClaimedJob
from nstd.spool.mounts import Mounts
from nstd.spool.recover import Repair, Repaired

NOW = datetime(2026, 11, 23, 4, 20, tzinfo=UTC)
MAX_ATTEMPTS = 3
WORKER_LOG = ("Loading the network", "Fatal Python error: Aborted")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


class Clock:
    seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def delays(clock: Clock) -> Delays:
    return Delays(clock, lambda: NOW, dice=lambda: 0.5)


@pytest.fixture
def outcomes(world: World, delays: Delays) -> Outcomes:
    mounts = Mounts(world.folders.roots)
    return Outcomes(world.folders, mounts, delays, Metrics(), max_attempts=MAX_ATTEMPTS, now=lambda: NOW)


def painting_of(claimed: ClaimedJob, **other: object) -> Painting:
    """What the worker says of the picture that it has written: nothing of the queue."""
    known = {name: value for name, value in paint(claimed) if name in Painting.model_fields}
    return Painting.model_validate(known | other)


def waiting(world: World) -> Job:
    [folder] = world.jobs("new")
    return folder.read()


def reason(world: World, claimed: ClaimedJob) -> dict[str, Any]:
    return json.loads((world.folders.failed / claimed.job.id / "reason.json").read_text())


def last_attempt(world: World, outcomes: Outcomes) -> ClaimedJob:
    claimed = world.claimed()
    for _ in range(MAX_ATTEMPTS - 1):
        outcomes.attempt_failed(claimed, "the worker fell over")
        claimed = world.claim()
    assert claimed.job.attempts == MAX_ATTEMPTS
    return claimed


def test_finished_picture_is_published_with_what_the_queue_knows(world, outcomes):
    claimed = world.claimed()
    created = datetime.fromisoformat(claimed.job.created_at)
    painting = painting_of(claimed, started_at=(created + timedelta(seconds=90)).isoformat())
    with capture_logs() as logs:
        outcomes.finished(claimed, painting, ())
    name = "swirls/cat_swirls_20261123T041500Z"
    log = json.loads(world.results()[f"{name}.json"])
    assert world.results()[f"{name}.png"] == b"painted: swirlsa photo"
    assert (log["job"], log["preset_name"], log["attempts"]) == (claimed.job.id, "swirls", 1)
    assert (log["created_at"], log["seconds"]["queued"]) == (claimed.job.created_at, 90)
    picture = str(world.folders.outbox / f"{name}.png")
    who = {"job": claimed.job.id, "photo": "cat.jpg", "preset": "swirls"}
    assert list(outcomes.results) == [Outcome(**who, ended_at="2026-11-23T04:20:00.000000Z", picture=picture)]
    assert logs == [
        {"event": "job_finished", "log_level": "info", **who, "picture": picture, "loss": 1.0, "seconds": 0.0}
    ]
    assert (outcomes.failed, world.remains()) == (0, [])


def test_picture_whose_name_is_not_text_is_told_as_text(world, outcomes):
    claimed = world.claimed(os.fsdecode(b"swirls/caf\xe9\x1b[31m.jpg"))
    outcomes.finished(claimed, painting_of(claimed), ())
    [result] = outcomes.results
    assert result.picture == f"{world.folders.outbox}/swirls/caf\\xe9\\x1b[31m_swirls_20261123T041500Z.png"
    assert json.loads(result.model_dump_json())["photo"] == "caf\\xe9\\x1b[31m.jpg"


def test_clock_that_was_set_back_gives_no_negative_time_in_the_queue(world, outcomes):
    claimed = world.claimed()
    outcomes.finished(claimed, painting_of(claimed, started_at="2026-11-23T03:00:00Z"), ())
    [log] = (json.loads(data) for path, data in world.results().items() if path.endswith(".json"))
    assert log["seconds"]["queued"] == 0


def test_failed_attempts_count_until_the_last_gives_the_job_up(world, outcomes):
    claimed = world.claimed()
    for attempt in range(1, MAX_ATTEMPTS):
        with capture_logs() as logs:
            outcomes.attempt_failed(claimed, "the worker was killed by SIGKILL", worker_log=WORKER_LOG)
        told = [(one["event"], one["attempt"], one["of"], one["reason"]) for one in logs]
        assert told == [("job_requeued", attempt, MAX_ATTEMPTS, "the worker was killed by SIGKILL")]
        assert waiting(world).attempts == attempt
        assert (outcomes.failed, list(outcomes.results)) == (0, [])
        claimed = world.claim()
    with capture_logs() as logs:
        outcomes.attempt_failed(claimed, "the worker was killed by SIGKILL", worker_log=WORKER_LOG)
    message = "the worker was killed by SIGKILL (attempt 3 of 3)"
    told = [(one["event"], one["log_level"], one["kind"], one["reason"]) for one in logs]
    assert told == [("job_failed", "error", "attempts", message)]
    given = reason(world, claimed)
    assert (given["kind"], given["message"], given["traceback"]) == ("attempts", message, "")
    assert given["worker_log"] == list(WORKER_LOG)
    assert (given["failed_at"], given["photo"]) == ("2026-11-23T04:20:00.000000Z", "cat.jpg")
    assert contents(world.folders.failed)[f"{claimed.job.id}/cat.jpg"] == b"a photo"
    assert [(one.job, one.picture, one.reason) for one in outcomes.results] == [(claimed.job.id, None, message)]
    assert (outcomes.failed, world.remains()) == (1, [])


def test_last_attempt_that_raised_fails_with_its_traceback(world, outcomes):
    claimed = last_attempt(world, outcomes)
    outcomes.attempt_failed(claimed, "the loss is not finite", traceback="Traceback: ...", worker_log=WORKER_LOG)
    given = reason(world, claimed)
    assert (given["kind"], given["message"]) == ("engine", "the loss is not finite (attempt 3 of 3)")
    assert (given["traceback"], given["worker_log"]) == ("Traceback: ...", list(WORKER_LOG))


def test_photo_that_can_never_be_painted_fails_at_its_first_attempt(world, outcomes):
    claimed = world.claimed()
    outcomes.refused(claimed, FailureKind.INPUT, "cat.jpg: is empty (0 bytes)")
    given = reason(world, claimed)
    assert (given["kind"], given["message"]) == ("input", "cat.jpg: is empty (0 bytes)")
    assert [one.reason for one in outcomes.results] == ["cat.jpg: is empty (0 bytes)"]
    assert (outcomes.failed, world.remains()) == (1, [])


def test_interrupted_job_gets_its_attempt_back(world, outcomes):
    outcomes.attempt_failed(world.claimed(), "the worker fell over")
    claimed = world.claim()
    assert claimed.job.attempts == 2
    with capture_logs() as logs:
        outcomes.interrupted(claimed)
    assert [one["event"] for one in logs] == ["job_given_back"]
    assert waiting(world).attempts == 1
    assert (outcomes.failed, list(outcomes.results), world.jobs("cur")) == (0, [], [])


def spoil(picture: Path) -> None:
    picture.write_bytes(b"something else")


@pytest.mark.parametrize(
    ("harm", "said"),
    [(spoil, "is not the picture that its log describes: got 14 bytes"), (Path.unlink, "picture is missing")],
)
def test_picture_that_is_not_what_the_worker_says_is_a_failed_attempt(world, outcomes, harm, said):
    claimed = world.claimed()
    painting = painting_of(claimed)
    harm(claimed.picture)
    with capture_logs() as logs:
        outcomes.finished(claimed, painting, WORKER_LOG)
    [told] = logs
    assert (told["event"], told["attempt"]) == ("job_requeued", 1)
    assert said in told["reason"]
    assert waiting(world).attempts == 1
    assert (world.results(), list(outcomes.results)) == ({}, [])


def test_wrong_picture_at_the_last_attempt_fails_the_job_with_the_workers_log(world, outcomes):
    claimed = last_attempt(world, outcomes)
    painting = painting_of(claimed)
    spoil(claimed.picture)
    outcomes.finished(claimed, painting, WORKER_LOG)
    given = reason(world, claimed)
    assert given["message"].startswith(f"{claimed.picture}: is not the picture that its log describes: ")
    assert (given["kind"], given["worker_log"]) == ("attempts", list(WORKER_LOG))
    assert (world.results(), world.remains()) == ({}, [])


def test_last_ten_results_are_remembered_latest_first(world, outcomes):
    for number in range(12):
        claimed = world.claimed(f"swirls/{number}.jpg")
        if number % 2:
            outcomes.refused(claimed, FailureKind.INPUT, "is no picture")
        else:
            outcomes.finished(claimed, painting_of(claimed), ())
    assert [one.photo for one in outcomes.results] == [f"{number}.jpg" for number in range(11, 1, -1)]
    assert [one.picture is None for one in outcomes.results] == [True, False] * 5
    assert outcomes.failed == 6


def spoil_outbox(world: World) -> None:
    (world.folders.outbox / "swirls").rmdir()
    (world.folders.outbox / "swirls").touch()


def mend_outbox(world: World) -> None:
    (world.folders.outbox / "swirls").unlink()


def test_machines_trouble_is_no_failed_attempt_and_is_tried_again(world, outcomes, delays, clock):
    claimed = world.claimed()
    painting = painting_of(claimed)
    spoil_outbox(world)
    outcomes.finished(claimed, painting, ())
    [delay] = delays.told
    assert (delay.subject, delay.about) == (claimed.job.id, "cat.jpg as swirls")
    assert delay.reason.startswith("cannot publish job ")
    assert outcomes.unfinished == {claimed.job.id}
    assert [folder.read().attempts for folder in world.jobs("cur")] == [1]
    outcomes.again()
    assert delays.told[0].tries == 1, "its pause is not over"
    clock.seconds += 1
    outcomes.again()
    assert delays.told[0].tries == 2
    mend_outbox(world)
    clock.seconds += 2
    outcomes.again()
    assert len(world.results()) == 2
    assert (outcomes.failed, outcomes.unfinished, delays.told, world.remains()) == (0, set(), (), [])
    assert [one.photo for one in outcomes.results] == ["cat.jpg"]


def test_at_the_end_everything_is_tried_once_more_at_once(world, outcomes):
    claimed = world.claimed()
    painting = painting_of(claimed)
    spoil_outbox(world)
    outcomes.finished(claimed, painting, ())
    mend_outbox(world)
    outcomes.again(at_once=True)
    assert len(world.results()) == 2


def test_one_jobs_trouble_does_not_concern_another(world, outcomes):
    claimed, other = world.claimed(), world.claimed("wave/dog.jpg")
    spoil_outbox(world)
    outcomes.finished(claimed, painting_of(claimed), ())
    outcomes.finished(other, painting_of(other), ())
    assert [one.photo for one in outcomes.results] == ["dog.jpg"]
    assert outcomes.unfinished == {claimed.job.id}


def test_deferred_job_waits_longer_each_time_and_its_attempt_does_not_count(world, outcomes, delays, clock):
    claimed = world.claimed()
    pauses = []
    for _ in range(3):
        outcomes.deferred(claimed, "the GPU is out of memory")
        pauses.append(delays.seconds_left(claimed.job.id))
        assert waiting(world).attempts == 0
        assert world.queue.claim(NOW, delays.pending) is None
        clock.seconds += pauses[-1]
        claimed = world.queue.claim(NOW, delays.pending)
    assert pauses == [1, 2, 4]
    outcomes.finished(claimed, painting_of(claimed), ())
    assert delays.told == ()


LACK = "the GPU is out of memory: OOM; a picture of 4096 x 3072 px takes about 26.6 GiB: size_px: 2144 would fit"


def test_job_that_a_gpu_is_too_small_for_is_tried_once_more_with_less_and_then_given_up(world, outcomes, delays):
    claimed = world.claimed()
    assert not claimed.job.spares_memory
    with capture_logs() as logs:
        outcomes.lacked_memory(claimed, LACK, may_pass=False)
    assert next((one["event"], one.get("reason")) for one in logs) == ("job_spares_memory", LACK)
    assert delays.told == (), "it is tried at once"
    # Only what lies on the disk is left, as after a restart.
    claimed = world.claim()
    assert (claimed.job.spares_memory, claimed.job.attempts) == (True, 1)
    outcomes.lacked_memory(claimed, LACK, may_pass=False)
    given = reason(world, claimed)
    assert (given["kind"], given["message"]) == ("memory", LACK)
    assert (outcomes.failed, world.remains()) == (1, [])


def test_job_waits_while_other_programs_have_the_memory_but_not_for_ever(world, outcomes, delays, clock):
    claimed, tries = world.claimed(), 0
    while claimed:
        tries += 1
        assert tries < 100
        outcomes.lacked_memory(claimed, LACK, may_pass=True)
        clock.seconds += delays.seconds_left(claimed.job.id)
        last, claimed = claimed, world.queue.claim(NOW)
    assert reason(world, last)["kind"] == "memory"
    assert tries == 61
    minutes = (clock.seconds - Clock.seconds) / 60
    assert 50 < minutes < 70, "as the README says"


def test_job_that_was_given_up_for_its_memory_begins_anew_when_it_is_put_back(world, outcomes):
    claimed = world.claimed()
    for _ in range(2):
        outcomes.lacked_memory(claimed, LACK, may_pass=False)
        claimed = world.claim() if world.jobs("new") else claimed
    retry(world.folders, claimed.job.id)
    assert waiting(world).lacked_memory == 0


def test_record_of_a_job_from_before_can_be_read(world):
    world.taken_in()
    [folder] = world.jobs("new")
    record = json.loads((folder.path / "job.json").read_text())
    del record["lacked_memory"]
    (folder.path / "job.json").write_text(json.dumps(record))
    assert not folder.read().spares_memory


def test_job_that_could_not_be_given_back_keeps_its_attempt_all_the_same(world, outcomes, clock):
    claimed = world.claimed()
    new = world.folders.new
    new.rename(new.with_name("away"))
    outcomes.interrupted(claimed)
    assert outcomes.unfinished == {claimed.job.id}
    new.with_name("away").rename(new)
    clock.seconds += 1
    outcomes.again()
    assert waiting(world).attempts == 0
    assert world.jobs("cur") == []


def test_job_that_has_left_is_not_moved_again(world, outcomes, clock):
    """Its rename was done, and only the folder's fsync failed."""
    claimed = world.claimed()
    with contextlib.suppress(OSError), AtCall(3, no_space):
        outcomes.interrupted(claimed)
    while not world.jobs("new"):
        clock.seconds += 100
        outcomes.again()
    clock.seconds += 100
    outcomes.again()
    assert outcomes.unfinished == set()
    assert [folder.id for folder in world.jobs("new")] == [claimed.job.id]


@pytest.mark.parametrize("fail_at", range(1, 12))
def test_whatever_call_fails_a_job_is_given_back_once_with_its_attempt(world, outcomes, clock, fail_at):
    claimed = world.claimed()
    with AtCall(fail_at, no_space):
        outcomes.interrupted(claimed)
    clock.seconds += 100
    outcomes.again()
    assert outcomes.unfinished == set()
    assert waiting(world).attempts == 0
    assert world.jobs("cur") == []


def test_wrong_picture_that_cannot_be_requeued_at_once_is_requeued_later(world, outcomes, clock):
    claimed = world.claimed()
    painting = painting_of(claimed)
    spoil(claimed.picture)
    new = world.folders.new
    new.rename(new.with_name("away"))
    outcomes.finished(claimed, painting, ())
    assert outcomes.unfinished == {claimed.job.id}
    new.with_name("away").rename(new)
    clock.seconds += 1
    outcomes.again()
    assert waiting(world).attempts == 1


def test_jobs_that_a_repair_brought_to_their_end_are_remembered(world, outcomes):
    done, failed = world.claimed("swirls/a.jpg").job, world.claimed("swirls/b.jpg").job
    outcomes.repaired(Repaired(Repair.PUBLICATION_FINISHED, done.id, "/out/a.png", done))
    outcomes.repaired(Repaired(Repair.FAILURE_FINISHED, failed.id, "is no picture", failed))
    outcomes.repaired(Repaired(Repair.JOB_REQUEUED, failed.id))
    assert [(one.photo, one.picture, one.reason) for one in outcomes.results] == [
        ("b.jpg", None, "is no picture"),
        ("a.jpg", "/out/a.png", None),
    ]
    assert outcomes.failed == 1


def test_a_resume_counts_until_the_job_starts_over(world, outcomes):
    claimed = outcomes.resumed(outcomes.resumed(world.claimed()))
    assert claimed.job.resumes == claimed.folder.read().resumes == 2
    claimed = outcomes.started_over(claimed)
    assert claimed.job.resumes == claimed.folder.read().resumes == 0


def test_attempts_are_forgiven_when_a_job_comes_further_than_ever(world, outcomes):
    claimed = world.claimed()
    for evaluations, attempts in ((10, 1), (10, 2), (20, 1)):
        outcomes.attempt_failed(claimed, "the worker fell over")
        claimed = outcomes.came_on(world.claim(), evaluations)
        assert claimed.job.attempts_that_count == claimed.folder.read().attempts_that_count == attempts
    assert (claimed.job.attempts, claimed.job.came_to) == (4, 20)
    outcomes.interrupted(claimed)
    assert waiting(world).attempts_that_count == 0


def test_a_job_that_comes_no_further_is_given_up(world, outcomes):
    """Each attempt starts over and writes the same checkpoint before it takes its worker down."""
    world.taken_in()
    attempts = 0
    while claimed := world.queue.claim(NOW):
        attempts += 1
        assert attempts < 10
        outcomes.attempt_failed(outcomes.came_on(claimed, 100), "the worker fell over")
    assert attempts == MAX_ATTEMPTS + 1
    assert len(world.jobs("failed")) == 1


def test_what_cannot_be_noted_is_logged_and_counts_all_the_same(world, outcomes):
    claimed = world.claimed()
    with AtCall(1, no_space), capture_logs() as logs:
        claimed = outcomes.resumed(claimed)
    assert claimed.job.resumes == 1
    assert [one["event"] for one in logs] == ["job_not_noted"]


@pytest.mark.parametrize(
    "end",
    [
        lambda outcomes, claimed: outcomes.interrupted(claimed),
        lambda outcomes, claimed: outcomes.attempt_failed(claimed, "the worker fell over"),
        lambda outcomes, claimed: outcomes.refused(claimed, FailureKind.INPUT, "is not an image"),
        lambda outcomes, claimed: outcomes.deferred(claimed, "the GPU is out of memory"),
        lambda outcomes, claimed: outcomes.finished(claimed, painting_of(claimed), ()),
    ],
    ids=["interrupted", "crashed", "refused", "deferred", "finished"],
)
def test_a_cancelled_job_is_cancelled_however_its_worker_ends_it(world, outcomes, end):
    claimed = world.claimed()
    (claimed.folder.path / "cancelled").touch()
    with capture_logs() as logs:
        end(outcomes, claimed)
    assert reason(world, claimed)["kind"] == "cancelled"
    assert [one["event"] for one in logs] == ["job_cancelled"]
    assert (outcomes.failed, outcomes.results[0].reason) == (0, "cancelled")
    assert world.results() == {}


def test_a_preview_is_removed_whatever_becomes_of_the_job(world, outcomes):
    claimed = world.claimed()
    claimed.folder.preview(world.folders).write_bytes(b"so far")
    outcomes.interrupted(claimed)
    assert list(world.folders.previews.iterdir()) == []
