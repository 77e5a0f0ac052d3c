"""The worker's process.

Its setup is its argument, commands come in by standard input, and events go out by standard output.
"""

import ctypes
import os
import signal
import sys
from typing import Final

from nstd.worker.conversation import Conversation
from nstd.worker.messages import Setup

_PR_SET_PDEATHSIG: Final = 1


def main() -> None:
    """Serve the daemon until it closes the line."""
    # One that hangs cannot see the line close, and must not outlive its daemon: the next one works on the same files.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # A signal to the whole process group is meant for the daemon, which then tells the worker what to do.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # Libraries print to standard output too; their chatter goes where the other chatter goes.
    events = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    conversation = Conversation(sys.stdin.buffer, events)
    # TensorFlow takes seconds to load; the line must be listened to meanwhile.
    from nstd.worker.serve import serve  # noqa: PLC0415

    status = serve(Setup.model_validate_json(sys.argv[1]), conversation)
    # The listening thread holds standard input, which an orderly end would wait for.
    os._exit(status)


if __name__ == "__main__":
    main()
