"""The worker's two duties: load the network once, then paint what is requested."""

import traceback

from nstd.errors import ConfigError, EngineError, InputError, SpoolError
from nstd.weights.store import load_weights
from nstd.worker.conversation import Conversation
from nstd.worker.messages import Blame, Done, Event, Failed, Interrupted, Ready, Request, Setup
from nstd.worker.painter import Painter


def serve(conversation: Conversation) -> None:
    """Obey commands until the daemon closes the line, which ends the process."""
    painter = None
    while True:
        command = conversation.receive()
        try:
            if isinstance(command, Setup):
                weights = load_weights(command.engine.network, command.cache)
                painter = Painter(command.engine, command.limits, weights)
                conversation.send(Ready(engine=painter.facts))
            elif painter:
                conversation.send(_paint(painter, command, conversation))
        except Exception as error:  # noqa: BLE001  whatever it is, the daemon must hear of it
            conversation.send(_failure(error))


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
