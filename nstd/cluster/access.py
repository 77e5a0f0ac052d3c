"""Who gets into a cluster: we, and nobody without a token or a certificate.

Reference:
    Ray's documentation: "Token authentication" (RAY_AUTH_MODE) and "TLS authentication" (RAY_USE_TLS).
"""

import contextlib
import os
import re
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import ray
from ray.exceptions import RayError

from nstd.cluster.messages import warn
from nstd.cluster.wording import in_a_line
from nstd.config.settings import ClusterSettings
from nstd.errors import ConfigError, SpoolError

_AUTO: Final = "auto"
_CLIENT: Final = "ray://"
_ANSWER_SECONDS: Final = 10.0
_TOKEN_FILE: Final = "~/.ray/auth_token"  # noqa: S105  the file of one
_LOOKED_FOR: Final = f"looked for in RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH and {_TOKEN_FILE}"
# The oldest and the newest that the tests have run with; pyproject.toml allows no others.
TESTED: Final = ((2, 52), (2, 60))
# What another version may call otherwise; Ray promises none of it.
_RENAMED: Final = (AttributeError, ImportError, LookupError, TypeError)
# It came with 2.52; a version that names it otherwise has it in the same family.
_AuthenticationError: Final = getattr(ray.exceptions, "AuthenticationError", RayError)


def connect(settings: ClusterSettings) -> None:
    """Make this process a driver of the cluster.

    Raises:
        ConfigError: it does not let us in, or lets anybody in, or is of another version.
        SpoolError: it cannot be reached.
    """
    where = f"the Ray cluster at {settings.address}"
    _compare_version(ray.__version__)
    try:
        # Ray itself tries for minutes before it gives up, and shows its token to whoever is there.
        if settings.address != _AUTO:
            _reach(_server(settings))
            _check_door(settings, where)
        ray.init(address=settings.address, log_to_driver=False, logging_level="error")
        if settings.address == _AUTO:
            _check_door(settings, where)
    except _AuthenticationError as error:
        msg = f"ray.address: {where} does not let nstd in: {in_a_line(error)}"
        raise ConfigError(msg) from error
    except (ConnectionError, TimeoutError, OSError, ValueError) as error:
        msg = f"cannot reach {where}: {in_a_line(error)}"
        raise SpoolError(msg) from error
    except RuntimeError as error:
        msg = f"ray.address: {where} cannot be used: {in_a_line(error)}"
        raise ConfigError(msg) from error


def _compare_version(installed: str) -> None:
    oldest, newest = TESTED
    if not oldest <= tuple(map(int, re.findall(r"\d+", installed)[:2])) <= newest:
        tested = " to ".join(f"{major}.{minor}" for major, minor in TESTED)
        warn(f"nstd has not been tested with Ray {installed}, only with Ray {tested}")


def _reach(server: str) -> None:
    host, _, port = server.rpartition(":")
    with socket.create_connection((host.strip("[]"), int(port)), _ANSWER_SECONDS):
        pass


def _check_door(settings: ClusterSettings, where: str) -> None:
    token = own_token(os.environ)
    if not (token.isascii() and token.isprintable()):
        msg = f"ray.address: the token for {where} must be one line of printable ASCII, found other characters in it"
        raise ConfigError(msg)
    try:
        _knock(settings, where, token)
    except _RENAMED as error:
        why = str(error) if type(error) is LookupError else f"{type(error).__name__}: {error}"
        if not (token or settings.insecure or has_tls()):
            msg = (
                f"ray.address: cannot tell whether {where} lets anybody in ({why}), and nstd has no token for it "
                f"({_LOOKED_FOR}): give it one, or set ray.insecure: true"
            )
            raise ConfigError(msg) from error
        warn(f"could not check whether {where} lets anybody in, and whether it knows nstd's token: {why}")


def _knock(settings: ClusterSettings, where: str, token: str) -> None:
    # Here, where the want of what it imports is noticed.
    from nstd.cluster.door import lets_in  # noqa: PLC0415  as said

    server, is_client = _server(settings), settings.address.startswith(_CLIENT)
    if not settings.insecure and lets_in(server, "", is_client=is_client):
        msg = (
            f"ray.address: {where} lets anybody in who can reach it, and would run whatever they send: start it with "
            "RAY_AUTH_MODE=token, or set ray.insecure: true"
        )
        raise ConfigError(msg)
    if not has_tls() and not lets_in(server, token, is_client=is_client):
        msg = f"ray.address: {where} does not let nstd in: its token is none or another one ({_LOOKED_FOR})"
        raise ConfigError(msg)


def has_tls() -> bool:
    """Tell whether the cluster speaks to those with a certificate only, as Ray's TLS does."""
    return os.environ.get("RAY_USE_TLS", "0").lower() in {"1", "true"}


def own_token(environ: Mapping[str, str]) -> str:
    """Return the token that Ray will show, from where it looks for one; empty if there is none."""
    if token := environ.get("RAY_AUTH_TOKEN", "").strip():
        return token
    with contextlib.suppress(OSError):
        named = environ.get("RAY_AUTH_TOKEN_PATH")
        path = Path(named) if named else Path(_TOKEN_FILE).expanduser()
        return path.read_text(errors="replace").strip()
    return ""


def _server(settings: ClusterSettings) -> str:
    if settings.address == _AUTO:
        return str(ray.get_runtime_context().gcs_address)
    return settings.address.removeprefix(_CLIENT)
