"""Who gets into a cluster: we, and nobody without a token or a certificate.

Reference:
    Ray's documentation: "Token authentication" (RAY_AUTH_MODE) and "TLS authentication" (RAY_USE_TLS).
"""

import contextlib
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import grpc
import ray
from ray.exceptions import AuthenticationError

from nstd.config.settings import ClusterSettings
from nstd.errors import ConfigError, SpoolError

_AUTO: Final = "auto"
_CLIENT: Final = "ray://"
# What each kind of server answers to anybody who may call it; both do nothing.
_QUESTION: Final = {True: "/ray.rpc.RayletDriver/ClusterInfo", False: "/ray.rpc.NodeInfoGcsService/CheckAlive"}
_ANSWER_SECONDS: Final = 10.0
_NO_ANSWER: Final = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
_REFUSAL: Final = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)
_TOKEN_FILE: Final = "~/.ray/auth_token"  # noqa: S105  the file of one


def connect(settings: ClusterSettings) -> None:
    """Make this process a driver of the cluster.

    Raises:
        ConfigError: it does not let us in, or lets anybody in, or is of another version.
        SpoolError: it cannot be reached.
    """
    where = f"the Ray cluster at {settings.address}"
    try:
        # Ray itself tries for minutes before it gives up, and shows its token to whoever is there.
        if settings.address != _AUTO:
            _reach(_server(settings))
            _check_door(settings, where)
        ray.init(address=settings.address, log_to_driver=False, logging_level="error")
        if settings.address == _AUTO:
            _check_door(settings, where)
    except AuthenticationError as error:
        msg = f"ray.address: {where} does not let nstd in: {_in_a_line(error)}"
        raise ConfigError(msg) from error
    except (ConnectionError, TimeoutError, OSError, ValueError) as error:
        msg = f"cannot reach {where}: {_in_a_line(error)}"
        raise SpoolError(msg) from error
    except RuntimeError as error:
        msg = f"ray.address: {where} cannot be used: {_in_a_line(error)}"
        raise ConfigError(msg) from error


def _reach(server: str) -> None:
    host, _, port = server.rpartition(":")
    with socket.create_connection((host.strip("[]"), int(port)), _ANSWER_SECONDS):
        pass


def _check_door(settings: ClusterSettings, where: str) -> None:
    server, is_client = _server(settings), settings.address.startswith(_CLIENT)
    if not settings.insecure and lets_in(server, "", is_client=is_client):
        msg = (
            f"ray.address: {where} lets anybody in who can reach it, and would run whatever they send: start it with "
            "RAY_AUTH_MODE=token, or set ray.insecure: true"
        )
        raise ConfigError(msg)
    token = own_token(os.environ)
    if not (token.isascii() and token.isprintable()):
        msg = f"ray.address: the token for {where} must be one line of printable ASCII, found other characters in it"
        raise ConfigError(msg)
    if not _has_tls() and not lets_in(server, token, is_client=is_client):
        msg = (
            f"ray.address: {where} does not let nstd in: its token is none or another one (looked for in "
            f"RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH and {_TOKEN_FILE})"
        )
        raise ConfigError(msg)


def lets_in(server: str, token: str, *, is_client: bool) -> bool:
    """Knock, with a token or none, but never with a certificate, and tell whether that is answered.

    Args:
        server: host and port.
        token: empty for none.
        is_client: it serves Ray's clients, and is not the head itself.

    Raises:
        ConfigError: it is a server of another kind.
        SpoolError: nobody answers at all.
    """
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    with grpc.insecure_channel(server) as channel:
        try:
            channel.unary_unary(_QUESTION[is_client])(b"", timeout=_ANSWER_SECONDS, metadata=metadata)
        except grpc.RpcError as error:
            code = error.code()
            if code is grpc.StatusCode.UNIMPLEMENTED:
                kind = "Ray's server for clients, as with ray://" if is_client else "the head of a Ray cluster"
                msg = f"ray.address: what answers at {server} is not {kind}"
                raise ConfigError(msg) from error
            if code in _NO_ANSWER and not _has_tls():
                msg = f"cannot tell whom the Ray cluster at {server} lets in: {error.details()}"
                raise SpoolError(msg) from error
            # Any other trouble is one that it has with the question, and so is beyond the door.
            return code not in {*_NO_ANSWER, *_REFUSAL}
    return True


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


def _has_tls() -> bool:
    """Tell whether the cluster speaks to those with a certificate only, as Ray's TLS does."""
    return os.environ.get("RAY_USE_TLS", "0").lower() in {"1", "true"}


def _in_a_line(error: Exception) -> str:
    if words := getattr(error, "strerror", None):
        return str(words)
    lines = list(filter(None, map(str.strip, str(error).splitlines())))
    if any(line.startswith("Traceback ") for line in lines):  # of Ray's server; how it ends is why
        lines = [lines[0], lines[-1]]
    return " ".join(lines) or type(error).__name__
