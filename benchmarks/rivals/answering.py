"""The child's side of the line protocol: facts as JSON once it is ready, then an answer to every line."""

import json
import sys
import time
from collections.abc import Callable


def answer(facts: dict[str, object], reply: Callable[[str], object]) -> None:
    """Say that this process is ready, then reply to line after line until there are no more.

    Args:
        facts: about this contender.
        reply: takes a line and returns what is printed in JSON.
    """
    print(json.dumps(facts), flush=True)
    for line in sys.stdin:
        print(json.dumps(reply(line.rstrip("\n"))), flush=True)


def answer_with_seconds(facts: dict[str, object], work: Callable[[], object]) -> None:
    """Do the work at every line, and reply how many seconds it took."""

    def reply(_: str) -> float:
        began = time.perf_counter()
        work()
        return time.perf_counter() - began

    answer(facts, reply)
