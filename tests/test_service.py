"""The service under a real systemd: from installing it to what its sandbox refuses."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from daemon_world import eventually
from systemd_world import CONFIG, NSTD, SPOOL, Machine, needs_systemd

from nstd import __version__

pytestmark = needs_systemd
UNIT = "etc/systemd/system/nstd.service"
# For who wants to see it: what systemd waits in earnest, in seconds instead of minutes.
IMPATIENT = "[Service]\nRestartSec=100ms\n"
WATCHED = IMPATIENT + "WatchdogSec=2s\n"


@pytest.fixture
def machine(tmp_path: Path, cache: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path / "machine", cache)
    yield machine
    machine.close()


@pytest.fixture
def service(machine: Machine) -> Machine:
    machine.install()
    return machine


def override(machine: Machine, text: str) -> None:
    (machine.root / f"{UNIT}.d/90-test.conf").write_text(text)
    machine.run("systemctl", "daemon-reload")


def jobs(machine: Machine, place: str) -> list[dict]:
    found = (machine.root / "var/lib/nstd/state/queue" / place).glob("*/job.json")
    return [json.loads(path.read_text()) for path in found]


def test_photo_of_a_user_is_painted_and_nobody_else_can_look(machine):
    told = machine.install()
    start, group, copy = told.splitlines()[-3:]
    assert group.startswith("  usermod -aG nstd-drop NAME ")
    assert copy == "  cp cat.jpg /var/lib/nstd/inbox/swirls/"
    for user in ("alice", "bob"):
        machine.run("useradd", "--create-home", user)
    machine.run("usermod", "-aG", "nstd-drop", "alice")
    machine.run(*start.split())
    assert machine.show("ActiveState") == "active"
    assert machine.show("StatusText") == "idle"
    weights = (machine.root / "var/cache/nstd/weights/vgg19.npz").stat()
    assert (weights.st_uid, weights.st_mode & 0o777) == ((machine.root / "var/cache/nstd").stat().st_uid, 0o644)
    assert weights.st_uid
    photo = machine.root / "opt/source/nstd/assets/photos/coffee.jpg"
    assert photo.exists()
    script = f"umask 077; cp /opt/source/nstd/assets/photos/coffee.jpg {SPOOL}/inbox/quick/"
    assert machine.run_as("bob", script).returncode
    done = machine.run_as("alice", script)
    assert (done.returncode, done.stderr) == (0, "")
    [finished] = machine.wait_for_event("job_finished")
    picture = finished["NSTD_PICTURE"]
    assert machine.results("quick") == [Path(picture).name]
    assert machine.run_as("alice", f"test -s {picture} && test -s {Path(picture).with_suffix('.json')}").returncode == 0
    assert machine.run_as("alice", f"test -s {SPOOL}/originals/quick/coffee.jpg").returncode == 0
    for forbidden in (f"touch {picture}", f"rm -f {picture}", f"touch {SPOOL}/outbox/quick/x", f"ls {SPOOL}/state"):
        assert machine.run_as("alice", forbidden).returncode, forbidden
    for forbidden in (f"cat {picture}", f"ls {SPOOL}/inbox", f"ls {SPOOL}/originals", f"ls {SPOOL}/state"):
        assert machine.run_as("bob", forbidden).returncode, forbidden

    job = finished["NSTD_JOB"]
    told = machine.entries(NSTD_JOB=job)
    assert [entry["NSTD_EVENT"] for entry in told] == ["job_queued", "job_started", "job_finished"]
    assert {entry["NSTD_PRESET"] for entry in told} == {"quick"}
    assert {entry["PRIORITY"] for entry in told} == {"6"}
    assert told[-1]["MESSAGE"].startswith(f"job_finished job={job} photo=coffee.jpg preset=quick picture={picture} ")
    assert not [entry for entry in machine.entries() if int(entry["PRIORITY"]) < 6]
    [ready] = machine.entries(NSTD_EVENT="worker_ready")
    assert ready["NSTD_NSTD_VERSION"] == __version__


def test_photo_that_its_owner_still_writes_is_not_taken(service):
    """The service may not look into other users' processes, and asks the kernel instead."""
    service.run("useradd", "--groups", "nstd-drop", "alice")
    service.start()
    photo = "/opt/source/nstd/assets/photos/coffee.jpg"
    script = f"exec 3> {SPOOL}/inbox/quick/coffee.jpg; cat >&3 {photo}; read line < {SPOOL}/inbox/quick/.go"
    service.run("mkfifo", "--mode=666", f"{SPOOL}/inbox/quick/.go")
    with ThreadPoolExecutor() as pool:
        writer = pool.submit(service.run_as, "alice", script)
        status = eventually(
            lambda: found if "is still open in" in (found := service.run(NSTD, "status")) else "", "the open photo"
        )
        assert "quick/coffee.jpg" in status
        assert not service.entries(NSTD_EVENT="job_queued")
        service.run("sh", "-c", f"echo > {SPOOL}/inbox/quick/.go")
        assert writer.result().returncode == 0
    service.wait_for_event("job_finished")


def test_status_says_what_is_painted_and_what_waits(service):
    service.start()
    service.drop("coffee.jpg", "endless")
    service.wait_for_event("job_started")
    service.drop("rocket.jpg", "endless")
    service.wait_for("StatusText", "painting coffee.jpg as endless, 0 %, 1 waiting")
    service.run("systemctl", "stop", "nstd")


def test_reload_takes_a_good_config_and_says_what_is_wrong_with_a_bad_one(service):
    service.start()
    pid = service.show("MainPID")
    config = service.root / "etc/nstd/config.yaml"
    config.write_text(CONFIG.replace("  quick:", "  swift:"))
    service.run("systemctl", "reload", "nstd")
    service.wait_for_event("config_reloaded")
    eventually((service.root / "var/lib/nstd/inbox/swift").exists, "the new preset's folder")
    config.write_text(CONFIG + "colour: red\n")
    service.run("systemctl", "reload", "nstd")
    lines = len(CONFIG.splitlines()) + 1
    service.wait_for("StatusText", f"idle; config refused: /etc/nstd/config.yaml:{lines}:1: colour: is not a known")
    service.wait_for("ActiveState", "active")
    assert [entry["PRIORITY"] for entry in service.entries(NSTD_EVENT="config_refused")] == ["3"]
    service.drop("coffee.jpg", "swift")
    service.wait_for_event("job_finished")
    config.write_text(CONFIG)
    service.run("systemctl", "reload", "nstd")
    eventually(lambda: service.show("StatusText") == "idle", "the good config's status")
    assert service.show("MainPID") == pid


def test_killed_worker_and_killed_daemon_lose_nothing(service):
    override(service, IMPATIENT)
    service.start()
    service.drop("coffee.jpg", "slow")
    service.wait_for_event("job_started")
    [started] = service.wait_for_event("worker_started")
    service.run("kill", "-KILL", started["NSTD_PID"])
    service.wait_for_event("job_started", 2)
    assert service.show("NRestarts") == "0"
    pid = service.show("MainPID")
    service.run("kill", "-KILL", pid)
    service.wait_for("NRestarts", "1")
    service.wait_for_event("job_finished")
    assert len(service.results("slow")) == 1
    assert service.show("MainPID") != pid
    assert jobs(service, "new") == jobs(service, "cur") == []


def test_hung_daemon_is_killed_by_the_watchdog_and_its_job_finished(service):
    override(service, WATCHED)
    service.start()
    pid = service.show("MainPID")
    service.drop("coffee.jpg", "slow")
    service.wait_for_event("job_started")
    assert service.show("NRestarts") == "0"
    service.run("kill", "-STOP", pid)
    service.wait_for("NRestarts", "1")
    service.wait_for("ActiveState", "active")
    log = service.run("journalctl", "--unit=nstd", "--output=cat")
    assert "Watchdog timeout" in log
    service.wait_for_event("job_finished")
    assert len(service.results("slow")) == 1
    assert service.show("MainPID") != pid


def test_daemon_with_a_busy_worker_keeps_its_watchdog_fed(service):
    override(service, WATCHED)
    service.start()
    pid = service.show("MainPID")
    service.drop("coffee.jpg", "endless")
    service.wait_for_event("job_started")
    beats = {service.show("WatchdogTimestamp")}
    while len(beats) < 5:
        beats.add(eventually(lambda: {service.show("WatchdogTimestamp")} - beats, "a beat").pop())
    assert service.show("MainPID") == pid


def test_stop_puts_the_job_back_and_the_next_start_goes_on_with_it(service):
    service.start()
    service.drop("coffee.jpg", "endless")
    checkpoints = service.root / "var/lib/nstd/state/queue/cur"
    eventually(lambda: list(checkpoints.glob("*/checkpoint")), "a checkpoint")
    began = time.monotonic()
    service.run("systemctl", "stop", "nstd")
    assert time.monotonic() - began < 30, "TimeoutStopSec"
    assert service.show("Result") == "success"
    [job] = jobs(service, "new")
    assert (job["attempts"], jobs(service, "cur")) == (0, [])
    service.start()
    [resumed] = service.wait_for_event("job_resumed")
    assert int(resumed["NSTD_STEP"]) > 0


def test_what_root_does_to_the_spool_leaves_it_the_services(service):
    service.start()
    checked = service.call(NSTD, "check")
    assert (checked.stdout, checked.stderr) == ("/etc/nstd/config.yaml: good. Presets: quick, slow, endless\n", "")
    (service.root / "var/lib/nstd/inbox/quick/text.jpg").write_text("no photo")
    [failed] = service.wait_for_event("job_failed")
    assert failed["PRIORITY"] == "3"
    service.run(NSTD, "retry", "--all")
    service.wait_for_event("job_failed", 2)
    service.run("systemctl", "stop", "nstd")
    service.run(NSTD, "retry", failed["NSTD_JOB"])
    service.run(NSTD, "cancel", failed["NSTD_JOB"])
    (service.root / "var/lib/nstd/inbox/quick/more.jpg").write_text("no photo")
    assert service.call("sh", "-c", f"cd /root && umask 077 && {NSTD} run --once").returncode == 1
    foreign = service.run("find", f"{SPOOL}/state", f"{SPOOL}/failed", "!", "-user", "nstd")
    assert foreign == ""
    assert failed["NSTD_JOB"] in service.run(NSTD, "status")

    service.run("chown", "root:root", f"{SPOOL}/outbox", "/etc/nstd/styles/embers.jpg")
    warned = service.call(NSTD, "check")
    assert warned.returncode == 0
    assert warned.stderr == f"warning: spool.outbox: {SPOOL}/outbox cannot be written by nstd\n"
    service.run("chmod", "600", "/etc/nstd/styles/embers.jpg")
    refused = service.call(NSTD, "check")
    assert refused.returncode == 78
    assert "must be a readable image (embers.jpg: cannot be read: Permission denied)" in refused.stderr


@pytest.mark.parametrize(
    ("spoil", "status"),
    [
        (lambda root: (root / "etc/nstd/config.yaml").write_text("presets: {}\n"), "78"),
        (lambda root: (root / "etc/nstd/config.yaml").chmod(0o600), "77"),
    ],
)
def test_what_wants_a_person_is_not_tried_again(service, spoil, status):
    override(service, IMPATIENT)
    spoil(service.root)
    assert service.call("systemctl", "start", "nstd").returncode
    assert service.show("ActiveState") == "failed"
    assert service.show("ExecMainStatus") == status
    assert service.show("NRestarts") == "0"
    assert "/etc/nstd/config.yaml" in service.run("journalctl", "--unit=nstd", "--output=cat", "--priority=err")


SHARED = "/dev/shm"  # noqa: S108  of all processes of the machine
SPOOL_FOLDERS = ("/var/lib/nstd/inbox", "/var/lib/nstd/state", "/var/cache/nstd")
WRITABLE = (*SPOOL_FOLDERS, "/tmp", "/var/tmp")  # noqa: S108  the service's own, which end with it
READ_ONLY = ("/etc", "/usr", "/opt/nstd", "/opt/python", "/var/lib", "/run", "/run/lock", "/sys", "/dev", SHARED)
FAMILIES = ("AF_INET", "AF_INET6", "AF_NETLINK", "AF_PACKET")
PROBE = f"""
import errno, json, mmap, os, shutil, socket, subprocess, sys

def refusal(act, *arguments):
    try:
        act(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno]
    return ""

def execute(folder):
    program = f"{{folder}}/program"
    shutil.copy("/usr/bin/true", program)
    os.chmod(program, 0o755)
    subprocess.run([program])

def map_code(folder):
    with open(f"{{folder}}/program", "rb") as file:
        mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ | mmap.PROT_EXEC, flags=mmap.MAP_PRIVATE)

print(json.dumps({{
    "network": [refusal(socket.socket, getattr(socket, name)) for name in {FAMILIES}],
    "interfaces": [line.split(":")[0].strip() for line in open("/proc/net/dev").readlines()[2:]],
    "read_only": [bool(os.statvfs(place).f_flag & os.ST_RDONLY) for place in {READ_ONLY}],
    "in_etc": refusal(open, "/etc/probe", "w"),
    "written": [refusal(open, f"{{place}}/probe", "w") for place in {WRITABLE}],
    "executed": [refusal(execute, folder) for folder in {WRITABLE}],
    "mapped": [refusal(map_code, folder) for folder in {WRITABLE}],
    "opened": {{device: refusal(open, device, "rb") for device in sys.argv[1:]}},
    "setgid": refusal(os.chmod, "/var/lib/nstd/state", 0o2700),
    "home": refusal(os.listdir, "/root"),
    "others": [name for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()],
}}))
"""


def probe(machine: Machine, *devices: str) -> dict:
    """Run a program under all that holds for nstd itself; return what was refused to it, and how."""
    (machine.root / "opt/probe.py").write_text(PROBE)
    command = " ".join(("/opt/nstd/bin/python", "/opt/probe.py", *devices))
    lines = ("Type=oneshot", "ExecStart=", f"ExecStart={command}", "StandardOutput=truncate:/run/probe.json")
    override(machine, "\n".join(("[Service]", *lines, "")))
    machine.start()
    return json.loads((machine.root / "run/probe.json").read_text())


def test_sandbox_refuses_network_writing_and_execution(service):
    found = probe(service, "/dev/null", "/dev/urandom", "/dev/fuse")
    assert found["network"] == ["EAFNOSUPPORT"] * len(FAMILIES)
    assert found["interfaces"] == ["lo"]
    assert found["read_only"] == [True] * len(READ_ONLY)
    assert found["in_etc"] == "EROFS"
    assert found["written"] == [""] * len(WRITABLE)
    assert found["executed"] == ["EACCES"] * len(WRITABLE)
    assert found["mapped"] == ["EPERM"] * len(WRITABLE)
    assert found["opened"] == {"/dev/null": "", "/dev/urandom": "", "/dev/fuse": "ENOENT"}
    assert found["setgid"] == "EPERM"
    assert found["home"] == "EACCES"
    assert found["others"] == []


def test_with_a_gpu_only_its_devices_are_there_besides(machine):
    """No GPU is here, so that another kind of device stands for its."""
    machine.run(NSTD, "install-service", "--gpu")
    (machine.root / f"{UNIT}.d/20-gpu.conf").write_text(
        (machine.root / f"{UNIT}.d/20-gpu.conf").read_text().replace("char-nvidia rw", "char-input rw")
    )
    assert " input\n" in Path("/proc/devices").read_text()
    for name, major, minor in (("listed", "13", "63"), ("unlisted", "10", "229")):
        machine.run("mknod", "--mode=666", f"/dev/{name}", "c", major, minor)
    found = probe(machine, "/dev/null", "/dev/listed", "/dev/unlisted")
    assert found["opened"]["/dev/null"] == ""
    assert found["opened"]["/dev/unlisted"] == "EPERM"
    assert found["opened"]["/dev/listed"] != "EPERM"
    assert found["network"] == ["EAFNOSUPPORT"] * len(FAMILIES)
    assert found["in_etc"] == "EROFS"


def test_metrics_are_within_reach_once_the_service_is_installed_for_them(service):
    config = service.root / "etc/nstd/config.yaml"
    config.write_text(CONFIG + "metrics: {listen: 127.0.0.1:9188, textfile: /var/lib/nstd/metrics/nstd.prom}\n")
    service.run("install", "-d", "-o", "nstd", "-g", "nstd", "-m", "755", f"{SPOOL}/metrics")
    service.run("ip", "link", "set", "lo", "up")
    service.start()
    service.wait_for("StatusText", "idle; metrics: cannot serve the metrics at 127.0.0.1:9188: Address family not supp")
    eventually((service.root / "var/lib/nstd/metrics/nstd.prom").exists, "the file")
    assert (service.root / "var/lib/nstd/metrics/nstd.prom").stat().st_mode & 0o777 == 0o644
    assert "metrics.listen: the service has no network" in service.call(NSTD, "check").stderr
    assert (
        "write /etc/systemd/system/nstd.service.d/20-metrics.conf" in service.run(NSTD, "install-service").splitlines()
    )
    service.run("systemctl", "restart", "nstd")
    read = "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:9188/metrics').read().decode())"
    eventually(
        lambda: "nstd_config_valid 1.0" in service.call("/opt/nstd/bin/python", "-c", read).stdout, "the metrics"
    )


def test_service_paints_in_a_cluster_that_knows_its_token(service):
    config = service.root / "etc/nstd/config.yaml"
    ray = "ray: {address: 'ray://127.0.0.1:10001', workers: 1, num_gpus: 0}\n"
    config.write_text(f"{CONFIG}engine: {{workers: ray}}\n{ray}")
    token = service.root / "etc/nstd/ray-token"
    token.write_text("t" * 64)
    token.chmod(0o600)
    service.run("ip", "link", "set", "lo", "up")
    start = "from ray.scripts.scripts import main; main()"
    options = ("--head", "--block", "--include-dashboard=false", "--num-cpus=2", "--ray-client-server-port=10001")
    environ = ("RAY_AUTH_MODE=token", f"RAY_AUTH_TOKEN={'t' * 64}", "RAY_USAGE_STATS_ENABLED=0", "HOME=/root")
    environ += ("GRPC_ENABLE_FORK_SUPPORT=0",)  # see docs/cluster.md
    service.run(
        *("systemd-run", "--unit=ray", *(f"--setenv={one}" for one in environ)),
        *("/opt/nstd/bin/python", "-c", start, "start", "--node-ip-address=127.0.0.1", *options),
    )
    assert "write /etc/systemd/system/nstd.service.d/20-cluster.conf" in service.run(NSTD, "install-service")
    assert "warning" not in service.call(NSTD, "check").stderr
    service.start()
    service.drop("coffee.jpg", "quick")
    service.wait_for_event("job_finished")
    [started] = service.entries(NSTD_EVENT="job_started")
    assert started["NSTD_WORKER"] == "127.0.0.1 cpu"
    assert len(service.results("quick")) == 1
    service.run("systemctl", "stop", "nstd")
    assert service.show("Result") == "success"


def test_installing_twice_changes_nothing_and_uninstalling_keeps_what_is_yours(service):
    service.start()
    service.drop("coffee.jpg", "quick")
    service.wait_for_event("job_finished")
    again = service.run(NSTD, "install-service").splitlines()
    assert not [line for line in again if line.startswith(("write ", "remove ", "fetch "))]
    assert "keep /etc/nstd/config.yaml" in again
    assert "  systemctl restart nstd" in again
    assert (service.root / "etc/nstd/config.yaml").read_text() == CONFIG
    service.run("systemctl", "restart", "nstd")
    service.run("systemctl", "enable", "nstd")

    dry = service.run(NSTD, "install-service", "--uninstall", "--dry-run").splitlines()
    assert all(line.startswith("would ") for line in dry)
    assert service.show("ActiveState") == "active"
    told = service.run(NSTD, "install-service", "--uninstall").splitlines()
    assert [f"would {line}" for line in told] == dry
    assert service.call("systemctl", "cat", "nstd").returncode
    assert not list((service.root / "etc/systemd/system").rglob("*nstd*"))
    assert not (service.root / "etc/sysusers.d/nstd.conf").exists()
    assert (service.root / "etc/nstd/config.yaml").read_text() == CONFIG
    assert len(service.results("quick")) == 1
    assert (service.root / "var/cache/nstd/weights/vgg19.npz").exists()
    assert service.run(NSTD, "install-service", "--uninstall").splitlines() == [
        "run systemctl daemon-reload",
        *(f"keep {folder}" for folder in ("/etc/nstd", "/var/lib/nstd", "/var/cache/nstd")),
    ]


def test_commands_of_the_readme_do_what_they_say(service):
    service.start()
    (service.root / "var/lib/nstd/inbox/quick/cat.jpg").write_text("no photo")
    service.wait_for_event("job_failed")
    service.drop("coffee.jpg", "endless")
    [_, started] = service.wait_for_event("job_started", 2)
    readme = (Path(__file__).parent.parent / "README.md").read_text()
    block = readme.split("To see what it does:\n\n```sh\n")[1].split("```")[0]
    status, wrong, photo, job = (line.partition("#")[0].split() for line in block.splitlines())
    assert "painting coffee.jpg as endless, " in service.run(*status)
    service.run("systemctl", "stop", "nstd")
    assert "job_failed" in service.run(*wrong)
    assert "job_queued" not in service.run(*wrong)
    lines = service.run(*photo, "-o", "cat").splitlines()
    assert [line.split()[0] for line in lines] == ["job_queued", "job_started", "job_failed"]
    field, _, _ = job[-1].partition("=")
    lines = service.run(*job[:-1], f"{field}={started['NSTD_JOB']}", "-o", "cat").splitlines()
    assert [line.split()[0] for line in lines[:2]] == ["job_queued", "job_started"]
    assert "job_given_back" in [line.split()[0] for line in lines]
