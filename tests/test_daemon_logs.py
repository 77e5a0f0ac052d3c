import json
import sys
from collections.abc import Iterator
from io import StringIO

import pytest
import structlog

from nstd.daemon.logs import configure_logs


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def test_pipe_gets_a_json_object_a_line():
    pipe = StringIO()
    configure_logs(output=pipe)
    structlog.get_logger().info("job_finished", photo="cat\n.jpg", seconds=4.2)
    line = json.loads(pipe.getvalue())
    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "job_finished", "level": "info", "photo": "cat\n.jpg", "seconds": 4.2}
    assert pipe.getvalue().count("\n") == 1


def test_terminal_gets_coloured_pairs():
    terminal = Terminal()
    configure_logs(output=terminal)
    structlog.get_logger().warning("job_requeued", photo="cat.jpg")
    assert "\x1b[" in terminal.getvalue()
    assert "job_requeued" in terminal.getvalue()
    assert "photo" in terminal.getvalue()


@pytest.mark.parametrize(("verbose", "lines"), [(False, 0), (True, 1)])
def test_chatter_is_for_developers(verbose, lines):
    pipe = StringIO()
    configure_logs(verbose=verbose, output=pipe)
    structlog.get_logger().debug("worker_said", line="x")
    assert len(pipe.getvalue().splitlines()) == lines


def test_lines_follow_standard_output_where_it_goes(monkeypatch):
    """A progress bar replaces standard output while it is drawn."""
    configure_logs()
    elsewhere = StringIO()
    monkeypatch.setattr(sys, "stdout", elsewhere)
    structlog.get_logger().info("daemon_started")
    assert json.loads(elsewhere.getvalue())["event"] == "daemon_started"
