"""The metrics: what they say, that Prometheus can read them, and where they lie."""

import os
import re
import signal
import socket
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from daemon_world import COPYING_NSTD, World, eventually
from prometheus_client import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from nstd import __version__
from nstd.daemon.metrics import Fate, Metrics
from nstd.daemon.status import CurrentJob, DaemonStatus, State, WorkerState, WorkerStatus
from nstd.daemon.survey import Jobs
from nstd.spool.queue import Counts

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
IDLE = DaemonStatus(state=State.IDLE, started_at="2026-11-25T12:00:00Z")
CAT = CurrentJob(id="1", photo="cat.jpg", preset="swirls")
DOG = CurrentJob(id="2", photo="dog.jpg", preset="dots")
NO_JOBS = Counts(waiting=0, held=0, arriving=0, running=0, failed=0)
UNITS = ("_seconds", "_bytes", "_total", "_info", "_per_second", "_jobs", "_valid", "_resident", "_troubles")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.close()


def publish(world: World, **metrics: str) -> None:
    world.config.write_text(f"{world.config.read_text()}metrics: {metrics}\n")


def parsed(text: str) -> dict[str, Metric]:
    """Read the exposition as Prometheus does: one family a name, each with its type and its help."""
    families = list(text_string_to_metric_families(text))
    assert len({family.name for family in families}) == len(families)
    return {family.name: family for family in families}


def value(families: dict[str, Metric], sample: str, **labels: str) -> float:
    [found] = [
        one.value
        for family in families.values()
        for one in family.samples
        if (one.name, one.labels) == (sample, labels)
    ]
    return found


def at(job: CurrentJob, step: int) -> CurrentJob:
    return job.model_copy(update={"step": step})


def pace(metrics: Metrics, *running: CurrentJob) -> float:
    metrics.show(IDLE.model_copy(update={"jobs": running}), Jobs(NO_JOBS, None))
    return value(exposed(metrics), "nstd_steps_per_second")


def exposed(metrics: Metrics) -> dict[str, Metric]:
    return parsed(generate_latest(metrics.registry).decode())


def test_names_follow_the_conventions():
    metrics = Metrics()
    metrics.expect(["swirls"])
    families = exposed(metrics)
    assert "nstd_jobs" in families
    for name, family in families.items():
        assert name.startswith("nstd_")
        assert family.documentation.endswith(".")
        assert family.type != "unknown"
        endings = {sample.name.endswith("_total") for sample in family.samples}
        assert endings <= {family.type == "counter"}
        assert family.type == "counter" or name.endswith(UNITS)


def test_build_is_told():
    assert value(exposed(Metrics()), "nstd_build_info", version=__version__) == 1


def test_counts_of_known_presets_begin_at_zero():
    metrics = Metrics()
    metrics.expect(["swirls"])
    for fate in Fate:
        assert value(exposed(metrics), "nstd_jobs_total", preset="swirls", outcome=fate.value) == 0
    metrics.job_ended("swirls", Fate.DONE)
    metrics.expect(["swirls", "dots"])
    assert value(exposed(metrics), "nstd_jobs_total", preset="swirls", outcome="done") == 1


def test_age_of_the_oldest_job_grows_while_nothing_happens():
    now = [NOW]
    metrics = Metrics(now=lambda: now[0])
    metrics.show(IDLE, Jobs(NO_JOBS, NOW - timedelta(seconds=5)))
    assert value(exposed(metrics), "nstd_queue_oldest_waiting_age_seconds") == 5
    now[0] += timedelta(seconds=60)
    assert value(exposed(metrics), "nstd_queue_oldest_waiting_age_seconds") == 65
    now[0] -= timedelta(days=1)  # the clock was set
    assert value(exposed(metrics), "nstd_queue_oldest_waiting_age_seconds") == 0


def test_pace_is_that_of_the_running_job():
    now = [100.0]
    metrics = Metrics(clock=lambda: now[0])
    for step in range(40, 45):  # it goes on from a checkpoint
        metrics.stepped(at(CAT, step), 1, "gpu:0", 3 << 20)
        now[0] += 0.5
    assert pace(metrics, CAT) == 2
    assert value(exposed(metrics), "nstd_steps_total", preset="swirls") == 5
    assert value(exposed(metrics), "nstd_device_memory_bytes", device="gpu:0") == 3 << 20
    metrics.stepped(at(DOG, 1), 1, "gpu:0", 3 << 20)
    now[0] += 1
    metrics.stepped(at(DOG, 2), 1, "gpu:0", 3 << 20)
    assert pace(metrics, DOG) == 1
    assert pace(metrics) == 0
    metrics.worker_ended("gpu:0")
    assert not exposed(metrics)["nstd_device_memory_bytes"].samples


def test_pace_is_the_sum_over_jobs_that_run_at_once():
    now = [100.0]
    metrics = Metrics(clock=lambda: now[0])
    for step in range(1, 4):
        metrics.stepped(at(CAT, step), 1, "gpu:0", 1)
        metrics.stepped(at(DOG, 2 * step), 2, "gpu:1", 1)
        now[0] += 0.5
    assert pace(metrics, CAT, DOG) == 2 + 4
    assert pace(metrics, DOG) == 4


def test_steps_that_come_in_strides_are_all_counted():
    now = [100.0]
    metrics = Metrics(clock=lambda: now[0])
    for step, stride in ((1, 1), (11, 10), (31, 20)):
        metrics.stepped(at(CAT, step), stride, "gpu:0", 1)
        now[0] += 1
    assert value(exposed(metrics), "nstd_steps_total", preset="swirls") == 31
    assert pace(metrics, CAT) == 15


def test_workers_are_counted():
    metrics = Metrics()
    assert value(exposed(metrics), "nstd_worker_resident") == 0
    workers = tuple(WorkerStatus(name=name, place=name, state=WorkerState.IDLE) for name in ("gpu:0", "gpu:1"))
    metrics.show(IDLE.model_copy(update={"workers": workers}), Jobs(NO_JOBS, None))
    assert value(exposed(metrics), "nstd_worker_resident") == 2
    metrics.show(IDLE, Jobs(NO_JOBS, None))
    assert value(exposed(metrics), "nstd_worker_resident") == 0


def test_file_tells_of_jobs_by_preset_and_outcome_and_never_names_a_photo(world):
    publish(world, textfile="nstd.prom")
    (world.root / "nstd.prom").write_text("# HELP what was here before\n")
    for word, name in (("paint", "one.jpg"), ("paint", "two.jpg"), ("text", "three.jpg")):
        world.drop_text(word, name)
    daemon = world.start(nstd=COPYING_NSTD)
    daemon.wait_for("job_finished", 2)
    daemon.wait_for("job_failed")
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == (0, "")
    world.drop_text("slow", "four.jpg")
    again = world.start(nstd=COPYING_NSTD)
    again.wait_for("job_started")

    def families() -> dict[str, Metric]:
        return parsed((world.root / "nstd.prom").read_text())

    eventually(lambda: value(families(), "nstd_queue_jobs", state="running") == 1, "the running job's metrics")
    last = value(families(), "nstd_last_success_timestamp_seconds")
    assert abs(last - datetime.now(UTC).timestamp()) < 600
    assert value(families(), "nstd_queue_jobs", state="failed") == 1
    assert value(families(), "nstd_config_valid") == 1
    assert value(families(), "nstd_worker_resident") == 1
    assert ".jpg" not in (world.root / "nstd.prom").read_text()
    assert (world.root / "nstd.prom").stat().st_mode & 0o777 == 0o666 & ~umask()
    assert [path.name for path in world.root.glob("*nstd.prom*")] == ["nstd.prom"]


def umask() -> int:
    now = os.umask(0)
    os.umask(now)
    return now


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def test_metrics_are_served_where_it_is_asked_for_and_nowhere_else(world):
    port = free_port()
    publish(world, listen=f"127.0.0.1:{port}")
    for word, name in (("paint", "one.jpg"), ("paint", "two.jpg"), ("text", "three.jpg")):
        world.drop_text(word, name)
    daemon = world.start(nstd=COPYING_NSTD)
    daemon.wait_for("job_finished", 2)
    daemon.wait_for("job_failed")

    def families() -> dict[str, Metric]:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
            return parsed(answer.read().decode())

    eventually(lambda: value(families(), "nstd_queue_jobs", state="failed") == 1, "the count")
    served = families()
    assert value(served, "nstd_jobs_total", preset="quick", outcome="done") == 2
    assert value(served, "nstd_jobs_total", preset="quick", outcome="failed") == 1
    assert value(served, "nstd_jobs_total", preset="slow", outcome="done") == 0
    assert value(served, "nstd_job_duration_seconds_count", preset="quick") == 2
    assert value(served, "nstd_worker_starts_total") == 1
    assert value(served, "nstd_queue_jobs", state="failed") == 1
    listening = Path(f"/proc/{daemon.pid}/net/tcp").read_text()
    assert f"0100007F:{port:04X} 00000000:0000 0A" in listening
    assert f"00000000:{port:04X} 00000000:0000 0A" not in listening
    world.config.write_text(world.config.read_text().replace(f"127.0.0.1:{port}", "null").replace("'null'", "null"))
    daemon.wait_for("config_reloaded")
    eventually(lambda: f":{port:04X} 00000000:0000 0A" not in Path(f"/proc/{daemon.pid}/net/tcp").read_text(), "quiet")


def test_trouble_with_the_metrics_keeps_no_photo_waiting(world):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        publish(world, listen=f"127.0.0.1:{port}", textfile="missing/nstd.prom")
        world.drop_text("paint", "one.jpg")
        daemon = world.start(nstd=COPYING_NSTD)
        daemon.wait_for("job_finished")
        [trouble] = [one for one in daemon.wait_for("trouble") if one["subject"] == "metrics"]
        assert f"cannot serve the metrics at 127.0.0.1:{port}: Address already in use" in trouble["reason"]
        assert world.status().daemon.troubles[0].subject == "metrics"
    (world.root / "missing").mkdir()
    daemon.wait_for("trouble_over")
    assert (world.root / "missing" / "nstd.prom").exists()


def test_every_metric_is_explained():
    page = (Path(__file__).parent.parent / "docs/service.md").read_text()
    explained = dict(re.findall(r"^\| `(nstd_\w+)(?:\{([\w, ]+)\})?` \|", page, re.MULTILINE))
    metrics = Metrics()
    metrics.expect(["swirls"])
    metrics.show(IDLE, Jobs(NO_JOBS, None))
    metrics.stepped(CAT, 1, "cpu", 1)
    labels = {}
    for family in exposed(metrics).values():
        suffix = "_total" if family.type == "counter" else ""
        labels[family.name + suffix] = ", ".join(name for name in family.samples[0].labels if name != "le")
    assert labels == explained


def test_file_is_there_as_long_as_somebody_writes_it(world):
    publish(world, textfile="one.prom")
    (world.root / "foreign.prom").touch()
    daemon = world.start(nstd=COPYING_NSTD)
    eventually((world.root / "one.prom").exists, "the file")
    world.config.write_text(world.config.read_text().replace("one.prom", "two.prom"))
    daemon.wait_for("config_reloaded")
    eventually((world.root / "two.prom").exists, "the other file")
    assert not (world.root / "one.prom").exists()
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == (0, "")
    assert [path.name for path in world.root.glob("*.prom*")] == ["foreign.prom"]


def test_metrics_in_trouble_do_not_end_a_run_that_ends_with_its_queue(world):
    publish(world, textfile="missing/nstd.prom")
    world.drop_text("paint", "one.jpg")
    assert world.start("--once", nstd=COPYING_NSTD).wait() == (0, "")
    assert len(world.results("quick")) == 2


def test_device_of_a_worker_that_is_no_more_is_forgotten():
    metrics = Metrics()
    metrics.stepped(CAT, 1, "cpu", 1)
    metrics.stepped(DOG, 1, "gpu:0", 2)
    assert value(exposed(metrics), "nstd_device_memory_bytes", device="cpu") == 1
    metrics.worker_ended("cpu")
    assert [one.labels for one in exposed(metrics)["nstd_device_memory_bytes"].samples] == [{"device": "gpu:0"}]
    assert value(exposed(metrics), "nstd_device_memory_bytes", device="gpu:0") == 2


def test_worker_that_ends_before_its_first_step_leaves_nothing_to_forget():
    metrics = Metrics()
    metrics.stepped(CAT, 1, "gpu:0", 2)
    metrics.worker_ended("")
    assert value(exposed(metrics), "nstd_device_memory_bytes", device="gpu:0") == 2
