import base64
from collections.abc import Iterator

import pytest
from weights_samples import Host, closed_port, published, web_host

from nstd.errors import WeightsError
from nstd.weights.fetch import fetch_chunks, fetch_published

BINARY = "application/octet-stream"


@pytest.fixture
def host() -> Iterator[Host]:
    with web_host() as host:
        yield host


def test_content_arrives_whole_and_progress_counts_its_bytes(host: Host) -> None:
    content = bytes(range(256)) * 4096
    host.pages["/a.bin"] = 200, BINARY, content
    seen: list[tuple[str, int, int | None]] = []
    fetched = fetch_published(f"{host.url}/a.bin", published("a.bin", content), lambda *step: seen.append(step))
    assert fetched == content
    assert [step[1] for step in seen] == sorted({step[1] for step in seen})
    assert seen[-1] == ("a.bin", len(content), len(content))


def test_more_than_the_limit_is_refused(host: Host) -> None:
    host.pages["/a.bin"] = 200, BINARY, b"12345"
    with pytest.raises(WeightsError) as caught:
        b"".join(fetch_chunks(f"{host.url}/a.bin", limit_bytes=4))
    assert str(caught.value) == f"{host.url.removeprefix('http://')}: more than the expected 4 bytes"


def test_status_of_a_refusal_is_told(host: Host) -> None:
    with pytest.raises(WeightsError) as caught:
        b"".join(fetch_chunks(f"{host.url}/nothing", limit_bytes=4))
    assert str(caught.value) == f"{host.url.removeprefix('http://')}: 404 Not Found"


def test_unreachable_host_is_named() -> None:
    with closed_port() as port, pytest.raises(WeightsError) as caught:
        b"".join(fetch_chunks(f"http://127.0.0.1:{port}/a.bin", limit_bytes=4))
    assert str(caught.value) == f"127.0.0.1:{port}: [Errno 111] Connection refused"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("file:///etc/passwd", "file:///etc/passwd: cannot fetch a file address, only http and https"),
        ("pypi.org/simple", "pypi.org/simple: cannot fetch a relative address, only http and https"),
        ("http://127.0.0.1:port/", "127.0.0.1:port: nonnumeric port: 'port'"),
    ],
)
def test_address_that_cannot_be_fetched_is_refused(url: str, message: str) -> None:
    with pytest.raises(WeightsError) as caught:
        b"".join(fetch_chunks(url, limit_bytes=4))
    assert str(caught.value) == message


def test_login_is_sent_decoded_and_not_shown(host: Host) -> None:
    url = host.url.replace("//", "//me:s%40cret@")
    with pytest.raises(WeightsError) as caught:
        b"".join(fetch_chunks(f"{url}/nothing", limit_bytes=4))
    assert "cret" not in str(caught.value)
    ((path, headers),) = host.asked
    assert path == "/nothing"
    assert headers["Authorization"] == "Basic " + base64.b64encode(b"me:s@cret").decode()


def test_login_does_not_follow_a_redirect(host: Host) -> None:
    host.pages["/a.bin"] = 302, "text/plain", f"{host.url}/b.bin".encode()
    host.pages["/b.bin"] = 200, BINARY, b"1234"
    url = host.url.replace("//", "//me:secret@")
    assert b"".join(fetch_chunks(f"{url}/a.bin", limit_bytes=64)) == b"1234"
    assert [("Authorization" in headers) for _, headers in host.asked] == [True, False]
