"""The worker's two duties: load the network once, then paint what is requested."""

import traceback

from nstd.errors import ConfigError, EngineError, InputError, SpoolError
from nstd.weights.store import load_weights
from nstd.worker.conversation import Conversation
from nstd.worker.messages import Blame, Done, Event, Failed, Interrupted, Ready, Request, Setup
from nstd.worker.painter import Painter


def serve(setup: Setup, conversation: Conversation) -> None:
    """Load the network and obey commands, until the daemon closes the line, which ends the process.

    Returns only if the network cannot be loaded, which the daemon has then been told.
    """
    try:
        weights = load_weights(setup.engine.network, setup.cache)
        painter = Painter(setup.engine, setup.limits, weights)
    except Exception as error:  # noqa: BLE001  whatever it is, the daemon must hear of it
        conversation.send(_failure(error))
        return
    conversation.send(Ready(engine=painter.facts))
    while True:
        conversation.send(_outcome(painter, conversation))


def _outcome(painter: Painter, conversation: Conversation) -> Event:
    try:
        return _paint(painter, conversation.receive(), conversation)
    except Exception as error:  # noqa: BLE001  as above
        return _failure(error)


def _paint(painter: Painter, request: Request, conversation: Conversation) -> Event:
    for event in painter.run(request):
        if isinstance(event, Done):
            return event
        if conversation.stop.is_set():
            break
        conversation.send(event)
    return Interrupted()


def _failure(error: Exception) -> Failed:
    match error:
        case ConfigError():
            return Failed(blame=Blame.OPERATOR, message=str(error))
        case InputError():
            return Failed(blame=Blame.INPUT, message=str(error))
        case SpoolError():
            return Failed(blame=Blame.MACHINE, message=str(error))
        case EngineError():
            return Failed(blame=Blame.ENGINE, message=str(error))
        case _:
            summary = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
            return Failed(blame=Blame.ENGINE, message=summary, traceback="".join(traceback.format_exception(error)))
