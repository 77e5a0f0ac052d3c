"""The worker's process.

Its setup is its argument, commands come in by standard input, and events go out by standard output.
"""

import os
import signal
import sys

from nstd.worker.conversation import Conversation
from nstd.worker.messages import Setup


def main() -> None:
    """Serve the daemon until it closes the line."""
    # A signal to the whole process group is meant for the daemon, which then tells the worker what to do.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # Libraries print to standard output too; their chatter goes where the other chatter goes.
    events = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    conversation = Conversation(sys.stdin.buffer, events)
    # TensorFlow takes seconds to load; the line must be listened to meanwhile.
    from nstd.worker.serve import serve  # noqa: PLC0415

    serve(Setup.model_validate_json(sys.argv[1]), conversation)
    # The listening thread holds standard input, which an orderly end would wait for.
    os._exit(os.EX_CONFIG)


if __name__ == "__main__":
    main()
