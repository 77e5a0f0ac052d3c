import threading

import pytest

from nstd.worker.loading import telling

DEADLINE_SECONDS = 60


def test_it_tells_that_the_network_is_being_loaded():
    told, twice = [], threading.Event()

    def send(waiting):
        told.append(waiting.reason)
        if len(told) == 2:
            twice.set()

    with telling(send, every_seconds=0.01):
        assert twice.wait(DEADLINE_SECONDS)
    assert told[0] == "the network (0 s so far; a GPU's first start may take half an hour)"
    assert not any(thread.name == "loading" for thread in threading.enumerate()), "nobody says more once it is loaded"


def test_whoever_hangs_falls_silent():
    told = []
    with telling(told.append, every_seconds=0.01, at_most_seconds=0.03):
        for thread in threading.enumerate():
            if thread.name == "loading":
                thread.join(DEADLINE_SECONDS)
    assert len(told) == 3


def test_what_goes_wrong_meanwhile_is_not_hidden():
    with pytest.raises(ValueError, match="wrong"), telling(lambda _: None, every_seconds=0.01):
        raise ValueError("wrong")
