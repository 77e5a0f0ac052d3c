"""What `nstd check` warns about, and as whom it looks."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from daemon_world import ASSETS, NSTD, NSTD_WITHOUT_POWERS

from nstd.checkup import warnings
from nstd.config.load import load_config
from nstd.config.settings import Config, Limits
from nstd.errors import ConfigError
from nstd.installation import Host
from nstd.users import current_user

MEMORY = "MemTotal:       24576000 kB\nMemFree: 1 kB\n"
PRESET = "presets: {p: {styles: [s.jpg]}}\n"


@pytest.fixture(autouse=True)
def service(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever tests is the service's user."""
    monkeypatch.setattr("nstd.checkup.USER", current_user())


@pytest.fixture(autouse=True)
def cuda(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """All of CUDA's libraries can be loaded, and pip has brought none of them."""
    answers: dict[str, object] = {"missing_libraries": (), "wheels": ()}
    monkeypatch.setattr("nstd.cuda.missing_libraries", lambda: answers["missing_libraries"])
    monkeypatch.setattr("nstd.cuda.wheels", lambda: answers["wheels"])
    return answers


@pytest.fixture
def meminfo(tmp_path: Path) -> Path:
    (tmp_path / "meminfo").write_text(MEMORY)
    return tmp_path / "meminfo"


def config(folder: Path, text: str) -> Config:
    (folder / "s.jpg").touch()
    (folder / "config.yaml").write_text(text)
    return load_config(folder / "config.yaml", check_image=lambda *_: None)


def large(_image: Path, _limits: Limits) -> tuple[int, int]:
    return 20_000, 20_000


class Unit:
    """A host that answers for the service's unit, and for nothing else."""

    def __init__(self, root: Path, **properties: str) -> None:
        self.properties = properties
        self.host = Host(root, self._answer)

    def _answer(self, command: tuple[str, ...]) -> str:
        *show, name, unit = command
        assert (show, unit) == (["systemctl", "show", "--value"], "nstd.service")
        return self.properties.get(name.removeprefix("--property="), "") + "\n"


def told(folder: Path, text: str, meminfo: Path, *, as_service: bool = False, **properties: str) -> list[str]:
    host = Unit(folder / "root", **properties).host
    return list(warnings(config(folder, text), host, as_service=as_service, meminfo=meminfo, probe=large))


def test_good_config_needs_no_warning(tmp_path, meminfo):
    assert told(tmp_path, PRESET, meminfo) == []


@pytest.mark.parametrize(
    ("engine", "size_px", "message"),
    [
        ("", 4096, "about 35.2 GiB of memory, and this machine has 23.4 GiB"),
        ("engine: {precision: float32}\n", 3072, "about 34.5 GiB of memory, and this machine has 23.4 GiB"),
        ("engine: {device: 'gpu:0', gpu_memory_gib: 2}\n", 1024, "about 3.0 GiB of memory, and engine.gpu_memory_gib"),
        ("", 3072, ""),
        ("engine: {precision: float32}\n", 2048, ""),
        ("engine: {device: 'gpu:0'}\n", 16384, ""),
    ],
)
def test_picture_that_memory_does_not_suffice_for_is_told(tmp_path, meminfo, engine, size_px, message):
    text = f"{engine}presets: {{small: {{styles: [s.jpg]}}, large: {{styles: [s.jpg], size_px: {size_px}}}}}\n"
    found = told(tmp_path, text, meminfo)
    if message:
        [found] = found
        assert found.startswith(f"presets.large.size_px: a square picture of {size_px} px takes {message}")
    else:
        assert found == []


@pytest.mark.parametrize(
    ("settings", "size", "enlarged"),
    [
        ("", (600, 400), None),
        ("size_px: 1024", (600, 400), "1024 x 683 for pictures of 1024 px"),
        ("style_scale: 2", (600, 400), "1024 x 683 for pictures of 512 px"),
        ("size_px: 640", (600, 400), None),
    ],
)
def test_style_image_that_must_be_enlarged_is_told(tmp_path, meminfo, settings, size, enlarged):
    loaded = config(tmp_path, f"presets: {{p: {{styles: [s.jpg], {settings}}}}}\n")
    host = Unit(tmp_path / "root").host
    found = list(warnings(loaded, host, as_service=False, meminfo=meminfo, probe=lambda *_: size))
    told_of = f"presets.p.styles: {tmp_path / 's.jpg'} has 600 x 400 px and is enlarged to about {enlarged}: "
    assert found == ([f"{told_of}it has no strokes that fine"] if enlarged else [])


@pytest.mark.parametrize("text", ["", "MemFree: 1 kB\n"])
def test_machine_that_does_not_tell_its_memory_is_not_judged(tmp_path, meminfo, text):
    meminfo.write_text(text)
    assert told(tmp_path, PRESET.replace("[s.jpg]", "[s.jpg], size_px: 16384"), meminfo) == []
    meminfo.unlink()
    assert told(tmp_path, PRESET.replace("[s.jpg]", "[s.jpg], size_px: 16384"), meminfo) == []


def test_service_is_told_what_it_cannot_reach(tmp_path, meminfo):
    inside = "outbox: /var/lib/nstd/o, originals: /var/lib/nstd/p, failed: /var/lib/nstd/f, state: /var/lib/nstd/s"
    text = f"spool: {{inbox: /srv/in, {inside}}}\npresets: {{p: {{styles: [s.jpg]}}}}\n"
    [found] = told(tmp_path, text, meminfo, as_service=True)
    assert found == (
        "spool.inbox: /srv/in is read-only for the service; 'systemctl edit nstd' opens it, by a section [Service] "
        "with ReadWritePaths=/srv/in and NoExecPaths=/srv/in"
    )
    assert told(tmp_path, text, meminfo, as_service=True, ReadWritePaths="/opt -/srv") == []
    at_home = text.replace("/srv/in", "/home/alice/in")
    [hidden] = told(tmp_path, at_home, meminfo, as_service=True, ReadWritePaths="/home")
    assert hidden == "spool.inbox: /home/alice/in: /home is hidden from the service"
    assert told(tmp_path, text, meminfo) == []


def test_service_is_told_what_it_lacks_for_a_cluster(tmp_path, meminfo):
    reachable = {"as_service": True, "ReadWritePaths": str(tmp_path)}
    text = "engine: {workers: ray}\nray: {address: 'head:6379'}\n" + PRESET
    address, file, network = told(tmp_path, text, meminfo, **reachable, PrivateNetwork="yes")
    assert address == (
        "ray.address: head:6379 is that of a node, of which the service's sandbox shows nothing: it reaches a cluster "
        "by ray://host:10001"
    )
    assert file == (
        "engine.workers: the service shows the cluster the token in /etc/nstd/ray-token, which is not there"
    )
    assert network == (
        "engine.workers: the service has no network; 'nstd install-service' and a restart gives it as much as a "
        "cluster needs"
    )
    (tmp_path / "root/etc/nstd").mkdir(parents=True)
    (tmp_path / "root/etc/nstd/ray-token").touch()
    assert (
        told(tmp_path, text.replace("head:6379", "ray://head:10001"), meminfo, **reachable, PrivateNetwork="no") == []
    )
    assert told(tmp_path, text, meminfo) == []


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        (
            "metrics: {listen: 'localhost:9188'}\n",
            "PrivateNetwork",
            (
                "metrics.listen: the service has no network; "
                "'nstd install-service' and a restart gives it as much as that needs"
            ),
        ),
        (
            "engine: {device: 'gpu:0'}\n",
            "PrivateDevices",
            "engine.device: the service sees no GPU; 'nstd install-service' and a restart gives it one",
        ),
    ],
)
def test_service_is_told_what_its_sandbox_lacks(tmp_path, meminfo, text, name, message):
    reachable = {"as_service": True, "ReadWritePaths": str(tmp_path)}
    assert told(tmp_path, text + PRESET, meminfo, **reachable, **{name: "yes"}) == [message]
    assert told(tmp_path, text + PRESET, meminfo, **reachable, **{name: "no"}) == []


@pytest.mark.parametrize(
    ("engine", "is_told"),
    [
        ("device: 'gpu:0'", True),
        ("devices: [cpu, 'gpu:1']", True),
        ("device: GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77", True),
        ("device: auto", False),
        ("device: cpu", False),
        ("workers: ray", False),
    ],
)
def test_library_that_a_wanted_gpu_lacks_is_told(tmp_path, meminfo, cuda, engine, is_told):
    reason = "libcudnn.so.9 cannot be loaded (no); pip install 'tensorflow[and-cuda]' brings it"
    cuda["missing_libraries"] = (reason,)
    found = told(tmp_path, f"engine: {{{engine}}}\n{PRESET}", meminfo)
    assert found == ([f"engine.device: TensorFlow will find no GPU: {reason}"] if is_told else [])


@pytest.mark.parametrize("sign", ["the driver's device", "pip's libraries"])
def test_library_that_is_lacking_is_told_where_a_gpu_seems_to_be(tmp_path, meminfo, cuda, sign):
    cuda["missing_libraries"] = ("libcuda.so.1 cannot be loaded (no); it comes with Nvidia's driver",)
    if sign == "pip's libraries":
        cuda["wheels"] = (tmp_path,)
    else:
        (tmp_path / "root/dev").mkdir(parents=True)
        (tmp_path / "root/dev/nvidiactl").touch()
    [found] = told(tmp_path, PRESET, meminfo)
    assert found.startswith("engine.device: TensorFlow will find no GPU: libcuda.so.1 ")
    assert told(tmp_path, f"engine: {{device: cpu}}\n{PRESET}", meminfo) == []


def test_only_root_can_tell_what_the_service_may_write(tmp_path, meminfo, monkeypatch):
    monkeypatch.setattr("nstd.checkup.USER", "nstd")
    assert told(tmp_path, PRESET, meminfo, as_service=True, ReadWritePaths=str(tmp_path)) == [
        "whether the service can write its folders is known to root only: run it by sudo"
    ]


def test_unit_that_systemd_does_not_tell_of_is_no_mistake(tmp_path, meminfo):
    def fail(_: tuple[str, ...]) -> str:
        raise ConfigError("systemctl: cannot connect")

    loaded = config(tmp_path, "metrics: {listen: 'localhost:9188'}\n" + PRESET)
    found = list(warnings(loaded, Host(tmp_path, fail), as_service=True, meminfo=meminfo, probe=large))
    assert all("is read-only for the service" in one for one in found)


def test_style_image_that_is_hidden_from_the_service_is_told(tmp_path, meminfo):
    loaded = config(tmp_path, "spool: {inbox: i, outbox: o, originals: p, failed: f, state: s}\n" + PRESET)
    preset = loaded.presets["p"]
    style = preset.styles[0].model_copy(update={"image": Path("/home/alice/s.jpg")})
    hidden = loaded.model_copy(update={"presets": {"p": preset.model_copy(update={"styles": (style,)})}})
    host = Unit(tmp_path / "root", ReadWritePaths=str(tmp_path)).host
    assert list(warnings(hidden, host, as_service=True, meminfo=meminfo, probe=large)) == [
        "presets.p: /home/alice/s.jpg: /home is hidden from the service"
    ]


def test_folders_that_cannot_be_written_are_told(tmp_path):
    """By somebody who has not root's powers."""
    shutil.copyfile(ASSETS / "styles/dots.jpg", tmp_path / "s.jpg")
    (tmp_path / "closed").mkdir()
    (tmp_path / "closed").chmod(0o555)
    (tmp_path / "barred").mkdir(mode=0)
    metrics = "metrics: {textfile: closed/nstd.prom}\n"
    (tmp_path / "config.yaml").write_text(f"spool: {{outbox: closed/out, state: barred/nstd/state}}\n{metrics}{PRESET}")
    command = [*NSTD_WITHOUT_POWERS, "check"]
    checked = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    closed = tmp_path / "closed"
    user = Path("~").expanduser().owner() if os.geteuid() else "root"
    assert checked.stderr.splitlines() == [
        f"warning: spool.outbox: {closed} cannot be written by {user} to make {closed}/out",
        f"warning: spool.state: {tmp_path}/barred cannot be written by {user} to make {tmp_path}/barred/nstd/state",
        f"warning: metrics.textfile: {closed} cannot be written by {user}",
    ]
    assert checked.returncode == 0
    assert checked.stdout == "config.yaml: good. Presets: p\n"


def test_check_of_a_user_tells_no_folder_that_is_yet_to_be_made(tmp_path):
    shutil.copyfile(ASSETS / "styles/dots.jpg", tmp_path / "s.jpg")
    (tmp_path / "config.yaml").write_text(PRESET)
    checked = subprocess.run([*NSTD, "check"], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")
