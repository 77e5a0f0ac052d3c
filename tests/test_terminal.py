import os
import re
import select
from io import StringIO

import pytest
from rich.console import Console

from nstd.daemon.status import (
    CurrentJob,
    DaemonStatus,
    Delay,
    FailedSummary,
    InboxSummary,
    Notice,
    Outcome,
    QueuedJob,
    SpoolStatus,
    State,
    WorkerState,
    WorkerStatus,
)
from nstd.job import FailureKind
from nstd.spool.queue import Counts
from nstd.terminal import duration, measuring_line, painting_bars, print_bench, print_status
from nstd.worker.bench import Bench, Evaluation

SINCE = "2026-11-23T04:15:00.123456Z"
DELAY = Delay(
    subject="20261123T",
    about="a.jpg as wave",
    reason="cannot publish",
    since=SINCE,
    tries=3,
    next_try_at="2026-11-23T04:15:09.000000Z",
)
JOB = CurrentJob(
    id="20261123T041500.000000Z-abcdef",
    photo="[cat].jpg",
    preset="swirls",
    progress=0.41,
    step=41,
    steps=100,
    loss=1234567.8,
    seconds_left=65,
)
OTHER_JOB = CurrentJob(id="2", photo="dog.jpg", preset="dots", worker="gpu:1", progress=0.5, step=5, steps=10, loss=7)


def told(capsys: pytest.CaptureFixture[str], status: SpoolStatus) -> str:
    print_status(status)
    return " ".join(capsys.readouterr().out.split())


def status_of(daemon: DaemonStatus | None, pid: int | None = 7, **more: object) -> SpoolStatus:
    facts = {"inbox": InboxSummary(), "next": (), "failed": ()} | more
    return SpoolStatus(pid=pid, daemon=daemon, jobs=Counts(waiting=3, held=0, arriving=0, running=1, failed=2), **facts)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (200, "3 min 20 s"),
        (3599.9, "1 h 00 min"),
        (7500, "2 h 05 min"),
    ],
)
def test_durations_are_written_as_people_say_them(seconds, text):
    assert duration(seconds) == text


def test_running_daemon_tells_its_job(capsys):
    out = told(capsys, status_of(DaemonStatus(state=State.PAINTING, started_at=SINCE, jobs=(JOB,))))
    assert out.startswith(
        "Daemon 7 is painting, since 2026-11-23T04:15:00Z. 0 in the inbox, 3 waiting, 0 held, 1 running, 2 failed"
    )
    assert out.endswith("Painting [cat].jpg as swirls: 41%, step 41/100, loss 1,234,568, 1 min 05 s left")


def worker(name: str, state: WorkerState, reason: str = "") -> WorkerStatus:
    return WorkerStatus(name=name, place="" if reason else name, state=state, reason=reason)


def test_several_workers_are_counted_by_what_they_do_and_named_with_their_jobs(capsys):
    jobs = (JOB.model_copy(update={"worker": "gpu:0"}), OTHER_JOB)
    workers = (
        worker("gpu:0", WorkerState.PAINTING),
        worker("gpu:1", WorkerState.PAINTING),
        worker("gpu:2", WorkerState.IDLE),
    )
    out = told(capsys, status_of(DaemonStatus(state=State.PAINTING, started_at=SINCE, jobs=jobs, workers=workers)))
    assert "2 failed Workers: 1 idle, 2 painting Painting [cat].jpg as swirls on gpu:0: 41%, step 41/100" in out
    assert out.endswith("Painting dog.jpg as dots on gpu:1: 50%, step 5/10, loss 7")


def test_single_worker_that_works_is_not_worth_a_line(capsys):
    workers = (worker("gpu:0", WorkerState.PAINTING),)
    out = told(capsys, status_of(DaemonStatus(state=State.PAINTING, started_at=SINCE, jobs=(JOB,), workers=workers)))
    assert "Workers" not in out
    assert " on gpu:0" not in out


def test_what_workers_wait_for_is_told_once(capsys):
    waits = "a node with [1] GPU"
    workers = tuple(worker(f"ray {number}", WorkerState.WAITING, waits) for number in (1, 2))
    out = told(capsys, status_of(DaemonStatus(state=State.IDLE, started_at=SINCE, workers=workers)))
    assert out.endswith(f"Workers: 2 waiting Waiting for {waits}")


def test_dead_daemons_job_is_not_told_as_running(capsys):
    out = told(capsys, status_of(DaemonStatus(state=State.PAINTING, started_at=SINCE, jobs=(JOB,)), pid=None))
    assert out == "No daemon is running. 0 in the inbox, 3 waiting, 0 held, 1 running, 2 failed"


def test_trouble_comes_first(capsys):
    full = DELAY.model_copy(update={"subject": "inbox", "about": "", "reason": "No space left on device"})
    daemon = DaemonStatus(
        state=State.IDLE, started_at=SINCE, troubles=(full,), deferred=(DELAY,), config_error="config.yaml:1:1: [bad]"
    )
    out = told(capsys, status_of(daemon))
    assert (
        "2 failed The config file is not in force: config.yaml:1:1: [bad] inbox pauses: No space left on device; tried"
        in out
    )
    assert out.endswith("Deferred 20261123T a.jpg as wave cannot publish; tried 3 x, next at 04:15:09Z")


def test_dead_daemons_troubles_are_not_told_as_its_own(capsys):
    daemon = DaemonStatus(state=State.IDLE, started_at=SINCE, deferred=(DELAY,), config_error="bad")
    out = told(capsys, status_of(daemon, pid=None))
    assert "Deferred" not in out
    assert "bad" not in out


def test_id_of_a_job_is_never_cut_off_however_narrow_the_terminal(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    long = DELAY.model_copy(update={"subject": JOB.id, "reason": f"{'/deep' * 20}: Read-only file system"})
    out = told(capsys, status_of(DaemonStatus(state=State.IDLE, started_at=SINCE, deferred=(long,))))
    assert JOB.id in out
    assert "\u2026" not in out


def test_what_waits_is_listed_and_the_rest_counted(capsys):
    inbox = InboxSummary(drops=12, first=("wave/a.jpg", "wave/b.jpg"), trouble="cannot look [now]")
    queued = QueuedJob(id="20261123T", photo="c.jpg", preset="glass", attempts=1, held=False)
    out = told(capsys, status_of(None, inbox=inbox, next=(queued,)))
    assert "12 in the inbox, 3 waiting" in out
    assert "cannot look [now]" in out
    assert "Not taken in yet wave/a.jpg wave/b.jpg and 10 more" in out
    assert "Next in the queue 20261123T c.jpg glass and 2 more" in out


def test_starting_daemon_has_told_nothing_yet(capsys):
    assert told(capsys, status_of(None)).startswith("A daemon is starting.")


def test_results_failures_and_what_was_left_alone(capsys):
    picture = Outcome(job="1", photo="a.jpg", preset="swirls", ended_at=SINCE, picture="/out/a.png")
    failure = Outcome(job="2", photo="b.jpg", preset="glass", ended_at=SINCE, reason="b.jpg: is empty (0 bytes)")
    daemon = DaemonStatus(
        state=State.IDLE,
        started_at=SINCE,
        results=(picture, failure),
        ignored=(Notice(path="y.jpg", reason="is a named pipe"),),
    )
    failed = FailedSummary(id="20261123T", photo="b.jpg", kind=FailureKind.INPUT, reason="b.jpg: is empty (0 bytes)")
    out = told(capsys, status_of(daemon).model_copy(update={"failed": (failed,)}))
    for part in (
        "Last results 2026-11-23 04:15:00 a.jpg swirls /out/a.png",
        "b.jpg glass failed: b.jpg: is empty (0 bytes)",
        "Left alone in the inbox y.jpg is a named pipe",
        "Failed 20261123T b.jpg b.jpg: is empty (0 bytes)",
    ):
        assert part in out


def test_failures_are_told_even_if_no_daemon_has_left_a_word(capsys):
    failed = FailedSummary(id="20261123T", photo=None, kind=None, reason="its reason.json cannot be read")
    out = told(capsys, status_of(None, pid=None).model_copy(update={"failed": (failed,)}))
    assert out.startswith("No daemon is running. ")
    assert out.endswith("Failed 20261123T its reason.json cannot be read")


def test_bar_is_drawn_on_a_real_terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    reader, writer = os.openpty()
    with os.fdopen(writer, "w") as screen, painting_bars(Console(file=screen, width=120)) as show:
        show([JOB])
        drawn = b""
        while b"s left" not in drawn:
            assert select.select([reader], [], [], 10)[0], drawn
            drawn += os.read(reader, 4096)
    os.close(reader)
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", drawn.decode())
    assert "[cat].jpg as swirls" in plain
    assert " 41 % step 41/100, loss 1,234,568, 1 min 05 s left" in plain


def test_bar_shows_the_job_at_a_terminal():
    screen = StringIO()
    with painting_bars(Console(file=screen, force_terminal=True, width=120, color_system=None)) as show:
        show([JOB.model_copy(update={"loss": None})])
        show([JOB])
        show([])
    drawn = screen.getvalue()
    assert "waiting for the first step" in drawn
    assert "[cat].jpg as swirls" in drawn
    assert " 41 % step 41/100, loss 1,234,568, 1 min 05 s left" in drawn


def test_each_job_has_a_bar_until_it_ends():
    screen = StringIO()
    with painting_bars(Console(file=screen, force_terminal=True, width=120, color_system=None)) as show:
        show([JOB, OTHER_JOB])
        both = screen.getvalue()
        show([OTHER_JOB])
        one = screen.getvalue().removeprefix(both)
        show([])
    assert "[cat].jpg as swirls" in both
    assert "dog.jpg as dots" in both
    assert " 50 % step 5/10, loss 7" in both
    assert "[cat].jpg" not in one
    assert "dog.jpg as dots" in one


def test_bar_draws_nothing_into_a_pipe():
    pipe = StringIO()
    with painting_bars(Console(file=pipe)) as show:
        show([JOB])
        show([])
    assert pipe.getvalue().strip() == ""


def measured(size_px: int, seconds: float, share: float, memory_mib: float) -> Evaluation:
    return Evaluation(
        size_px=size_px,
        precision="bfloat16",
        seconds=seconds,
        share_of_matmul=share,
        step_seconds=seconds,
        match_seconds=seconds,
        memory_mib=memory_mib,
        quality_seconds={"draft": seconds * 43, "standard": seconds * 110, "high": seconds * 269},
    )


BENCH = Bench(
    device="cpu",
    precision="bfloat16",
    precision_reason="the CPU has [amx_bf16]",
    matmul_gflop_per_s=1416.6,
    evaluations=(measured(512, 0.2994, 0.957, 1843), measured(16384, 3300.5, 0.96, 262144)),
)


def test_bench_is_a_table_that_fits_a_narrow_terminal(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    print_bench(BENCH)
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == [
        "cpu, bfloat16: the CPU has [amx_bf16]. Matrix products: 1,417 GFLOP/s.",
        " size  evaluation  of matmul        draft      standard          high     memory",
        "  512     0.299 s        96%         13 s          33 s    1 min 21 s    1.8 GiB",
        "16384     3,300 s        96%  39 h 25 min  100 h 50 min  246 h 37 min  256.0 GiB",
        "of matmul: share of the matrix products' rate.",
        "draft, standard, high: what a square picture takes, if no level ends early.",
        "memory: the most that this process held so far, smaller sizes included.",
    ]


def test_bench_on_a_gpu_tells_the_gpus_memory(capsys):
    print_bench(BENCH.model_copy(update={"device": "gpu:0"}))
    assert "the most that was taken of the GPU's so far" in capsys.readouterr().out


def test_line_says_what_is_measured_at_a_terminal():
    screen = StringIO()
    with measuring_line(Console(file=screen, force_terminal=True, width=120, color_system=None)) as show:
        show(512, 0)
        show(512, 3)
    drawn = screen.getvalue()
    for text in ("Loading the network", "Measuring 512 px: warming up", "Measuring 512 px: round 3"):
        assert text in drawn


def test_line_draws_nothing_into_a_pipe():
    pipe = StringIO()
    with measuring_line(Console(file=pipe)) as show:
        show(512, 1)
    assert pipe.getvalue().strip() == ""
