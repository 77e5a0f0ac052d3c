"""The worker's two duties: load the network once, then paint what is requested."""

from concurrent.futures import ThreadPoolExecutor

from nstd.weights.store import load_weights
from nstd.worker.conversation import Conversation
from nstd.worker.failure import failure_of
from nstd.worker.messages import Done, Event, Interrupted, Ready, Request, Setup
from nstd.worker.painter import Painter


def serve(setup: Setup, conversation: Conversation) -> None:
    """Load the network and obey commands, until the daemon closes the line, which ends the process.

    Returns only if the network cannot be loaded, which the daemon has then been told.
    """
    try:
        weights = load_weights(setup.engine.network, setup.cache)
        painter = Painter(setup.engine, setup.limits, weights)
    except Exception as error:  # noqa: BLE001  whatever it is, the daemon must hear of it
        conversation.send(failure_of(error))
        return
    conversation.send(Ready(engine=painter.facts))
    while True:
        # With a job's thread goes what TensorFlow keeps for the sizes of its pictures; see `nstd.engine.compiled`.
        with ThreadPoolExecutor(1, "job") as thread:
            outcome = thread.submit(_outcome, painter, conversation)
        conversation.send(outcome.result())


def _outcome(painter: Painter, conversation: Conversation) -> Event:
    try:
        return _paint(painter, conversation.receive(), conversation)
    except Exception as error:  # noqa: BLE001  as above
        return failure_of(error, on_gpu=painter.facts.device != "cpu")


def _paint(painter: Painter, request: Request, conversation: Conversation) -> Event:
    for event in painter.run(request, conversation.stop.is_set):
        if isinstance(event, Done | Interrupted):
            return event
        conversation.send(event)
    raise AssertionError("a painter ends with Done or Interrupted, or raises")  # pragma: no cover
