"""What is to happen when: one thread, so that nothing happens in the midst of something else."""

import heapq
import itertools
import time
from collections.abc import Callable

Work = Callable[[], object]


class Agenda:
    """Work that is due at some time, done in that order."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Work]] = []
        self._numbers = itertools.count()
        self._is_open = True

    def later(self, seconds: float, work: Work) -> None:
        """Do some work after a while."""
        heapq.heappush(self._heap, (time.monotonic() + seconds, next(self._numbers), work))

    def repeat(self, pause: Callable[[], float], work: Work) -> None:
        """Do some work again and again, until `wind_up`."""

        def do() -> None:
            if self._is_open:
                work()
                self.later(pause(), do)

        self.later(pause(), do)

    def run(self, seconds: float) -> None:
        """Do what is due within this time, each when it is."""
        until = time.monotonic() + seconds
        while self._heap and self._heap[0][0] < until:
            due, _, work = heapq.heappop(self._heap)
            time.sleep(max(0.0, due - time.monotonic()))
            work()
        time.sleep(max(0.0, until - time.monotonic()))

    def wind_up(self) -> None:
        """Do at once what is left to do, in its order, and begin nothing new."""
        self._is_open = False
        while self._heap:
            heapq.heappop(self._heap)[2]()
