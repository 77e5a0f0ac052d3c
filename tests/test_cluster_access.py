"""Knocking at a cluster's door, which is a small server here."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from nstd.cluster.access import lets_in, own_token
from nstd.errors import SpoolError


class Door(grpc.GenericRpcHandler):
    """Answers whoever shows one of these tokens; None stands for those who show none."""

    def __init__(self, *tokens: str | None) -> None:
        self._tokens = tokens

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        shown = dict(details.invocation_metadata).get("authorization")
        is_known = shown in {token and f"Bearer {token}" for token in self._tokens}

        def answer(_: bytes, context: grpc.ServicerContext) -> bytes:
            if not is_known:
                context.abort(grpc.StatusCode.UNAUTHENTICATED, "who are you?")
            return b""

        return grpc.unary_unary_rpc_method_handler(answer)


@pytest.fixture
def door() -> Iterator[Callable[..., str]]:
    """Return a function that opens a door for some tokens, and returns its address."""
    servers = []

    def open_door(*tokens: str | None) -> str:
        servers.append(grpc.server(ThreadPoolExecutor(1)))
        servers[-1].add_generic_rpc_handlers((Door(*tokens),))
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


def test_door_that_nobody_answers_at_is_told():
    with pytest.raises(SpoolError, match=r"^cannot tell whom the Ray cluster at 127\.0\.0\.1:1 lets in: "):
        lets_in("127.0.0.1:1", "", is_client=False)


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
    assert own_token(path | {"RAY_AUTH_TOKEN": "itself"}) == "itself"
