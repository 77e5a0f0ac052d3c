"""Installing as a service, on a folder in a real machine's place; tests/test_service.py does it on a machine."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from weights_samples import sample_arrays

from nstd import cli, installation
from nstd.config.load import load_config
from nstd.errors import ConfigError, NstdError, WeightsError
from nstd.images.decode import decode_image
from nstd.installation import CONFIG, Host, hidden_from_service, install, next_commands, property_of_service, uninstall
from nstd.network import Network
from nstd.weights.pull import Pulled
from nstd.weights.store import Provenance, load_weights, save_weights

ROOT = Path(__file__).parent.parent
PROVENANCE = Provenance(network=Network.VGG16, source="keras", source_file="a.h5", source_sha256="0" * 64)
UNITS = "etc/systemd/system"
OVERRIDES = f"{UNITS}/nstd.service.d"
pytestmark = pytest.mark.usefixtures("cache")
needs_analyze = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="needs systemd-analyze (Debian package systemd)"
)


class Box:
    """A machine's root in a folder, and what was run there."""

    def __init__(self, root: Path, *, version: int = 252, booted: bool = True) -> None:
        self.root = root
        self.ran: list[str] = []
        self.answers = {
            "systemctl --version": f"systemd {version} ({version}.39-1)\n+PAM\n",
            "systemctl is-active nstd.service": "inactive\n",
        }
        (root / "opt/nstd").mkdir(parents=True)
        if booted:
            (root / "run/systemd/system").mkdir(parents=True)
        self.host = Host(root, self._run, places=(Path("/usr"),), program=(sys.executable, "-m", "nstd"))

    def install(self, *, gpu: bool | None = None) -> list[str]:
        self.ran.clear()
        told = []
        for step in install(self.host, gpu=gpu):
            told.append(step.what)
            step.do()
        return told

    def uninstall(self) -> list[str]:
        self.ran.clear()
        told = []
        for step in uninstall(self.host):
            told.append(step.what)
            step.do()
        return told

    def overrides(self) -> list[str]:
        return sorted(path.name for path in (self.root / OVERRIDES).iterdir())

    def _run(self, command: tuple[str, ...]) -> str:
        line = " ".join(command)
        if line not in self.answers:
            self.ran.append(line)
        return self.answers.get(line, "")


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def test_units_in_the_root_are_the_ones_that_are_installed():
    assert (ROOT / "systemd").is_symlink()
    assert (ROOT / "systemd").resolve() == ROOT / "nstd/assets/systemd"


def test_everything_is_put_in_place(box):
    assert box.install() == [
        "write /etc/systemd/system/nstd.service",
        "write /etc/systemd/system/nstd.service.d/10-installation.conf",
        "write /etc/sysusers.d/nstd.conf",
        "write /etc/tmpfiles.d/nstd.conf",
        "run systemd-sysusers nstd.conf",
        "run systemd-tmpfiles --create nstd.conf",
        "write /etc/nstd/config.yaml",
        "run systemctl daemon-reload",
        "fetch the weights of vgg19 into /var/cache/nstd",
    ]
    assert box.ran == ["systemd-sysusers nstd.conf", "systemd-tmpfiles --create nstd.conf", "systemctl daemon-reload"]
    assert (box.root / UNITS / "nstd.service").read_text() == (ROOT / "systemd/nstd.service").read_text()
    assert (
        f"\nExecStart={sys.executable} -m nstd run --config /etc/nstd/config.yaml\n"
        in (box.root / OVERRIDES / "10-installation.conf").read_text()
    )
    assert (box.root / "var/cache/nstd/weights/vgg19.npz").stat().st_mode & 0o777 == 0o644
    config = load_config(box.root / "etc/nstd/config.yaml", check_image=decode_image)
    assert {getattr(config.spool, name).parent for name in ("inbox", "outbox", "originals", "failed", "state")} == {
        Path("/var/lib/nstd")
    }
    assert next_commands(box.host)[0] == "systemctl enable --now nstd"


def test_second_time_only_what_has_changed_is_written(box):
    box.install()
    (box.root / UNITS / "nstd.service").write_text("[Service]\n")
    (box.root / CONFIG.relative_to("/")).write_text("mine: yes\n")
    box.answers["systemctl is-active nstd.service"] = "active\n"
    told = box.install()
    assert [line for line in told if not line.startswith(("keep ", "run "))] == [
        "write /etc/systemd/system/nstd.service"
    ]
    assert "keep /etc/nstd/config.yaml, which has a mistake: see 'nstd check'" in told
    assert "keep the weights of vgg19 in /var/cache/nstd" in told
    assert (box.root / CONFIG.relative_to("/")).read_text() == "mine: yes\n"
    assert next_commands(box.host)[0] == "systemctl restart nstd"


@pytest.mark.parametrize(("version", "names"), [(252, []), (253, ["20-reload.conf"]), (257, ["20-reload.conf"])])
def test_newer_systemd_waits_for_a_reload(tmp_path, version, names):
    box = Box(tmp_path, version=version)
    box.install()
    assert box.overrides() == ["10-installation.conf", *names]


def test_gpu_is_given_where_there_is_one_and_taken_away_again(box):
    (box.root / "dev").mkdir()
    (box.root / "dev/nvidiactl").touch()
    box.install()
    assert box.overrides() == ["10-installation.conf", "20-gpu.conf"]
    (box.root / "dev/nvidiactl").unlink()  # as while the driver is upgraded
    box.install()
    assert box.overrides() == ["10-installation.conf", "20-gpu.conf"]
    assert "remove /etc/systemd/system/nstd.service.d/20-gpu.conf" in box.install(gpu=False)
    assert box.overrides() == ["10-installation.conf"]
    box.install(gpu=True)
    assert box.overrides() == ["10-installation.conf", "20-gpu.conf"]


@pytest.mark.parametrize(
    ("setting", "override"),
    [
        ("metrics: {listen: 'localhost:9188'}", "20-metrics.conf"),
        ("engine: {device: 'gpu:0'}", "20-gpu.conf"),
        ("engine: {devices: ['cpu', 'gpu:0']}", "20-gpu.conf"),
        ("engine: {workers: ray}", "20-cluster.conf"),
    ],
)
def test_service_is_given_what_its_config_needs(box, setting, override):
    box.install()
    config = box.root / "etc/nstd/config.yaml"
    config.write_text(f"{setting}\npresets: {{p: {{styles: [styles/dots.jpg]}}}}\n")
    box.install()
    assert box.overrides() == ["10-installation.conf", override]
    config.write_text("presets: {p: {styles: [styles/dots.jpg]}}\n")
    box.install(gpu=False)
    assert box.overrides() == ["10-installation.conf"]


def test_config_with_a_mistake_takes_nothing_away(box):
    box.install()
    config = box.root / "etc/nstd/config.yaml"
    config.write_text("metrics: {listen: 'localhost:9188'}\npresets: {p: {styles: [styles/dots.jpg]}}\n")
    box.install()
    config.write_text("colour: red\n")
    assert "keep /etc/nstd/config.yaml, which has a mistake: see 'nstd check'" in box.install()
    assert box.overrides() == ["10-installation.conf", "20-metrics.conf"]


def test_systemd_that_is_too_old_is_told_before_anything_is_done(tmp_path):
    box = Box(tmp_path, version=250)
    with pytest.raises(ConfigError, match=r"^systemd 250 is too old for nstd's service: it needs 251 or newer$"):
        box.install()
    assert not (tmp_path / "etc").exists()


def test_weights_that_cannot_be_fetched_are_told_with_the_way_by_hand(box, monkeypatch):
    def pull(*_: object, **__: object) -> Pulled:
        raise WeightsError("no; run 'nstd weights pull --from FILE'")

    monkeypatch.setattr(installation, "pull_weights", pull)
    with pytest.raises(WeightsError, match=r"^no; run .* --from FILE', as root, and then install-service again$"):
        box.install()


def test_damaged_weights_are_fetched_anew(box):
    box.install()
    weights = box.root / "var/cache/nstd/weights/vgg19.npz"
    sound = weights.read_bytes()
    weights.write_bytes(sound[:-1])
    assert box.install()[-1] == "fetch the weights of vgg19 into /var/cache/nstd"
    assert weights.read_bytes() == sound


def test_weights_are_those_that_the_config_asks_for(box, monkeypatch):
    asked = []
    samples = save_weights(sample_arrays(Network.VGG16), PROVENANCE, box.root / "samples")

    def pull(network: Network, *_: object, **__: object) -> Pulled:
        asked.append(network)
        return Pulled(samples, fetched=True)

    monkeypatch.setattr(installation, "pull_weights", pull)
    monkeypatch.setenv("NSTD_CACHE", str(box.root / "nothing"))
    folder = box.root / "etc/nstd"
    (folder / "styles").mkdir(parents=True)
    shutil.copy(ROOT / "nstd/assets/styles/dots.jpg", folder / "styles")
    (folder / "config.yaml").write_text("engine: {network: vgg16}\npresets: {p: {styles: [styles/dots.jpg]}}\n")
    assert box.install()[-1] == "fetch the weights of vgg16 into /var/cache/nstd"
    assert asked == ["vgg16"]
    assert load_weights(Network.VGG16, box.root / "var/cache/nstd").sha256 == samples.sha256


def test_uninstalling_leaves_what_is_not_ours(box):
    box.install(gpu=True)
    (box.root / OVERRIDES / "override.conf").write_text("[Service]\nMemoryMax=8G\n")
    (box.root / "var/lib/nstd").mkdir(parents=True)
    told = box.uninstall()
    assert told[0] == "run systemctl disable --now nstd.service"
    assert told[-3:] == ["keep /etc/nstd", "keep /var/lib/nstd", "keep /var/cache/nstd"]
    assert box.overrides() == ["override.conf"]
    assert sorted(path.name for path in (box.root / "etc").rglob("*nstd*")) == ["nstd", "nstd.service.d"]
    (box.root / OVERRIDES / "override.conf").unlink()
    assert "remove /etc/systemd/system/nstd.service.d" in box.uninstall()
    assert not (box.root / OVERRIDES).exists()


def test_machine_that_systemd_has_not_started_is_only_prepared(tmp_path):
    box = Box(tmp_path, booted=False)
    box.install()
    box.uninstall()
    assert not [line for line in box.ran if "daemon-reload" in line or "disable" in line]


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("/root/.pyenv/versions/3.11.7", "/root is hidden from it"),
        ("/home/alice/nstd", "/home is hidden from it"),
        ("{closed}/venv", "{closed} is closed to other users"),
    ],
)
def test_nstd_that_the_service_cannot_read_is_told_before_anything_is_done(tmp_path, place, why):
    closed = tmp_path / "closed"
    (closed / "venv").mkdir(parents=True)
    closed.chmod(0o700)
    place, why = place.format(closed=closed), why.format(closed=closed)
    host = Host(tmp_path / "root", lambda _: "systemd 252", places=(Path(place),))
    with pytest.raises(ConfigError) as told:
        next(install(host))
    assert str(told.value) == (
        f"{place}: nstd runs from here, where the service cannot look: {why}; install nstd, and the Python that "
        "it runs with, where everybody may look, as with '/usr/bin/python3 -m venv /opt/nstd'"
    )
    assert not (tmp_path / "root").exists()


def test_folder_that_cannot_be_written_is_named(box):
    (box.root / "etc").mkdir()
    (box.root / "etc/sysusers.d").touch()
    with pytest.raises(
        ConfigError, match=r"/etc/sysusers\.d(/nstd\.conf)?: cannot be written: (Not a directory|File exists)$"
    ):
        box.install()
    (box.root / UNITS / "nstd.service").unlink()
    (box.root / UNITS / "nstd.service").mkdir()
    with pytest.raises(ConfigError, match=r"/nstd\.service: cannot be written: Is a directory$"):
        box.uninstall()


def test_this_nstds_places_are_found():
    places = Host().places
    assert Path(sys.prefix) in places
    assert Path(sys.base_prefix) in places
    assert ROOT in places
    assert any((place / "tensorflow").is_dir() for place in places)


@pytest.mark.parametrize(
    ("word", "written"),
    [
        ("/opt/nstd/bin/python", "/opt/nstd/bin/python"),
        ("/opt/my nstd/python", '"/opt/my nstd/python"'),
        ('/opt/100%"$x', '"/opt/100%%\\"$$x"'),
        ("/opt/back\\slash", '"/opt/back\\\\slash"'),
    ],
)
def test_words_are_quoted_for_systemd(box, word, written):
    host = Host(box.root, box.host.run, places=(), program=(word,))
    text = next(step for step in install(host) if "10-installation" in step.what)
    text.do()
    assert f"\nExecStart={written} run " in (box.root / OVERRIDES / "10-installation.conf").read_text()


def test_program_that_fails_or_is_missing_is_named():
    with pytest.raises(ConfigError, match=r"^sh -c echo no >&2; exit 3: exit status 3: no$"):
        Host().run(("sh", "-c", "echo no >&2; exit 3"))
    with pytest.raises(ConfigError, match=r"^nstd-no-such-program: is not on this machine; the service needs systemd$"):
        Host().run(("nstd-no-such-program",))


def test_only_root_may_install(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["nstd", "install-service"])
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 77
    assert capsys.readouterr().err == "only root may install or remove a service: run it by sudo\n"
    with pytest.raises(NstdError):
        installation.require_root()


def test_what_the_service_may_see_is_known(box):
    assert hidden_from_service(Path("/home/alice/style.jpg")) == Path("/home")
    assert hidden_from_service(Path("/srv/style.jpg")) is None
    box.answers["systemctl show --value --property=ReadWritePaths nstd.service"] = "/srv/in -/srv/out\n"
    assert property_of_service(box.host, "ReadWritePaths") == "/srv/in -/srv/out"
    assert property_of_service(Host(run=lambda _: Host().run(("false",))), "ReadWritePaths") == ""


def analyse(box: Box, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Ask systemd about the unit as it is installed, with its overrides."""
    command = ["env", f"SYSTEMD_UNIT_PATH={box.root / UNITS}:", "systemd-analyze", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


@needs_analyze
@pytest.mark.parametrize("gpu", [False, True])
def test_systemd_finds_nothing_to_complain_of(box, gpu):
    box.install(gpu=gpu)
    verified = analyse(box, "verify", "--man=no", "nstd.service")
    assert (verified.returncode, verified.stdout, verified.stderr) == (0, "", "")


def test_devices_of_the_gpu_are_made_before_the_start_by_root(box):
    """By a unit of its own, for systemd settles which devices nstd may use before anything of nstd.service runs.

    It must not matter whether that works: with nvidia-persistenced, or in a container, it is not even there.
    """
    box.install(gpu=True)
    override = (box.root / OVERRIDES / "20-gpu.conf").read_text().splitlines()
    assert {"Wants=nstd-gpu.service", "After=nstd-gpu.service"} <= set(override)
    unit = (box.root / UNITS / "nstd-gpu.service").read_text().splitlines()
    assert {"Type=oneshot", "ExecStart=-/usr/bin/nvidia-modprobe -u -c 0"} <= set(unit)
    assert "User=nstd" not in unit
    assert "remove /etc/systemd/system/nstd-gpu.service" in box.install(gpu=False)
    assert not (box.root / UNITS / "nstd-gpu.service").exists()


@needs_analyze
def test_systemd_finds_nothing_to_complain_of_in_the_unit_of_the_devices(box):
    box.install(gpu=True)
    verified = analyse(box, "verify", "--man=no", "nstd-gpu.service")
    assert (verified.returncode, verified.stdout, verified.stderr) == (0, "", "")


@needs_analyze
def test_systemd_would_complain_of_a_mistake(box):
    box.install()
    (box.root / OVERRIDES / "override.conf").write_text("[Service]\nColour=red\n")
    assert "Colour" in analyse(box, "verify", "--man=no", "nstd.service").stderr


@needs_analyze
@pytest.mark.parametrize(
    ("override", "tenths"), [("", 5), ("nstd-gpu.conf", 10), ("nstd-metrics.conf", 12), ("nstd-cluster.conf", 15)]
)
def test_exposure_is_low(box, override, tenths):
    box.install(gpu=False)
    if override:
        shutil.copy(ROOT / "systemd" / override, box.root / OVERRIDES)
    told = analyse(box, "security", "--offline=true", "--no-pager", f"--threshold={tenths}", "nstd.service")
    assert told.returncode == 0, told.stdout
    assert "Overall exposure level for nstd.service" in told.stdout
