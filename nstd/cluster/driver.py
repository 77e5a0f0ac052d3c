"""The driver: connects to the cluster, and gives a relay to each line that the daemon asks for."""

import contextlib
import os
import socket
import sys
import threading
import traceback
from collections.abc import Iterator
from typing import Final

from nstd.cluster.access import connect
from nstd.cluster.actor import Actor
from nstd.cluster.messages import ANSWER, QUESTION
from nstd.cluster.relay import Line, Relay
from nstd.cluster.restarts import Restarts
from nstd.cluster.store import Store
from nstd.cluster.wording import first_line
from nstd.config.settings import ClusterSettings
from nstd.errors import ConfigError, NstdError
from nstd.worker.messages import Blame, Failed, Setup, to_line

_LONGEST_MESSAGE_BYTES: Final = 1 << 16
_DESCRIPTORS: Final = 2


def serve(settings: ClusterSettings, control: socket.socket, actor: type[Actor] = Actor) -> None:
    """Connect to the cluster, and give an actor to each line that the daemon asks for, until it hangs up.

    Args:
        settings: where the cluster is.
        control: by which lines are asked for.
        actor: what to place there.
    """
    try:
        connect(settings)
    except NstdError as error:
        _refuse(control, error)
        return
    store = Store()
    threads: list[threading.Thread] = []
    # Of workers that fell before they could work, whose lines have ended with that: the next lines take their places.
    fallen: list[Restarts] = []
    for line in _lines(control):
        restarts = fallen.pop() if fallen else Restarts()
        relay = Relay(line, settings, store, actor, restarts)
        threads.append(threading.Thread(target=_run, args=(relay, restarts, fallen), daemon=True))
        threads[-1].start()
        threads = [thread for thread in threads if thread.is_alive()]
    for thread in threads:
        thread.join()


def _run(relay: Relay, restarts: Restarts, fallen: list[Restarts]) -> None:
    """Whatever a relay cannot cope with is the end of the driver, so that the daemon takes another one."""
    try:
        relay.run()
    except BaseException as error:  # noqa: BLE001  as above
        traceback.print_exception(error)
        sys.stderr.write(f"the driver has lost the cluster: {first_line(error)}\n")
        sys.stderr.flush()
        os._exit(os.EX_UNAVAILABLE)
    if restarts.falls:
        fallen.append(restarts)


def _lines(control: socket.socket) -> Iterator[Line]:
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, _LONGEST_MESSAGE_BYTES, _DESCRIPTORS)
        if not message:
            return
        if message == QUESTION:
            control.send(ANSWER)
            continue
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)  # noqa: FBT003  it takes no name
        commands, events = descriptors
        yield Line(Setup.model_validate_json(message), os.fdopen(commands, "rb"), os.fdopen(events, "wb"))


def _refuse(control: socket.socket, error: NstdError) -> None:
    """Tell it to all that have asked for a worker by now; the next who asks makes another try."""
    control.setblocking(False)  # noqa: FBT003  it takes no name
    failed = Failed(blame=Blame.OPERATOR if isinstance(error, ConfigError) else Blame.MACHINE, message=str(error))
    with contextlib.suppress(BlockingIOError):
        for line in _lines(control):
            with contextlib.suppress(BrokenPipeError):
                line.events.write(to_line(failed))
                line.events.flush()
