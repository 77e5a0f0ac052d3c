"""The worker's two duties: load the network once, then paint what is requested."""

import os
from concurrent.futures import ThreadPoolExecutor

from nstd.weights.store import load_weights
from nstd.worker.conversation import Conversation
from nstd.worker.failure import failure_of
from nstd.worker.loading import telling
from nstd.worker.messages import Done, Failed, Interrupted, Ready, Request, Setup
from nstd.worker.painter import Painter


def serve(setup: Setup, conversation: Conversation) -> int:
    """Load the network and obey commands, until the daemon closes the line, which ends the process.

    Returns:
        With what status to end: the network cannot be loaded, or the GPU cannot be relied upon any more, and the daemon
        has been told.
    """
    try:
        with telling(conversation.send):
            weights = load_weights(setup.engine.network, setup.cache)
            painter = Painter(setup.engine, setup.limits, weights)
    except Exception as error:  # noqa: BLE001  whatever it is, the daemon must hear of it
        conversation.send(failure_of(error))
        return os.EX_CONFIG
    conversation.send(Ready(engine=painter.facts))
    while True:
        # With a job's thread goes what TensorFlow keeps for the sizes of its pictures; see `nstd.engine.compiled`.
        with ThreadPoolExecutor(1, "job") as thread:
            outcome = thread.submit(_outcome, painter, conversation)
        event = outcome.result()
        conversation.send(event.measured())
        if isinstance(event, Failed) and event.is_last:
            return os.EX_SOFTWARE


def _outcome(painter: Painter, conversation: Conversation) -> Done | Interrupted | Failed:
    request = conversation.receive()
    try:
        return _paint(painter, request, conversation)
    except Exception as error:  # noqa: BLE001  as above
        return painter.failure(error, request)


def _paint(painter: Painter, request: Request, conversation: Conversation) -> Done | Interrupted:
    for event in painter.run(request, conversation.stop.is_set):
        if isinstance(event, Done | Interrupted):
            return event
        conversation.send(event)
    raise AssertionError("a painter ends with Done or Interrupted, or raises")  # pragma: no cover
