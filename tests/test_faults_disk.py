"""Each system call that may fail does so once: the daemon goes on, and tries again by itself."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from daemon_world import COPYING_NSTD, eventually
from sabotage import Call, calls_below, failing, needs_strace, tracing
from test_faults_kill import LIVES_AT_ONCE, PHOTO, check_at_any_time, check_at_the_end, world_with

FAULTS = (
    ("EIO", {"fsync"}),
    ("ENOSPC", {"write", "pwrite64", "mkdir"}),
    ("EXDEV", {"rename", "renameat2"}),
)


def endure(root: Path, call: Call, error: str) -> str:
    """Let a call fail once, and return what is wrong in the end; nothing if all is well."""
    world = world_with(root, PHOTO)
    try:
        daemon = world.start(nstd=(*failing(call, error), *COPYING_NSTD))
        eventually(lambda: daemon.logged("job_finished") or daemon.has_ended(), "a picture, or the end")
        if daemon.has_ended():
            status, message = daemon.wait()
            assert (status, bool(message)) == (1, True), "a spool that cannot be used at all ends it, with a reason"
            assert daemon.logged("daemon_started") == []
        check_at_any_time(world, PHOTO)
        daemon.end()
        assert world.start("--once", nstd=COPYING_NSTD).wait() == (0, "")
        check_at_the_end(world, PHOTO, "outbox")
    except AssertionError as wrong:
        return f"{error} at {call}: {wrong}"
    finally:
        world.close()
    return ""


@needs_strace
@pytest.mark.parametrize(("error", "names"), FAULTS)
def test_call_that_fails_once_costs_no_photo(tmp_path: Path, error: str, names: set[str]):
    world = world_with(tmp_path / "traced", PHOTO)
    daemon = world.start("--once", nstd=(*tracing(tmp_path / "calls"), *COPYING_NSTD))
    assert daemon.wait() == (0, "")
    world.close()
    calls = [call for call in calls_below(world.root, tmp_path / "calls") if call.name in names]
    assert len(calls) > 10
    with ThreadPoolExecutor(LIVES_AT_ONCE) as lives:
        roots = (tmp_path / str(number) for number, _ in enumerate(calls))
        verdicts = list(lives.map(lambda root, call: endure(root, call, error), roots, calls))
    assert [verdict for verdict in verdicts if verdict] == []
