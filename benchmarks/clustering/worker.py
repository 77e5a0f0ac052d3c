"""A worker of this machine that has a stand-in for its painter."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from clustering.standin import StandIn
from nstd.worker.conversation import Conversation
from nstd.worker.files import Disk
from nstd.worker.messages import Ready


def main() -> None:
    """Serve until the line is closed."""
    conversation = Conversation(sys.stdin.buffer, sys.stdout.buffer)
    painter = StandIn(Disk())
    conversation.send(Ready(engine=painter.facts))
    while True:
        for event in painter.run(conversation.receive(), conversation.stop.is_set):
            conversation.send(event)


if __name__ == "__main__":
    main()
