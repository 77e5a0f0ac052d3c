"""What stands between the daemon's line to a worker and the actor that this is."""

import contextlib
import functools
import hashlib
import queue
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final, NamedTuple

import ray
from ray.exceptions import ActorUnavailableError, RayActorError, RayError, RayTaskError

from nstd import __version__
from nstd.cluster.actor import Actor
from nstd.cluster.messages import SAYINGS, Greeting, Parcel
from nstd.cluster.nodes import Needs, answers, is_alive
from nstd.cluster.parcels import Bytes, by_names, pieces_of, receive
from nstd.cluster.remote import Dismissed, RemoteActor
from nstd.cluster.restarts import Restarts
from nstd.cluster.store import Store, put
from nstd.cluster.wording import first_line, last_line
from nstd.config.settings import ClusterSettings
from nstd.errors import ConfigError, SpoolError
from nstd.worker.loading import telling
from nstd.worker.messages import (
    COMMANDS,
    Blame,
    Checkpointed,
    Done,
    Event,
    Failed,
    Fallen,
    Interrupted,
    Request,
    Setup,
    Stop,
    Waiting,
    to_line,
)

_BETWEEN_LOOKS_SECONDS: Final = 1.0
_SOON_SECONDS: Final = 5.0
_TO_LEARN_THE_FATE_SECONDS: Final = 60.0


class Line(NamedTuple):
    """The daemon's line to one worker."""

    setup: Setup
    commands: IO[bytes]
    events: IO[bytes]


class Relay:
    """One worker: the daemon's line on one side, an actor on the other, and another actor when that has fallen.

    Args:
        line: to the daemon.
        settings: what the actor needs of a node.
        store: of what all workers need.
        actor: what to place there.
        restarts: of the actor; begins with a pause if the last one on another line has fallen.
    """

    def __init__(
        self, line: Line, settings: ClusterSettings, store: Store, actor: type[Actor], restarts: Restarts
    ) -> None:
        self._line = line
        self._store = store
        self._restarts = restarts
        self._needs = Needs(settings)
        self._actor = RemoteActor(self._needs, actor)
        self._greeting: Greeting | None = None
        self._requests: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self._dismissed = threading.Event()
        self._is_stopped = threading.Event()

    def run(self) -> None:
        """Serve the daemon until it hangs up; then the actor ends."""
        threading.Thread(target=self._obey, daemon=True).start()
        try:
            while not self._dismissed.is_set() and self._serve():
                pass
        except (Dismissed, BrokenPipeError):
            pass  # the daemon has hung up
        except RayError:
            if not self._dismissed.is_set():
                raise
        finally:
            self._actor.end()
            with contextlib.suppress(BrokenPipeError):
                self._line.events.close()

    def _obey(self) -> None:
        """Pass commands on."""
        with self._line.commands as messages:
            for command in map(COMMANDS.validate_json, messages):
                if isinstance(command, Stop):
                    self._is_stopped.set()
                    self._actor.stop()
                else:
                    self._is_stopped.clear()
                    self._requests.put(command)
        self._dismissed.set()
        self._requests.put(None)
        # It may be in the midst of a picture, or hang; then whoever listens to it hears of its end.
        self._actor.dismiss()

    def _start_actor(self) -> None:
        """Place an actor, in a pause's time if the last one has fallen."""
        while seconds := self._restarts.seconds_left():
            row = f" ({self._restarts.falls} falls in a row)" if self._restarts.falls > 1 else ""
            self._tell(Waiting(reason=f"another try in {seconds:.0f} s, as the last one {self._restarts.how}{row}"))
            self._wait(min(seconds, _SOON_SECONDS))
        self._actor.place()

    def _wait(self, seconds: float) -> None:
        if self._dismissed.wait(seconds):
            raise Dismissed

    def _serve(self) -> bool:
        """Paint what is requested, for as long as the actor is the same; return whether another can take its place."""
        self._start_actor()
        if not self._is_loaded():
            return False
        while request := self._requests.get():
            if not self._actor.is_same(self._greeting):
                return self._fell(Fallen(how="fell while it had nothing to do", with_machine=True))
            try:
                self._paint(request)
            except RayActorError:
                return self._fell(self._fate())
            except (SpoolError, RayError) as error:
                cause = getattr(error, "cause", None)  # of what an actor's method has raised
                if isinstance(error, RayTaskError) and not isinstance(cause, RayError | SpoolError):
                    self._fail(Blame.ENGINE, cause or error, "".join(traceback.format_exception(error)))
                    continue
                self._fail(Blame.MACHINE, cause or error)
                # What it still paints nobody would hear of; and what was lost in the store must be put there again.
                self._store.clear()
                self._restarts.fell(f"was given up: {first_line(cause or error)}")
                return True
        return False

    def _is_loaded(self) -> bool:
        """Have the actor load the network; return whether it could."""
        try:
            greeting = self._greet()
            _check_version(greeting)
            sha256, weights = self._store.weights(self._line.setup)
            setup = self._line.setup.model_copy(update={"cache": Path()})
            with telling(functools.partial(self._tell_of_life, greeting)):
                said = self._actor.ask("load", setup.model_dump_json().encode(), sha256, weights)
        except ConfigError as error:
            return self._fail(Blame.OPERATOR, error)
        except RayTaskError as error:
            return self._fail(Blame.MACHINE, error.cause or error)
        except RayActorError as error:
            self._restarts.fell("fell before it was ready")  # Ray's words, a paragraph, are in what is told now
            return self._fail(Blame.MACHINE, SpoolError(f"a node of the cluster cannot run it: {last_line(error)}"))
        except (SpoolError, RayError) as error:
            return self._fail(Blame.MACHINE, error)
        self._greeting = greeting
        self._restarts.began()
        self._send(said)
        return True

    def _fail(self, blame: Blame, error: BaseException, traceback_text: str = "") -> bool:
        self._tell(Failed(blame=blame, message=first_line(error), traceback=traceback_text))
        return False

    def _greet(self) -> Greeting:
        """Wait until the actor has a place; return who it is there."""
        while True:
            reference = self._actor.begin_greeting()
            try:
                while not ray.wait([reference], timeout=_SOON_SECONDS)[0]:
                    self._tell(self._needs.waiting())
                return Greeting.model_validate_json(ray.get(reference))
            except ActorUnavailableError:  # the cluster has not missed its node yet
                self._tell(self._needs.waiting())
                self._wait(_BETWEEN_LOOKS_SECONDS)

    def _paint(self, request: Request) -> None:
        """Have a picture painted, and tell the daemon all about it; raises what Ray does."""
        interim = request.interim
        checkpoint = self._hand_over(interim.checkpoint) if interim and interim.checkpoint.exists() else ""
        styles = [self._store.style(style.sha256, style.path) for style in request.styles]
        named, paths = by_names(request)
        self._begin(named.model_dump_json().encode(), checkpoint, put(request.content.path), *styles)
        while True:
            sayings = self._actor.ask("listen").splitlines()
            if not sayings and not self._actor.is_same(self._greeting):
                raise RayActorError
            for saying in sayings:
                said = SAYINGS.validate_json(saying)
                if isinstance(said, Parcel):
                    settle = functools.partial(self._actor.ask, "settle")
                    receive(said, paths[said.path], self._pieces(said), settle)
                    continue
                self._tell(said)
                if isinstance(said, Checkpointed | Done):
                    self._restarts.came_on()
                if isinstance(said, Done | Interrupted | Failed):
                    return

    def _begin(self, *arguments: object) -> None:
        self._actor.ask("paint", *arguments)
        if self._is_stopped.is_set():  # the actor may have heard of that too early
            self._actor.stop()

    def _hand_over(self, checkpoint: Path) -> str:
        """Give the actor a checkpoint; return its SHA-256."""
        digest = hashlib.sha256()
        for number, piece in enumerate(pieces_of(checkpoint)):
            self._tell(Waiting(reason="a checkpoint that is on its way to the worker"))
            digest.update(piece.data)
            self._actor.ask("take", number, piece)
        return digest.hexdigest()

    def _pieces(self, parcel: Parcel) -> Iterator[Bytes]:
        for number in range(parcel.pieces):
            piece = self._actor.ask("fetch", number)
            # It is also how to learn that the daemon has given the job to another worker by now.
            self._tell(Waiting(reason="a file that is on its way from the worker"))
            yield piece

    def _fell(self, fallen: Fallen) -> bool:
        """Tell the daemon that the actor has ended; another can take its place."""
        self._restarts.fell(fallen.how)
        self._tell(fallen)
        return True

    def _fate(self) -> Fallen:
        """Find out how the actor has ended, and whether its machine has gone with it."""
        if (before := self._greeting) is None:  # pragma: no cover  it has been loaded
            raise AssertionError("nobody knows it")
        until = time.monotonic() + _TO_LEARN_THE_FATE_SECONDS
        is_lost = False
        while time.monotonic() < until and not is_lost:
            self._tell(Waiting(reason=f"news of node {before.node}"))
            self._wait(_BETWEEN_LOOKS_SECONDS)
            if answers(before.node_id):
                break
            # In this order: the cluster misses a node before it misses what ran there.
            is_missed, is_lost = self._actor.is_missed(), not is_alive(before.node_id)
            if is_missed:
                break
        if is_lost:
            return Fallen(how=f"was lost with its node {before.node}", with_machine=True)
        return Fallen(how=f"fell on node {before.node} (process {before.pid})")

    def _tell_of_life(self, greeting: Greeting, event: Event) -> None:
        """Tell, once the actor has answered; one that hangs falls silent."""
        with contextlib.suppress(Dismissed, BrokenPipeError, RayError):
            if self._actor.is_same(greeting):
                self._tell(event)

    def _tell(self, event: Event) -> None:
        self._send(to_line(event))

    def _send(self, line: bytes) -> None:
        if self._dismissed.is_set():
            raise Dismissed
        self._line.events.write(line)
        self._line.events.flush()


def _check_version(greeting: Greeting) -> None:
    if greeting.nstd_version != __version__:
        msg = f"node {greeting.node} has nstd {greeting.nstd_version}, and this is {__version__}: both must be the same"
        raise ConfigError(msg)
