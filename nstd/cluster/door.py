"""Knocking at a cluster's door, by calls that are Ray's own business: another version may have others."""

from typing import Final

import grpc

from nstd.cluster.access import has_tls
from nstd.errors import ConfigError, SpoolError

# What each kind of server answers to anybody who may call it; both do nothing.
_QUESTION: Final = {True: "/ray.rpc.RayletDriver/ClusterInfo", False: "/ray.rpc.NodeInfoGcsService/CheckAlive"}
_KIND: Final = {True: "Ray's server for clients, as with ray://", False: "the head of a Ray cluster"}
_ANSWER_SECONDS: Final = 10.0
_NO_ANSWER: Final = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
_REFUSAL: Final = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)


def lets_in(server: str, token: str, *, is_client: bool) -> bool:
    """Knock, with a token or none, but never with a certificate, and tell whether that is answered.

    Args:
        server: host and port.
        token: empty for none.
        is_client: it serves Ray's clients, and is not the head itself.

    Raises:
        ConfigError: it is a server of the other kind.
        LookupError: it does not know the question, and may be of another version of Ray, or no Ray at all.
        SpoolError: nobody answers at all.
    """
    code, details = _ask(server, token, is_client=is_client)
    if code is grpc.StatusCode.UNIMPLEMENTED:
        if _ask(server, "", is_client=not is_client)[0] is not grpc.StatusCode.UNIMPLEMENTED:
            msg = f"ray.address: what answers at {server} is not {_KIND[is_client]}"
            raise ConfigError(msg)
        msg = f"{server} does not know the call {_QUESTION[is_client]}"
        raise LookupError(msg)
    if code in _NO_ANSWER and not has_tls():
        msg = f"cannot tell whom the Ray cluster at {server} lets in: {details}"
        raise SpoolError(msg)
    # Any other trouble is one that it has with the question, and so is beyond the door.
    return code not in {*_NO_ANSWER, *_REFUSAL}


def _ask(server: str, token: str, *, is_client: bool) -> tuple[grpc.StatusCode, str]:
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    with grpc.insecure_channel(server) as channel:
        try:
            channel.unary_unary(_QUESTION[is_client])(b"", timeout=_ANSWER_SECONDS, metadata=metadata)
        except grpc.RpcError as error:
            return error.code(), error.details() or ""
    return grpc.StatusCode.OK, ""
