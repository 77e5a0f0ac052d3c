"""The actor that a worker is at present, as seen from here."""

import threading
from typing import Any, Final

import ray
from ray.exceptions import ActorUnavailableError, GetTimeoutError, RayActorError

from nstd.cluster.actor import Actor
from nstd.cluster.messages import Greeting
from nstd.cluster.nodes import Needs

_SOON_SECONDS: Final = 5.0


class Dismissed(Exception):  # noqa: N818  nothing has gone wrong
    """The daemon has hung up."""


class RemoteActor:
    """Place an actor in the cluster, and another one when that has fallen.

    Args:
        needs: of a node.
        actor: what to place there.
    """

    def __init__(self, needs: Needs, actor: type[Actor]) -> None:
        # Attempts are the daemon's to count, and Ray knows no pause between restarts: so it repeats nothing by itself.
        options = ray.remote(**needs.options, max_restarts=0, max_task_retries=0, max_concurrency=8)
        self._place = options(actor).remote
        self._lock = threading.Lock()
        self._is_dismissed = False
        self._actor: Any = None

    def place(self) -> None:
        """Place one; it need not have a node yet.

        Raises:
            Dismissed: none is wanted any more.
        """
        self.end()  # it may only have been out of reach
        with self._lock:
            if self._is_dismissed:
                raise Dismissed
            self._actor = self._place()

    def end(self) -> None:
        """End it; whoever waits for its answer hears of that."""
        with self._lock:
            if self._actor is not None:
                ray.kill(self._actor)

    def dismiss(self) -> None:
        """End it, and place no other."""
        self._is_dismissed = True
        self.end()

    def stop(self) -> None:
        """Have it give up its request, without waiting for that."""
        if self._actor is not None:
            self._actor.stop.remote()

    def ask(self, method: str, *arguments: object) -> Any:  # noqa: ANN401  whatever it returns
        """Call a method, and return its result; raises what Ray does."""
        return ray.get(getattr(self._actor, method).remote(*arguments))

    def begin_greeting(self) -> Any:  # noqa: ANN401  a reference
        """Ask who it is; return what to wait for, which may come only with a node."""
        return self._actor.greet.remote()

    def is_same(self, greeting: Greeting | None) -> bool:
        """Tell whether it is there; one that hangs says nothing, which the daemon will notice."""
        try:
            return Greeting.model_validate_json(self.ask("greet")) == greeting
        except RayActorError:
            return False

    def is_missed(self) -> bool:
        """Tell whether the cluster knows that it has ended, and does not only fail to reach it."""
        try:
            ray.get(self.begin_greeting(), timeout=_SOON_SECONDS)
        except RayActorError as error:
            return not isinstance(error, ActorUnavailableError)
        except GetTimeoutError:
            return False
        return False
