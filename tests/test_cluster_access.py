"""Knocking at a cluster's door, which is a small server here."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from nstd.cluster.access import connect, lets_in, own_token
from nstd.config.settings import ClusterSettings
from nstd.errors import ConfigError, SpoolError


class Door(grpc.GenericRpcHandler):
    """Answers whoever shows one of these tokens; None stands for those who show none."""

    def __init__(self, *tokens: str | None, refusal: grpc.StatusCode = grpc.StatusCode.UNAUTHENTICATED) -> None:
        self._tokens, self._refusal = tokens, refusal

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        shown = dict(details.invocation_metadata).get("authorization")
        is_known = shown in {token and f"Bearer {token}" for token in self._tokens}

        def answer(_: bytes, context: grpc.ServicerContext) -> bytes:
            if not is_known:
                context.abort(self._refusal, "who are you?")
            return b""

        return grpc.unary_unary_rpc_method_handler(answer)


@pytest.fixture
def door() -> Iterator[Callable[..., str]]:
    """Return a function that opens a door for some tokens, and returns its address."""
    servers = []

    def open_door(*tokens: str | None, **refusal: grpc.StatusCode) -> str:
        servers.append(grpc.server(ThreadPoolExecutor(1)))
        servers[-1].add_generic_rpc_handlers((Door(*tokens, **refusal),))
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


@pytest.mark.parametrize(
    ("is_client", "expected"),
    [(True, "Ray's server for clients, as with ray://"), (False, "the head of a Ray cluster")],
)
def test_server_of_another_kind_is_told(door, is_client, expected):
    server = door(refusal=grpc.StatusCode.UNIMPLEMENTED)
    with pytest.raises(ConfigError, match=rf"^ray\.address: what answers at {server} is not {expected}$"):
        lets_in(server, "", is_client=is_client)


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
