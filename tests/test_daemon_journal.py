"""Entries of the journal, as they arrive at its socket; tests/test_service.py asks a real journal for them."""

import json
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
import structlog
from logging_journald import JournaldTransport

from nstd.daemon.journal import Journal, to_fields


class Journald:
    """Listens where entries are sent."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(60)

    def entry(self) -> dict[str, str]:
        """Read an entry as journald does, a memory file's if one is sent in place of a datagram."""
        data, descriptors, *_ = socket.recv_fds(self._socket, 1 << 20, 1)
        for descriptor in descriptors:
            os.lseek(descriptor, 0, os.SEEK_SET)
            with os.fdopen(descriptor, "rb") as file:
                data = file.read()
        return dict(fields(data))

    def close(self) -> None:
        self._socket.close()
        self.path.unlink(missing_ok=True)


def fields(data: bytes) -> Iterator[tuple[str, str]]:
    while data:
        line, _, data = data.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            (size,) = struct.unpack_from("<Q", data)
            value, data = data[8 : 8 + size], data[8 + size + 1 :]
        yield name.decode(), value.decode()


@pytest.fixture
def journald(tmp_path: Path) -> Iterator[Journald]:
    journald = Journald(tmp_path / "socket")
    yield journald
    journald.close()


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def logger(journal: Journal) -> structlog.typing.FilteringBoundLogger:
    processors = [structlog.processors.add_log_level, structlog.processors.format_exc_info, to_fields]
    bound = structlog.make_filtering_bound_logger("debug")
    return structlog.wrap_logger(journal, processors=processors, wrapper_class=bound)


@pytest.fixture
def spare() -> StringIO:
    return StringIO()


@pytest.fixture
def log(journald: Journald, spare: StringIO) -> Iterator[structlog.typing.FilteringBoundLogger]:
    transport = JournaldTransport(journald.path, connected=False)
    with transport.socket:
        yield logger(Journal(spare, transport))


def test_entry_has_priority_and_fields(log, journald):
    log.info("job_started", job="1-a", photo="my cat.jpg", preset="swirls", attempt=2, reason=None)
    assert journald.entry() == {
        "MESSAGE": 'job_started job=1-a photo="my cat.jpg" preset=swirls attempt=2',
        "PRIORITY": "6",
        "SYSLOG_IDENTIFIER": "nstd",
        "NSTD_EVENT": "job_started",
        "NSTD_JOB": "1-a",
        "NSTD_PHOTO": "my cat.jpg",
        "NSTD_PRESET": "swirls",
        "NSTD_ATTEMPT": "2",
    }


@pytest.mark.parametrize(
    ("level", "priority"), [("debug", "7"), ("info", "6"), ("warning", "4"), ("error", "3"), ("critical", "2")]
)
def test_priority_is_that_of_syslog(log, journald, level, priority):
    getattr(log, level)("trouble")
    assert journald.entry()["PRIORITY"] == priority


def test_photo_name_cannot_add_fields(log, journald):
    log.info("job_started", photo="x\nPRIORITY=0\n_UID=0.jpg")
    entry = journald.entry()
    assert entry["NSTD_PHOTO"] == "x\nPRIORITY=0\n_UID=0.jpg"
    assert entry["PRIORITY"] == "6"
    assert "_UID" not in entry


def test_lists_and_what_is_no_text_can_be_read(log, journald):
    log.info("watchdog_not_fed", unwell=["worker"], path=Path("/x"), name="cat\udcff.jpg")
    entry = journald.entry()
    assert entry["NSTD_UNWELL"] == '["worker"]'
    assert entry["NSTD_PATH"] == '"/x"'
    assert entry["NSTD_NAME"] == "cat\\udcff.jpg"


def test_traceback_is_part_of_the_message(log, journald):
    try:
        int("lost")
    except ValueError:
        log.exception("unforeseen")
    lines = journald.entry()["MESSAGE"].splitlines()
    assert lines[0] == "unforeseen"
    assert lines[1].startswith("Traceback")
    assert lines[-1] == "ValueError: invalid literal for int() with base 10: 'lost'"


def test_entry_that_is_too_long_for_a_datagram_arrives(log, journald):
    log.error("job_failed", reason="x" * (1 << 19))
    assert journald.entry()["NSTD_REASON"] == "x" * (1 << 19)


def test_journal_that_is_restarted_is_found_again(log, journald, spare):
    log.info("one")
    assert journald.entry()["MESSAGE"] == "one"
    journald.close()
    log.warning("two\nlines", reason="x")
    assert spare.getvalue() == "<4>two\n lines reason=x\n"
    again = Journald(journald.path)
    log.info("three")
    assert again.entry()["MESSAGE"] == "three"
    again.close()


@pytest.mark.parametrize("leads_there", [True, False])
def test_journal_is_used_only_where_standard_output_leads_there(tmp_path, leads_there):
    """No journal listens here, so that the line goes to standard output with its priority before it."""
    code = (
        "import structlog\nfrom logging_journald import JournaldTransport\n"
        "from nstd.daemon.logs import configure_logs\n"
        "JournaldTransport.SOCKET_PATH = '/nobody'\n"
        "configure_logs(); structlog.get_logger().info('daemon_started', pid=7)"
    )
    with (tmp_path / "stream").open("w") as stream, (tmp_path / "other").open("w") as other:
        status = os.fstat(stream.fileno())
        environ = os.environ | {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
        output = stream if leads_there else other
        subprocess.run([sys.executable, "-c", code], env=environ, stdout=output, check=True)
    written = (tmp_path / ("stream" if leads_there else "other")).read_text()
    assert written == "<6>daemon_started pid=7\n" if leads_there else json.loads(written)["pid"] == 7
