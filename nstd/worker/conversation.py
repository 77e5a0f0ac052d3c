"""The worker's end of the line to the daemon."""

import os
import queue
import threading
from typing import BinaryIO

from nstd.worker.messages import COMMANDS, Event, Request, Stop, to_line


class Conversation:
    """Receive commands and send events.

    A thread reads the commands, so that a `Stop` is seen while a picture is painted. When the daemon is gone, the
    process ends at once: nobody would publish its work.

    Attributes:
        stop: set while a `Stop` is to be obeyed.
    """

    def __init__(self, commands: BinaryIO, events: BinaryIO) -> None:
        self._lines = commands
        self._events = events
        self._commands: queue.SimpleQueue[Request] = queue.SimpleQueue()
        self.stop = threading.Event()
        threading.Thread(target=self._listen, name="commands", daemon=True).start()

    def receive(self) -> Request:
        """Wait for the next request."""
        return self._commands.get()

    def send(self, event: Event) -> None:
        """Tell the daemon."""
        self._events.write(to_line(event))
        self._events.flush()

    def _listen(self) -> None:
        for line in self._lines:
            command = COMMANDS.validate_json(line)
            if isinstance(command, Stop):
                self.stop.set()
            else:
                self.stop.clear()
                self._commands.put(command)
        os._exit(0)
