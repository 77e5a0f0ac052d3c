"""The daemon with workers in a real Ray cluster of two nodes; most of them count instead of painting."""

import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from clustering.cluster import ADDRESS, CLIENT_ADDRESS, HEAD, NODE, RayCluster
from daemon_world import NSTD, RunningDaemon, World, eventually

from nstd.daemon.status import WorkerState

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
COUNTING_NSTD = (sys.executable, str(BENCHMARKS / "clustering" / "daemon.py"))
LONG = "steps 100000 0.05"
# Without room on the disk either: Ray else moves there what does not fit.
WITHOUT_SPILLING = {"RAY_local_fs_capacity_threshold": "0.0001", "RAY_object_spilling_threshold": "1.0"}


@pytest.fixture
def make_cluster() -> Iterator[Callable[..., Any]]:
    """Return a function that starts a cluster; skip where its network cannot be had."""
    if os.geteuid() != 0 or not shutil.which("nsenter"):
        pytest.skip("a network namespace of its own needs root, and nsenter (util-linux)")
    started, folders = [], []

    def make(*, nodes: int = 2, **options: Any) -> Any:
        folders.append(tempfile.mkdtemp(prefix="r", dir="/tmp"))  # the names of sockets must be short
        started.append(RayCluster(Path(folders[-1]), **options))
        started[-1].start_head()
        for _ in range(nodes - 1):
            started[-1].start_node()
        return started[-1]

    yield make
    for cluster in started:
        cluster.close()
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def make_world(tmp_path: Path, cache: Path) -> Iterator[Callable[..., World]]:
    worlds = []

    def make(
        ray: str = "", name: str = "world", worker: str = "checkpoint_seconds: 0.3, preview_seconds: 0", **more: Any
    ) -> World:
        assert cache.is_dir()
        engine = f"engine: {{workers: ray}}\nray: {{address: '{ADDRESS}', workers: 2, {ray}}}"
        (tmp_path / name).mkdir()
        worlds.append(World(tmp_path / name, **{"engine": engine, "worker": worker} | more))
        return worlds[-1]

    yield make
    for world in worlds:
        world.close()


@pytest.fixture
def finish(tmp_path: Path) -> Path:
    """The file for which photos with the words of `unfinished` wait."""
    return tmp_path / "finish"


@pytest.fixture
def unfinished(finish: Path) -> str:
    return f"until {finish}"


def start(world: World, cluster: Any, *arguments: str, nstd: tuple[str, ...] = COUNTING_NSTD) -> RunningDaemon:
    return world.start(*arguments, nstd=(*cluster.prefix, *nstd))


def painted(world: World) -> dict[str, list[Path]]:
    """Return the pictures by the photos' names; each shall have one."""
    found: dict[str, list[Path]] = {}
    for path in world.results("quick"):
        if path.suffix == ".png":
            found.setdefault(path.name.partition("_")[0], []).append(path)
    return found


def steps_of(world: World) -> dict[str, int]:
    daemon = world.status().daemon
    return {job.photo: job.step for job in daemon.jobs} if daemon else {}


def states(world: World) -> set[WorkerState]:
    daemon = world.status().daemon
    return {worker.state for worker in daemon.workers} if daemon else set()


def wait_for_checkpoints(daemon: RunningDaemon, *photos: str) -> None:
    eventually(
        lambda: {one["photo"] for one in daemon.logged("checkpoint_written")} >= set(photos), f"checkpoints of {photos}"
    )


def photo_on(world: World, node: str) -> str | None:
    """Return the photo that is being painted on a node, and has come some steps on."""
    daemon = world.status().daemon
    jobs = daemon.jobs if daemon else ()
    return next((job.photo for job in jobs if job.worker.startswith(f"{node} ") and job.step), None)


def test_twenty_photos_become_what_a_local_worker_makes_of_them(make_cluster, make_world):
    photos = sorted(path.name for path in (Path(__file__).parent.parent / "nstd/assets/photos").glob("*.jpg"))
    local = make_world(name="local", engine="", worker="checkpoint_seconds: 0")
    for photo in photos:
        local.drop(photo, "quick")
    assert local.start("--once").wait() == (0, "")
    expected = {name: path.read_bytes() for name, [path] in painted(local).items()}

    world, cluster = make_world(worker="preview_seconds: 0.1"), make_cluster()
    chosen = itertools.islice(itertools.cycle(photos), 20)
    twenty = [(photo, f"{photo.partition('.')[0]}-{number}.jpg") for number, photo in enumerate(chosen)]
    for photo, name in twenty[:2]:
        world.drop(photo, "quick", name)
    daemon = start(world, cluster, nstd=NSTD)
    daemon.wait_for("worker_ready", 2)  # else one of them might paint them all
    for photo, name in twenty[2:]:
        world.drop(photo, "quick", name)
    for finished in (1, 10, 20):  # a busy machine takes its time
        daemon.wait_for("job_finished", finished)
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == (0, "")
    pictures = painted(world)
    assert len(pictures) == 20
    for name, paths in pictures.items():
        assert [path.read_bytes() for path in paths] == [expected[name.partition("-")[0]]], name
    assert {one["worker"] for one in daemon.logged("job_started")} == {f"{HEAD} cpu", f"{NODE} cpu"}
    assert cluster.drivers() == []
    eventually(lambda: not cluster.actors(), "the end of the actors")


def test_job_of_a_killed_actor_goes_on_from_its_checkpoint_to_the_same_picture(make_cluster, make_world):
    settings = {"worker": "checkpoint_seconds: 0.2", "slow_iterations": 100}
    local = make_world(name="local", **settings | {"engine": ""})
    local.drop("chelsea.jpg", "slow")
    assert local.start("--once").wait() == (0, "")
    [expected] = [path.read_bytes() for path in local.results("slow") if path.suffix == ".png"]

    world, cluster = make_world("num_gpus: 0", **settings), make_cluster(nodes=1)
    world.drop("chelsea.jpg", "slow")
    daemon = start(world, cluster, "--once", "--verbose", nstd=NSTD)
    wait_for_checkpoints(daemon, "chelsea.jpg")
    [pid] = cluster.actors()
    os.kill(pid, signal.SIGKILL)
    assert daemon.wait() == (0, "")
    [resumed] = daemon.logged("job_resumed")
    assert resumed["step"] > 0
    assert [path.read_bytes() for path in world.results("slow") if path.suffix == ".png"] == [expected]


def wait_for_end_of_worker(daemon: RunningDaemon, how: str) -> None:
    """Wait until a worker has ended so; on a busy machine others may have been given up while they began."""
    eventually(lambda: how in [one["how"] for one in daemon.logged("worker_ended")], how)


def wait_for_progress(daemon: RunningDaemon, photo: str) -> None:
    """Wait until the photo's last attempt has come to a checkpoint, which forgives the one before."""

    def last(event: str) -> int:
        daemon.logged(event)
        found = (one["event"] == event and one["photo"] == photo for one in daemon.events)
        return max((number for number, holds in enumerate(found) if holds), default=-1)

    eventually(lambda: last("checkpoint_written") > last("job_started"), f"progress of {photo}")


def test_whatever_falls_every_photo_ends_once(make_cluster, make_world, finish, unfinished):
    world, cluster = make_world(worker="checkpoint_seconds: 0.3, job_timeout_seconds: 60"), make_cluster()
    photos = [f"photo{number}.jpg" for number in range(4)]
    for photo in photos:
        world.drop_text(unfinished, photo)
    daemon = start(world, cluster, "--verbose")

    wait_for_progress(daemon, on_head := eventually(lambda: photo_on(world, HEAD), "a photo on the head"))
    [first] = [pid for pid, node in cluster.actors().items() if node == HEAD]
    os.kill(first, signal.SIGKILL)
    wait_for_end_of_worker(daemon, f"fell on node {HEAD} (process {first})")
    assert on_head in [one["photo"] for one in daemon.wait_for("job_requeued")]
    daemon.wait_for("job_resumed")
    wait_for_progress(daemon, on_head)

    wait_for_progress(daemon, on_node := eventually(lambda: photo_on(world, NODE), "a photo on the other node"))
    cluster.kill_node(NODE)
    wait_for_end_of_worker(daemon, f"was lost with its node {NODE}")
    given_back = daemon.wait_for("job_given_back")
    assert given_back[-1]["photo"] == on_node, "no photo is to blame for a lost node"
    eventually(lambda: WorkerState.WAITING in states(world), "the worker that has no place any more to say so")

    wait_for_progress(daemon, eventually(lambda: photo_on(world, HEAD), "a photo on the node that is left"))
    [frozen] = cluster.actors()
    os.kill(frozen, signal.SIGSTOP)
    wait_for_end_of_worker(daemon, "said nothing for 60 s and was ended")
    eventually(lambda: frozen not in cluster.actors(), "the end of the frozen one")

    finish.touch()
    daemon.wait_for("job_finished", len(photos))
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == (0, "")
    assert {name: len(paths) for name, paths in painted(world).items()} == {Path(name).stem: 1 for name in photos}
    assert world.reasons() == {}
    assert len(daemon.logged("job_resumed")) >= 3


def test_worker_that_falls_or_hangs_while_it_has_nothing_to_do_is_missed_with_the_next_photo(make_cluster, make_world):
    world, cluster = make_world(worker="job_timeout_seconds: 30"), make_cluster(nodes=1)
    world.drop_text("paint", "first.jpg")
    daemon = start(world, cluster)
    daemon.wait_for("job_finished")
    [idle] = cluster.actors()
    os.kill(idle, signal.SIGKILL)
    world.drop_text("paint", "second.jpg")
    daemon.wait_for("job_finished", 2)
    wait_for_end_of_worker(daemon, "fell while it had nothing to do")
    assert "second.jpg" in [one["photo"] for one in daemon.logged("job_given_back")]

    for frozen in cluster.actors():
        os.kill(frozen, signal.SIGSTOP)
    world.drop_text("paint", "third.jpg")
    daemon.wait_for("job_finished", 3)
    wait_for_end_of_worker(daemon, "said nothing for 30 s and was ended")


@pytest.mark.parametrize("moment", ["begin", "load"])
def test_worker_that_falls_again_and_again_is_started_ever_more_rarely(make_cluster, make_world, tmp_path, moment):
    world, cluster = make_world(), make_cluster(nodes=1, environ={"STANDIN_FALLS": str(tmp_path)})
    (tmp_path / moment).touch()
    world.drop_text("paint", "photo.jpg")
    daemon = start(world, cluster)
    falls = eventually(lambda: len(found := times_in(tmp_path / "falls")) > 3 and found, "four falls")
    pauses = [later - earlier for earlier, later in pairwise(falls)]
    assert all(pause > least for pause, least in zip(pauses, (1, 2, 4), strict=False)), pauses
    assert daemon.logged("trouble")[0]["reason"].startswith(
        "the worker cannot begin: a node of the cluster cannot run it: "
    )
    told = r"another try in \d s, as the last one fell before it was ready \(\d falls in a row\)"
    eventually(lambda: re.search(told, " ".join(world.nstd("status").stdout.split())), "the pause to be told")
    (tmp_path / moment).unlink()
    daemon.wait_for("job_finished")


def test_worker_that_takes_long_to_load_is_known_to_live_and_one_that_hangs_is_not(make_cluster, make_world, tmp_path):
    world = make_world(worker="job_timeout_seconds: 30")
    cluster = make_cluster(nodes=1, environ={"STANDIN_FALLS": str(tmp_path)})
    (tmp_path / "load-slow").touch()
    world.drop_text("paint", "photo.jpg")
    daemon = start(world, cluster)
    told = r"Waiting for the network \((3[5-9]|[4-9]\d) s so far; a GPU's first start may take half an hour\)"
    eventually(lambda: re.search(told, " ".join(world.nstd("status").stdout.split())), "the loading to be told")
    assert not daemon.logged("worker_ended")
    for frozen in cluster.actors():
        os.kill(frozen, signal.SIGSTOP)
    wait_for_end_of_worker(daemon, "said nothing for 30 s and was ended")
    (tmp_path / "load-slow").unlink()
    daemon.wait_for("job_finished")


def times_in(path: Path) -> list[float]:
    return [float(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_worker_that_fell_with_its_photo_is_started_again_after_a_pause(make_cluster, make_world):
    world, cluster = make_world(), make_cluster(nodes=1)
    world.drop_text("kill", "killer.jpg")
    daemon = start(world, cluster)
    told = rf"Waiting for another try in \d s, as the last one fell on node {HEAD} \(process \d+\) \(2 falls in a row\)"
    eventually(lambda: re.search(told, world.nstd("status").stdout), "the second pause to be told")
    world.drop_text("steps 10 0.1", "good.jpg")
    daemon.wait_for("job_finished")
    assert world.reasons()["killer.jpg"]["kind"] == "attempts"


def test_photo_that_kills_its_worker_each_time_goes_to_failed(make_cluster, make_world):
    world, cluster = make_world(), make_cluster(nodes=1)
    for word, name in (("kill", "killer"), ("bug", "bug"), ("text", "text"), ("paint", "good")):
        world.drop_text(word, f"{name}.jpg")
    assert start(world, cluster, "--once").wait()[0] == 1
    reasons = {photo: (reason["kind"], reason["message"]) for photo, reason in world.reasons().items()}
    kind, message = reasons.pop("killer.jpg")
    assert kind == "attempts"
    assert message.startswith(f"the worker fell on node {HEAD} (process ")
    assert message.endswith(") (attempt 2 of 2)")
    assert reasons == {
        "bug.jpg": ("engine", "ValueError: bug (attempt 2 of 2)"),
        "text.jpg": ("input", "is not an image"),
    }
    assert [*painted(world)] == ["good"]


def test_lost_head_gives_the_jobs_back_and_they_go_on_when_it_is_back(make_cluster, make_world, finish, unfinished):
    world, cluster = make_world(), make_cluster(nodes=1)
    world.drop_text(unfinished, "photo.jpg")
    daemon = start(world, cluster, "--verbose")
    wait_for_checkpoints(daemon, "photo.jpg")
    cluster.kill_node(HEAD)
    finish.touch()
    daemon.wait_for("job_given_back")
    trouble = daemon.wait_for("trouble")[0]
    assert trouble["subject"] == "painting"
    assert trouble["reason"].startswith("the worker is out of reach: ")
    eventually(lambda: len(daemon.logged("worker_started")) > 2, "another try")
    cluster.start_head()
    daemon.wait_for("job_finished")
    assert len(daemon.logged("job_resumed")) == 1
    assert [len(paths) for paths in painted(world).values()] == [1]


def test_killed_driver_is_replaced_and_its_actors_go(make_cluster, make_world, finish, unfinished):
    world, cluster = make_world(), make_cluster(nodes=1)
    world.drop_text(unfinished, "photo.jpg")
    daemon = start(world, cluster, "--verbose")
    wait_for_checkpoints(daemon, "photo.jpg")
    [orphan] = cluster.actors()
    [driver] = cluster.drivers()
    os.kill(driver, signal.SIGKILL)
    finish.touch()
    daemon.wait_for("job_finished")
    assert len(daemon.logged("job_resumed")) == 1
    assert daemon.logged("job_given_back")
    eventually(lambda: orphan not in cluster.actors(), "the end of the orphan")
    assert driver not in cluster.drivers()


def test_killed_daemon_leaves_no_actor_and_the_next_goes_on(make_cluster, make_world, finish, unfinished):
    world, cluster = make_world(), make_cluster(nodes=1)
    world.drop_text(unfinished, "photo.jpg")
    daemon = start(world, cluster, "--verbose")
    wait_for_checkpoints(daemon, "photo.jpg")
    daemon.signal(signal.SIGKILL)
    daemon.wait()
    finish.touch()
    eventually(lambda: not cluster.actors() and not cluster.drivers(), "the end of driver and actor")
    second = start(world, cluster, "--once")
    assert second.wait() == (0, "")
    assert len(second.logged("job_resumed")) == 1
    assert [len(paths) for paths in painted(world).values()] == [1]


def test_stopped_daemon_gives_all_jobs_back_with_their_checkpoints(make_cluster, make_world):
    world, cluster = make_world(worker="checkpoint_seconds: 3600"), make_cluster()
    # The larger a picture, the longer its checkpoint may take.
    world.config.write_text(world.config.read_text().replace("size_px: 64", "size_px: 4096"))
    for number in range(2):
        world.drop_text(LONG, f"{number}.jpg")
    daemon = start(world, cluster, "--verbose")
    eventually(lambda: len(steps := steps_of(world)) == 2 and all(steps.values()), "steps of both")
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == (0, "")
    assert len(daemon.logged("job_given_back")) == 2
    assert len(daemon.logged("checkpoint_written")) == 2
    eventually(lambda: not cluster.actors(), "the end of the actors")


def test_cancelled_job_leaves_its_worker_to_the_next(make_cluster, make_world):
    world, cluster = make_world(), make_cluster(nodes=1)
    world.drop_text(LONG, "photo.jpg")
    daemon = start(world, cluster)
    [started] = daemon.wait_for("job_started")
    eventually(lambda: steps_of(world).get("photo.jpg"), "a step")
    world.nstd("cancel", started["job"])
    daemon.wait_for("job_cancelled")
    world.drop_text("paint", "next.jpg")
    daemon.wait_for("job_finished")
    assert len(daemon.logged("worker_ready")) == 1


def test_photo_that_is_cancelled_before_its_worker_hears_of_it_is_not_painted(make_cluster, make_world):
    world, cluster = make_world(), make_cluster(nodes=1)
    world.drop_text("paint", "first.jpg")
    daemon = start(world, cluster)
    daemon.wait_for("job_finished")
    [driver] = cluster.drivers()
    os.kill(driver, signal.SIGSTOP)
    world.drop_text(LONG, "photo.jpg")
    started = daemon.wait_for("job_started", 2)[-1]
    world.nstd("cancel", started["job"])
    os.kill(driver, signal.SIGCONT)
    daemon.wait_for("job_cancelled")
    assert [*painted(world)] == ["first"]


def test_workers_come_and_go_with_the_queue(make_cluster, make_world, finish, unfinished):
    world = make_world(ray := "idle_minutes: 0.05, min_workers: 1, max_workers: 2", worker="")
    world.config.write_text(world.config.read_text().replace("workers: 2, ", "", 1))
    cluster = make_cluster()
    assert ray in world.config.read_text()
    daemon = start(world, cluster)
    world.drop_text("steps 10 0.1", "first.jpg")
    daemon.wait_for("job_finished")
    assert len(cluster.actors()) == 1
    for number in range(6):
        world.drop_text(unfinished, f"{number}.jpg")
    eventually(lambda: len(steps_of(world)) == 2, "two to paint")
    finish.touch()
    daemon.wait_for("job_finished", 7)
    daemon.wait_for("worker_released")
    eventually(lambda: len(cluster.actors()) == 1, "the end of what is idle")
    assert {one["worker"] for one in daemon.logged("worker_released")} == {"ray 2"}


def test_more_workers_than_places_wait_and_say_so(make_cluster, make_world):
    world, cluster = make_world(), make_cluster(nodes=1)
    for number in range(2):
        world.drop_text(LONG, f"{number}.jpg")
    start(world, cluster)
    counted, waits = "Workers: 1 waiting, 1 painting", "Waiting for a node of the cluster with 1 GPU and 1 CPU free"
    eventually(lambda: f"{counted}\n{waits}\n" in world.nstd("status").stdout, "the second one to wait")
    cluster.start_node()
    eventually(lambda: len(steps_of(world)) == 2, "both to paint")


def test_worker_that_no_node_suits_says_what_is_missing(make_cluster, make_world):
    world, cluster = make_world("memory_gib: 3000, accelerator_type: A100"), make_cluster(nodes=1)
    world.drop_text("paint", "photo.jpg")
    daemon = start(world, cluster)
    needs = "1 GPU, 1 CPU, 3000 GiB of memory and an accelerator of type A100"
    for lacking, options in (
        ("3000 GiB of memory and an accelerator of type A100", ('--resources={"accelerator_type:A100": 1}',)),
        ("3000 GiB of memory", (f"--memory={4000 << 30}",)),
        ("all of that", ('--resources={"accelerator_type:A100": 1}', f"--memory={4000 << 30}")),
    ):
        waits = f"Waiting for a node of the cluster with {needs} free; no node has {lacking} yet\n"
        eventually(lambda waits=waits: waits in world.nstd("status").stdout, waits)
        suitable = cluster.start_node(*options)
    daemon.wait_for("job_finished")
    assert [one["worker"] for one in daemon.logged("job_started")] == [f"{suitable} cpu"]


def test_full_object_store_defers_the_job(make_cluster, make_world):
    world, cluster = make_world(), make_cluster(nodes=1, store_bytes=80_000_000, environ=WITHOUT_SPILLING)
    world.drop_text("paint", "photo.jpg")
    daemon = start(world, cluster)
    trouble, *_ = daemon.wait_for("trouble")
    assert "object store" in trouble["reason"].lower() or "disk" in trouble["reason"].lower(), trouble
    [waiting] = world.status().next
    assert (waiting.photo, waiting.attempts) == ("photo.jpg", 0)


@pytest.mark.parametrize("address", [ADDRESS, CLIENT_ADDRESS], ids=["head", "client"])
def test_checkpoints_that_are_larger_than_the_object_store_travel_both_ways(make_cluster, make_world, finish, address):
    world, cluster = make_world(), make_cluster(nodes=1, environ=WITHOUT_SPILLING)
    world.config.write_text(world.config.read_text().replace(ADDRESS, address))
    world.drop_text(f"heavy {finish} 200", "photo.jpg")
    daemon = start(world, cluster, "--verbose")
    wait_for_checkpoints(daemon, "photo.jpg")
    [pid] = cluster.actors()
    os.kill(pid, signal.SIGKILL)
    resumed = daemon.wait_for("job_resumed")[0]
    assert resumed["step"] >= daemon.logged("checkpoint_written")[0]["step"]
    finish.touch()
    daemon.wait_for("job_finished")
    assert {one["bytes"] for one in daemon.logged("checkpoint_written")} == {200_000_012}
    assert not daemon.logged("trouble")


def test_checkpoint_whose_sender_falls_is_lost_alone(make_cluster, make_world, finish):
    world, cluster = make_world(), make_cluster(nodes=1)
    world.drop_text(f"cut {finish} 40", "photo.jpg")
    daemon = start(world, cluster, "--verbose")
    [resumed] = daemon.wait_for("job_resumed")
    assert resumed["step"] == daemon.logged("checkpoint_written")[0]["step"]
    ended = daemon.logged("worker_ended")
    assert len(ended) == 1
    assert ended[0]["how"].startswith(f"fell on node {HEAD} (process ")
    daemon.wait_for("checkpoint_written", 2)
    [folder] = (world.root / "state/queue/cur").iterdir()
    eventually(lambda: not [*folder.glob(".*.tmp")], "a moment in which nothing is on its way")
    finish.touch()
    daemon.wait_for("job_finished")


@pytest.mark.parametrize("address", [ADDRESS, CLIENT_ADDRESS], ids=["head", "client"])
def test_cluster_that_lets_anybody_in_is_refused(make_cluster, make_world, address):
    world, cluster = make_world(), make_cluster(nodes=1, token="")
    world.config.write_text(world.config.read_text().replace(ADDRESS, address))
    world.drop_text("paint", "photo.jpg")
    status, said = start(world, cluster, "--once", nstd=NSTD).wait()
    assert status == 78
    assert said == (
        f"ray.address: the Ray cluster at {address} lets anybody in who can reach it, and would run whatever they "
        "send: start it with RAY_AUTH_MODE=token, or set ray.insecure: true\n"
    )
    world.config.write_text(world.config.read_text().replace("ray: {", "ray: {insecure: true, "))
    assert start(world, cluster, "--once").wait() == (0, "")
    assert [*painted(world)] == ["photo"]


def test_wrong_token_and_wrong_port_are_told(make_cluster, make_world):
    world, cluster = make_world(), make_cluster(nodes=1)
    world.drop_text("paint", "photo.jpg")
    cluster.environ["RAY_AUTH_TOKEN"] = "b" * 64
    status, said = start(world, cluster, "--once", nstd=NSTD).wait()
    assert status == 78
    assert said == (
        f"ray.address: the Ray cluster at {ADDRESS} does not let nstd in: its token is none or another one (looked for "
        "in RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH and ~/.ray/auth_token)\n"
    )
    world.config.write_text(world.config.read_text().replace(ADDRESS, f"{HEAD}:10001"))
    status, said = start(world, cluster, "--once", nstd=NSTD).wait()
    assert (status, said) == (78, f"ray.address: what answers at {HEAD}:10001 is not the head of a Ray cluster\n")


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl (Debian package openssl)")
def test_cluster_that_asks_for_certificates_needs_no_token(make_cluster, make_world, tmp_path):
    names = ",".join(f"IP:{address}" for address in (HEAD, NODE, "127.0.0.1"))
    request = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=nstd")
    files = ("-addext", f"subjectAltName={names},DNS:localhost", "-keyout", "key.pem", "-out", "cert.pem")
    subprocess.run((*request, *files), cwd=tmp_path, check=True, capture_output=True)
    certificate, key = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    tls = {"RAY_USE_TLS": "1", "RAY_TLS_SERVER_CERT": certificate, "RAY_TLS_SERVER_KEY": key}
    world, cluster = make_world(), make_cluster(token="", environ=tls | {"RAY_TLS_CA_CERT": certificate})
    world.drop_text("paint", "photo.jpg")
    assert start(world, cluster, "--once").wait() == (0, "")
    assert [*painted(world)] == ["photo"]


def test_client_of_a_cluster_elsewhere_paints_too(make_cluster, make_world):
    world, cluster = make_world(), make_cluster(nodes=1)
    world.config.write_text(world.config.read_text().replace(ADDRESS, CLIENT_ADDRESS))
    world.drop_text("steps 10 0.1", "photo.jpg")
    daemon = start(world, cluster, "--once", "--verbose")
    assert daemon.wait() == (0, "")
    assert daemon.logged("checkpoint_written")
    assert [*painted(world)] == ["photo"]


def test_unreachable_cluster_is_told_at_once(make_cluster, make_world):
    world, cluster = make_world(), make_cluster(nodes=1)
    world.config.write_text(world.config.read_text().replace("6379", "6380"))
    world.drop_text("paint", "photo.jpg")
    status, said = start(world, cluster, "--once", nstd=NSTD).wait()
    assert (status, said.strip()) == (
        1,
        f"the worker cannot begin: cannot reach the Ray cluster at {HEAD}:6380: Connection refused",
    )
