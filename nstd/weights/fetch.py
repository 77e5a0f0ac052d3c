"""Fetch a file over HTTP into memory."""

import base64
import http.client
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from typing import IO, Final

from nstd.errors import WeightsError
from nstd.weights.published import PublishedFile

Progress = Callable[[str, int, int | None], None]
"""Told what is being fetched, the bytes so far, and the bytes in all if known."""

_TIMEOUT_SECONDS: Final = 15
_CHUNK_BYTES: Final = 1 << 18


def no_progress(_what: str, _done: int, _total: int | None) -> None:
    """Tell nobody."""


def fetch_published(url: str, published: PublishedFile, progress: Progress) -> bytes:
    """Fetch a file of known size; to check its hash is left to whoever reads it.

    Raises:
        WeightsError: the host cannot be reached, refuses, or sends more than the file's size.
    """
    chunks = bytearray()
    for chunk in fetch_chunks(url, limit_bytes=published.size_bytes):
        chunks += chunk
        progress(published.name, len(chunks), published.size_bytes)
    return bytes(chunks)


def fetch_chunks(url: str, *, limit_bytes: int, accept: str = "*/*") -> Iterator[bytes]:
    """Yield what the address holds, piece by piece.

    Args:
        url: http or https; a user and password in it are sent to its host only, and never shown.
        limit_bytes: most that the host may send.
        accept: media type to ask for.

    Raises:
        WeightsError: the host cannot be reached, refuses, or sends more than the limit.
    """
    host = urllib.parse.urlsplit(url).netloc.rpartition("@")[2]
    try:
        # S310: `_request` lets http and https pass only.
        with urllib.request.urlopen(_request(url, accept), timeout=_TIMEOUT_SECONDS) as response:  # noqa: S310
            yield from _limited(response, limit_bytes)
    except urllib.error.HTTPError as error:
        error.close()
        msg = f"{host}: {error.code} {error.reason}"
        raise WeightsError(msg) from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        msg = f"{host or url}: {getattr(error, 'reason', error)}"
        raise WeightsError(msg) from error


def _limited(response: IO[bytes], limit_bytes: int) -> Iterator[bytes]:
    left = limit_bytes
    while chunk := response.read(_CHUNK_BYTES):
        left -= len(chunk)
        if left < 0:
            msg = f"more than the expected {limit_bytes} bytes"
            raise ValueError(msg)
        yield chunk


def _request(url: str, accept: str) -> urllib.request.Request:
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in {"http", "https"}:
        msg = f"cannot fetch a {parts.scheme or 'relative'} address, only http and https"
        raise ValueError(msg)
    login, _, host = parts.netloc.rpartition("@")
    request = urllib.request.Request(parts._replace(netloc=host).geturl(), headers={"Accept": accept})  # noqa: S310 -- as above
    if login:
        user, _, password = map(urllib.parse.unquote, login.partition(":"))
        token = base64.b64encode(f"{user}:{password}".encode()).decode()
        # Unredirected: a mirror that sends us elsewhere must not pass the password on.
        request.add_unredirected_header("Authorization", f"Basic {token}")
    return request
