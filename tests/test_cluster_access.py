"""Knocking at a cluster's door, which is a small server here."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
import ray

from nstd.cluster.access import TESTED, connect, own_token
from nstd.cluster.door import lets_in
from nstd.config.settings import ClusterSettings
from nstd.errors import ConfigError, SpoolError


class Door(grpc.GenericRpcHandler):
    """Answers whoever shows one of these tokens; None stands for those who show none."""

    def __init__(
        self, *tokens: str | None, refusal: grpc.StatusCode = grpc.StatusCode.UNAUTHENTICATED, knows: str = "/ray.rpc."
    ) -> None:
        self._tokens, self._refusal, self._knows = tokens, refusal, knows

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        if not details.method.startswith(self._knows):
            return None  # UNIMPLEMENTED
        shown = dict(details.invocation_metadata).get("authorization")
        is_known = shown in {token and f"Bearer {token}" for token in self._tokens}

        def answer(_: bytes, context: grpc.ServicerContext) -> bytes:
            if not is_known:
                context.abort(self._refusal, "who are you?")
            return b""

        return grpc.unary_unary_rpc_method_handler(answer)


@pytest.fixture(autouse=True)
def _no_token(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_USE_TLS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def door() -> Iterator[Callable[..., str]]:
    """Return a function that opens a door for some tokens, and returns its address."""
    servers = []

    def open_door(*tokens: str | None, **options: grpc.StatusCode | str) -> str:
        servers.append(grpc.server(ThreadPoolExecutor(1)))
        servers[-1].add_generic_rpc_handlers((Door(*tokens, **options),))
        port = servers[-1].add_insecure_port("127.0.0.1:0")
        servers[-1].start()
        return f"127.0.0.1:{port}"

    yield open_door
    for server in servers:
        server.stop(None).wait()


@pytest.mark.parametrize("is_client", [True, False])
def test_open_door_is_open(door, is_client):
    assert lets_in(door(None, "secret"), "", is_client=is_client)


def test_closed_door_opens_to_its_token_only(door):
    server = door("secret")
    assert not lets_in(server, "", is_client=False)
    assert not lets_in(server, "wrong", is_client=False)
    assert lets_in(server, "secret", is_client=False)


@pytest.mark.parametrize(
    ("code", "is_let_in"), [("PERMISSION_DENIED", False), ("INVALID_ARGUMENT", True), ("INTERNAL", True)]
)
def test_who_hears_of_trouble_with_the_question_is_let_in(door, code, is_let_in):
    assert lets_in(door(refusal=grpc.StatusCode[code]), "", is_client=False) == is_let_in


CANNOT_TELL = r"^cannot tell whom the Ray cluster at 127\.0\.0\.1:\d+ lets in: "


def test_door_that_nobody_answers_at_is_told():
    with pytest.raises(SpoolError, match=CANNOT_TELL):
        lets_in("127.0.0.1:1", "", is_client=False)


def test_door_at_which_one_waits_in_vain_is_told(door):
    with pytest.raises(SpoolError, match=CANNOT_TELL):
        lets_in(door(refusal=grpc.StatusCode.DEADLINE_EXCEEDED), "secret", is_client=False)


HEADS, CLIENTS = "/ray.rpc.NodeInfoGcsService/", "/ray.rpc.RayletDriver/"


@pytest.mark.parametrize(
    ("is_client", "knows", "expected"),
    [(True, HEADS, "Ray's server for clients, as with ray://"), (False, CLIENTS, "the head of a Ray cluster")],
)
def test_server_of_another_kind_is_told(door, is_client, knows, expected):
    server = door(None, knows=knows)
    with pytest.raises(ConfigError, match=rf"^ray\.address: what answers at {server} is not {expected}$"):
        lets_in(server, "", is_client=is_client)


def renamed_call(monkeypatch: pytest.MonkeyPatch) -> str:
    """Let the cluster of these tests know none of the calls by which nstd knocks."""
    monkeypatch.setattr(f"{__name__}.Door.service", lambda *_: None)
    return "HOST does not know the call /ray.rpc.NodeInfoGcsService/CheckAlive"


def missing_name(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.delattr("nstd.cluster.door.lets_in")
    return "ImportError: cannot import name 'lets_in'"


def missing_module(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.delitem(sys.modules, "nstd.cluster.door")
    monkeypatch.setitem(sys.modules, "grpc", None)
    return "ModuleNotFoundError: import of grpc halted"


def missing_attribute(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.delattr("grpc.insecure_channel")
    return "AttributeError: module 'grpc' has no attribute 'insecure_channel'"


def another_signature(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr("grpc.insecure_channel", lambda: None)
    return "TypeError: another_signature.<locals>.<lambda>() takes 0 positional arguments but 1 was given"


TAKEN_AWAY = [renamed_call, missing_name, missing_module, missing_attribute, another_signature]


@pytest.fixture
def joined(monkeypatch) -> list[str]:
    """Addresses of the clusters that Ray itself was let into; it goes by no calls of nstd's."""
    addresses: list[str] = []
    monkeypatch.setattr("ray.init", lambda address, **_: addresses.append(address))
    return addresses


@pytest.mark.parametrize("take_away", TAKEN_AWAY)
@pytest.mark.parametrize("has_credentials", ["RAY_AUTH_TOKEN", "RAY_USE_TLS", "insecure"])
def test_who_has_a_token_is_not_refused_for_a_call_that_ray_has_no_more(
    door, joined, take_away, has_credentials, request
):
    monkeypatch, capfd, server = request.getfixturevalue("monkeypatch"), request.getfixturevalue("capfd"), door("1")
    if has_credentials != "insecure":
        monkeypatch.setenv(has_credentials, "1")
    why = take_away(monkeypatch).replace("HOST", server)
    connect(ClusterSettings(address=server, insecure=has_credentials == "insecure"))
    assert joined == [server]
    assert capfd.readouterr().err.startswith(
        f"nstd warns: could not check whether the Ray cluster at {server} lets anybody in, and whether it knows nstd's "
        f"token: {why}"
    )


@pytest.mark.parametrize("take_away", TAKEN_AWAY)
def test_who_has_no_token_is_refused_where_nobody_can_tell_whom_the_cluster_lets_in(
    door, monkeypatch, joined, take_away
):
    server = door(None)
    why = take_away(monkeypatch).replace("HOST", server)
    with pytest.raises(ConfigError) as caught:
        connect(ClusterSettings(address=server))
    assert str(caught.value).startswith(
        f"ray.address: cannot tell whether the Ray cluster at {server} lets anybody in ({why}"
    )
    assert str(caught.value).endswith(
        "), and nstd has no token for it (looked for in RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH and ~/.ray/auth_token): "
        "give it one, or set ray.insecure: true"
    )
    assert joined == []


def test_cluster_that_does_not_say_where_its_head_is_takes_who_has_a_token(monkeypatch, capfd, joined):
    monkeypatch.setattr("ray.get_runtime_context", object)
    with pytest.raises(ConfigError, match="cannot tell whether the Ray cluster at auto lets anybody in"):
        connect(ClusterSettings())
    monkeypatch.setenv("RAY_AUTH_TOKEN", "secret")
    connect(ClusterSettings())
    assert joined == ["auto", "auto"]
    assert "AttributeError: 'object' object has no attribute 'gcs_address'" in capfd.readouterr().err


@pytest.mark.parametrize(("installed", "is_told"), [("2.51.2", True), ("2.52.0", False), ("2.61.0rc1", True)])
def test_ray_that_was_not_tested_is_told_and_used(monkeypatch, capfd, joined, installed, is_told):
    monkeypatch.setattr("ray.__version__", installed)
    connect(ClusterSettings(insecure=True))
    assert joined == ["auto"]
    warning = f"nstd warns: nstd has not been tested with Ray {installed}, only with Ray 2.52 to 2.60\n"
    assert (warning in capfd.readouterr().err) == is_told


def test_exception_that_ray_has_no_more_keeps_nobody_from_beginning():
    gone = "import ray.exceptions; del ray.exceptions.AuthenticationError; import nstd.cluster.driver"
    subprocess.run((sys.executable, "-c", gone), check=True)


def test_what_is_installed_is_what_was_tested():
    (major, oldest), (_, newest) = TESTED
    wanted = f'"ray[client]>={major}.{oldest},<{major}.{newest + 1}"'
    assert (Path(__file__).parent.parent / "pyproject.toml").read_text().count(wanted) == len(("extra", "dev"))
    assert (major, oldest) <= tuple(map(int, ray.__version__.split(".")[:2])) <= (major, newest)


@pytest.mark.parametrize("token", ["two\nlines", "clé", "a\0b"])
def test_token_that_cannot_be_shown_is_told(door, monkeypatch, token):
    monkeypatch.setattr("nstd.cluster.access.own_token", lambda _: token)
    server = door("secret")
    expected = (
        f"ray.address: the token for the Ray cluster at {server} must be one line of printable ASCII, found other "
        "characters in it"
    )
    with pytest.raises(ConfigError) as caught:
        connect(ClusterSettings(address=server))
    assert str(caught.value) == expected


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("Failed:\nTraceback (most recent call last):\n  File x\nRuntimeError: no.\n\n", "Failed: RuntimeError: no."),
        ("Not the same:\n    Ray: 2.52\n    Python: 3.12\n", "Not the same: Ray: 2.52 Python: 3.12"),
        ("", "ConnectionAbortedError"),
    ],
)
def test_what_ray_says_is_told_in_a_line(door, monkeypatch, said, told):
    def refuse(**_: object) -> None:
        raise ConnectionAbortedError(said)

    monkeypatch.setattr("ray.init", refuse)
    monkeypatch.setenv("RAY_AUTH_TOKEN", "secret")
    server = door("secret")
    with pytest.raises(SpoolError) as caught:
        connect(ClusterSettings(address=server))
    assert str(caught.value) == f"cannot reach the Ray cluster at {server}: {told}"


def test_cluster_with_tls_answers_nobody_without_a_certificate(monkeypatch):
    monkeypatch.setenv("RAY_USE_TLS", "1")
    assert not lets_in("127.0.0.1:1", "", is_client=False)


def test_token_is_looked_for_where_ray_looks(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert own_token({}) == ""
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray/auth_token").write_text("at home\n")
    (tmp_path / "elsewhere").write_text("elsewhere")
    path = {"RAY_AUTH_TOKEN_PATH": str(tmp_path / "elsewhere")}
    assert own_token({}) == "at home"
    assert own_token(path) == "elsewhere"
    assert own_token(path | {"RAY_AUTH_TOKEN": " itself\n"}) == "itself"
    assert own_token({"RAY_AUTH_TOKEN": " "}) == "at home"
    assert own_token({"RAY_AUTH_TOKEN_PATH": "~/.ray/auth_token"}) == ""
