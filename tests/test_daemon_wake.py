import os
import select
import signal
import threading

import pytest

from nstd.daemon.wake import RELOAD_SIGNAL, STOP_SIGNALS, Wake


@pytest.fixture
def wake():
    with Wake.by_signals() as wake:
        yield wake


def wakes(wake: Wake, timeout_seconds: float = 0) -> bool:
    ready, _, _ = select.select([wake], [], [], timeout_seconds)
    return bool(ready)


def test_nothing_wakes_without_reason(wake):
    assert not wakes(wake)
    assert wake.read() == (False, 0, False)


@pytest.mark.parametrize("number", sorted(STOP_SIGNALS))
def test_signal_to_stop_wakes(wake, number):
    os.kill(os.getpid(), number)
    assert wakes(wake)
    assert wake.read() == (False, 1, False)
    assert not wakes(wake)
    assert wake.read() == (False, 1, False), "it is not taken back"


def test_signals_to_stop_are_counted(wake):
    for count in (1, 2):
        os.kill(os.getpid(), signal.SIGINT)
        assert wake.read().stops == count


def test_signal_to_reload_wakes_and_is_read_once(wake):
    os.kill(os.getpid(), signal.SIGHUP)
    assert wakes(wake)
    assert wake.read() == (False, 0, True)
    assert not wakes(wake)
    assert wake.read() == (False, 0, False)


def test_signal_from_another_thread_wakes(wake):
    sender = threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGTERM))
    sender.start()
    assert wakes(wake, timeout_seconds=60)
    assert wake.read() == (False, 1, False)
    sender.join()


def test_other_signals_wake_and_mean_nothing(wake):
    previous = signal.signal(signal.SIGUSR1, lambda *_: None)
    os.kill(os.getpid(), signal.SIGUSR1)
    signal.signal(signal.SIGUSR1, previous)
    assert wakes(wake)
    assert wake.read() == (False, 0, False)


def test_hint_from_another_thread_wakes(wake):
    thread = threading.Thread(target=wake.hint)
    thread.start()
    assert wakes(wake, timeout_seconds=60)
    assert wake.read() == (True, 0, False)
    assert wake.read() == (False, 0, False)
    thread.join()


def test_many_hints_neither_block_nor_hide_a_signal(wake):
    """More than a pipe holds, while the main loop is busy."""
    for _ in range(100_000):
        wake.hint()
    os.kill(os.getpid(), signal.SIGTERM)
    assert wakes(wake)
    assert wake.read() == (True, 1, False)


def test_what_signals_did_before_is_restored():
    before = [signal.getsignal(number) for number in {*STOP_SIGNALS, RELOAD_SIGNAL}]
    with Wake.by_signals():
        assert [signal.getsignal(number) for number in {*STOP_SIGNALS, RELOAD_SIGNAL}] != before
    assert [signal.getsignal(number) for number in {*STOP_SIGNALS, RELOAD_SIGNAL}] == before
    assert signal.set_wakeup_fd(-1) == -1


def test_descriptors_are_closed_afterwards():
    with Wake.by_signals() as wake:
        reader = wake.fileno()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(reader)
