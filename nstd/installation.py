"""nstd as a service of systemd: putting it in place, and taking it away again."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from pwd import struct_passwd
from typing import Final

from nstd.config.load import load_config
from nstd.config.settings import Config, Workers
from nstd.errors import ConfigError, NstdError, WeightsError
from nstd.network import Network
from nstd.starter import create_project, writing
from nstd.users import acting_as, become, user_named
from nstd.weights.fetch import Progress, no_progress
from nstd.weights.pull import pull_weights
from nstd.weights.store import SERVICE_CACHE, cache_folder, load_weights, save_weights

SERVICE: Final = "nstd.service"
USER: Final = "nstd"
DROP_GROUP: Final = "nstd-drop"
CONFIG: Final = Path("/etc/nstd/config.yaml")
SPOOL: Final = Path("/var/lib/nstd")

_UNITS: Final = Path("/etc/systemd/system")
_OVERRIDES: Final = _UNITS / f"{SERVICE}.d"
_INSTALLATION: Final = _OVERRIDES / "10-installation.conf"
_RELOAD: Final = _OVERRIDES / "20-reload.conf"
_GPU: Final = _OVERRIDES / "20-gpu.conf"
_GPU_DEVICES: Final = _UNITS / "nstd-gpu.service"
_METRICS: Final = _OVERRIDES / "20-metrics.conf"
_CLUSTER: Final = _OVERRIDES / "20-cluster.conf"
CLUSTER_TOKEN: Final = CONFIG.parent / "ray-token"
"""As nstd-cluster.conf says."""
_SYSUSERS: Final = Path("/etc/sysusers.d/nstd.conf")
_TMPFILES: Final = Path("/etc/tmpfiles.d/nstd.conf")
_OURS: Final = (_UNITS / SERVICE, _INSTALLATION, _RELOAD, _GPU, _GPU_DEVICES, _METRICS, _CLUSTER, _SYSUSERS, _TMPFILES)
_HIDDEN: Final = (Path("/home"), Path("/root"), Path("/run/user"))
"""What `ProtectHome` hides from the service."""
_NVIDIA: Final = Path("/dev/nvidiactl")
_OLDEST_SYSTEMD: Final = 251
_NOTIFY_RELOAD_SINCE: Final = 253
_EVERYBODY_MAY_ENTER: Final = 0o005

Command = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """Something to do, or to leave as it is.

    Attributes:
        what: for a person, such as "write /etc/nstd/config.yaml".
        do: does it.
    """

    what: str
    do: Callable[[], object] = lambda: None


def _run(command: Command) -> str:
    """Run a program of systemd's.

    Raises:
        ConfigError: it is not here, or it failed; the message holds what it said.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  only from here
    except FileNotFoundError as error:
        msg = f"{command[0]}: is not on this machine; the service needs systemd"
        raise ConfigError(msg) from error
    if done.returncode:
        msg = f"{' '.join(command)}: exit status {done.returncode}: {(done.stderr or done.stdout).strip()}"
        raise ConfigError(msg)
    return done.stdout


def _places() -> tuple[Path, ...]:
    """Return where this nstd, its Python and its libraries lie."""
    packages = (Path(str(files(name))).parent for name in ("nstd", "numpy"))
    return tuple(dict.fromkeys(place.resolve() for place in (Path(sys.prefix), Path(sys.base_prefix), *packages)))


@dataclass(frozen=True, slots=True)
class Host:
    """The machine to install on.

    Attributes:
        root: of its file system.
        run: runs a program and returns what it printed; raises ConfigError.
        places: where this nstd, its Python and all its libraries lie.
        program: what starts this nstd.
    """

    root: Path = Path("/")
    run: Callable[[Command], str] = _run
    places: Sequence[Path] = field(default_factory=_places)
    program: Command = (sys.executable, "-P", "-m", "nstd")

    def path(self, path: Path) -> Path:
        """Return where a path of the machine's lies."""
        return self.root / path.relative_to("/")

    def exists(self, path: Path) -> bool:
        """Tell whether something lies there."""
        return self.path(path).exists()


def install(host: Host, *, gpu: bool | None = None, progress: Progress = no_progress) -> Iterator[Step]:
    """Yield what is to be done to install the service, one after the other; what is so already is only told.

    Args:
        host: where.
        gpu: whether the service may use a GPU; None: if there is one, if the config wants one, or if it may already.
        progress: told of every piece of the weights that is fetched.

    Raises:
        ConfigError: the service could not run this nstd; nothing was done yet.
    """
    _check_visible(host)
    _check_version(host)
    wanted = dict(_files(host, gpu=_wants_gpu(host) if gpu is None else gpu))
    for path, text in wanted.items():
        yield _write(host, path, text)
    yield from (_remove(host, path) for path in _OURS if path not in wanted and host.exists(path))
    yield _call(host, "systemd-sysusers", _SYSUSERS.name)
    yield _call(host, "systemd-tmpfiles", "--create", _TMPFILES.name)
    yield _configure(host)
    if _is_running(host):
        yield _call(host, "systemctl", "daemon-reload")
    yield _fetch_weights(host, progress)


def uninstall(host: Host) -> Iterator[Step]:
    """Yield what is to be done to stop and remove the service; config, photos, pictures and weights stay."""
    if _is_running(host) and host.exists(_UNITS / SERVICE):
        yield _call(host, "systemctl", "disable", "--now", SERVICE)
    yield from (_remove(host, path) for path in _OURS if host.exists(path))
    if host.exists(_OVERRIDES) and not any(path not in _OURS for path in _overrides(host)):
        yield Step(f"remove {_OVERRIDES}", host.path(_OVERRIDES).rmdir)
    if _is_running(host):
        yield _call(host, "systemctl", "daemon-reload")
    yield from (Step(f"keep {path}") for path in (CONFIG.parent, SPOOL, SERVICE_CACHE) if host.exists(path))


def next_commands(host: Host) -> tuple[str, str, str]:
    """Return what a person does next, after `install`."""
    is_active = False
    if _is_running(host):
        with suppress(ConfigError):
            is_active = host.run(("systemctl", "is-active", SERVICE)).strip() == "active"
    return (
        "systemctl restart nstd" if is_active else "systemctl enable --now nstd",
        f"usermod -aG {DROP_GROUP} NAME    # who may drop photos, from the next login on",
        f"cp cat.jpg {SPOOL}/inbox/swirls/",
    )


def _check_visible(host: Host) -> None:
    """Raise ConfigError if the service could not read the program that it is to run."""
    for place in host.places:
        if hidden := hidden_from_service(place):
            why = f"{hidden} is hidden from it"
        elif closed := next((folder for folder in (place, *place.parents) if not _is_open(folder)), None):
            why = f"{closed} is closed to other users"
        else:
            why = ""
        if why:
            msg = (
                f"{place}: nstd runs from here, where the service cannot look: {why}; install nstd, and the Python "
                "that it runs with, where everybody may look, as with '/usr/bin/python3 -m venv /opt/nstd'"
            )
            raise ConfigError(msg)


def _check_version(host: Host) -> None:
    if (version := _version(host)) < _OLDEST_SYSTEMD:
        msg = f"systemd {version} is too old for nstd's service: it needs {_OLDEST_SYSTEMD} or newer"
        raise ConfigError(msg)


def _is_open(folder: Path) -> bool:
    return folder.stat().st_mode & _EVERYBODY_MAY_ENTER == _EVERYBODY_MAY_ENTER


def _files(host: Host, *, gpu: bool) -> Iterator[tuple[Path, str]]:
    yield _UNITS / SERVICE, _asset(SERVICE)
    yield _INSTALLATION, _installation(host)
    if _version(host) >= _NOTIFY_RELOAD_SINCE:
        yield _RELOAD, _asset("nstd-reload.conf")
    if gpu:
        yield _GPU_DEVICES, _asset(_GPU_DEVICES.name)
        yield _GPU, _asset("nstd-gpu.conf")
    config = _config(host)
    if config.metrics.listen if config else host.exists(_METRICS):
        yield _METRICS, _asset("nstd-metrics.conf")
    if config.engine.workers is Workers.RAY if config else host.exists(_CLUSTER):
        yield _CLUSTER, _asset("nstd-cluster.conf")
    yield _SYSUSERS, _asset("nstd.sysusers")
    yield _TMPFILES, _asset("nstd.tmpfiles")


def _wants_gpu(host: Host) -> bool:
    config = _config(host)
    is_asked_for = config is not None and config.engine.wants_gpu
    return is_asked_for or host.exists(_NVIDIA) or host.exists(_GPU)


def _installation(host: Host) -> str:
    """Write the override that says where this nstd lies."""
    command = (*host.program, "run", "--config", str(CONFIG))
    lines = (
        "# Where the nstd lies that `nstd install-service` has installed.",
        "[Service]",
        "ExecStart=",
        f"ExecStart={' '.join(map(_quoted, command))}",
    )
    return "\n".join(lines) + "\n"


def _quoted(word: str) -> str:
    """Write a word so that systemd reads it as it is (systemd.syntax(7), systemd.unit(5))."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"' if any(character in word for character in " \t'\";\\") else escaped


def _version(host: Host) -> int:
    """Return systemd's version."""
    return int(host.run(("systemctl", "--version")).split()[1])


def _is_running(host: Host) -> bool:
    """Tell whether systemd is what has started this machine, as sd_booted(3) does."""
    return host.exists(Path("/run/systemd/system"))


def _overrides(host: Host) -> list[Path]:
    return [_OVERRIDES / path.name for path in host.path(_OVERRIDES).iterdir()]


def _write(host: Host, path: Path, text: str) -> Step:
    place = host.path(path)
    if place.is_file() and place.read_text() == text:
        return Step(f"keep {path}")

    def write() -> None:
        with writing(place):
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)

    return Step(f"write {path}", write)


def _remove(host: Host, path: Path) -> Step:
    def remove() -> None:
        with writing(host.path(path)):
            host.path(path).unlink()

    return Step(f"remove {path}", remove)


def _call(host: Host, *command: str) -> Step:
    return Step(f"run {' '.join(command)}", lambda: host.run(command))


def _configure(host: Host) -> Step:
    if host.exists(CONFIG):
        mistake = "" if _config(host) else ", which has a mistake: see 'nstd check'"
        return Step(f"keep {CONFIG}{mistake}")
    return Step(f"write {CONFIG}", lambda: create_project(host.path(CONFIG.parent), spool=SPOOL))


def _fetch_weights(host: Host, progress: Progress) -> Step:
    config, cache = _config(host), host.path(SERVICE_CACHE)
    network = config.engine.network if config else Network.VGG19
    with suppress(WeightsError), acting_as(user_named(USER)):
        load_weights(network, cache)
        return Step(f"keep the weights of {network} in {SERVICE_CACHE}")

    def fetch() -> None:
        try:
            weights = pull_weights(network, cache_folder(os.environ), progress=progress).weights
        except WeightsError as error:
            msg = f"{error}, as root, and then install-service again"
            raise WeightsError(msg) from error
        # The folder is the service's: as root we would follow whatever link lies there.
        with acting_as(user_named(USER)):
            save_weights(weights.arrays, weights.provenance, cache)

    return Step(f"fetch the weights of {network} into {SERVICE_CACHE}", fetch)


def _config(host: Host) -> Config | None:
    """Return the service's config; None if there is none yet, or if it has a mistake."""
    try:
        return load_config(host.path(CONFIG), check_image=lambda *_: None)
    except ConfigError:
        return None


def _asset(name: str) -> str:
    return (files("nstd") / "assets" / "systemd" / name).read_text()


def service_user(config: Path) -> struct_passwd | None:
    """Return whom the daemon runs as with this config: None, whoever starts it, unless it is the service's."""
    return user_named(USER) if config.absolute() == CONFIG else None


def become_service(config: Path) -> None:
    """Let root run the service's config as the service would, so that its files remain its own."""
    if (user := service_user(config)) and not os.geteuid():
        become(user)
        os.umask(0o022)
        os.environ |= {"NSTD_CACHE": str(SERVICE_CACHE), "HOME": user.pw_dir}


def hidden_from_service(path: Path) -> Path | None:
    """Return the folder that keeps the service from a path, whatever its permissions are."""
    return next((folder for folder in _HIDDEN if path.is_relative_to(folder)), None)


def property_of_service(host: Host, name: str) -> str:
    """Return a property of the unit, as systemd has read it with all overrides; empty if it does not tell."""
    try:
        return host.run(("systemctl", "show", "--value", f"--property={name}", SERVICE)).strip()
    except ConfigError:
        return ""


def require_root() -> None:
    """Raise an error unless this process may do anything."""
    if os.geteuid():
        msg = "only root may install or remove a service: run it by sudo"
        raise NstdError(msg) from PermissionError(msg)
