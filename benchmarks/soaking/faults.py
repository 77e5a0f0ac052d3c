"""The faults: what happens to a daemon in its life, all within minutes."""

import contextlib
import os
import random
import signal
import stat
from collections import Counter
from collections.abc import Callable

from nstd.spool.durable import measure, rename_without_replacing
from nstd.spool.names import candidates

from .agenda import Agenda
from .drops import Dropper
from .ledger import Ledger
from .program import Program
from .spool import PRESETS, Spool

Fault = Callable[[], str]


class Faults:
    """Deals faults as a deck of cards is dealt: by chance, but each has its turn.

    Args:
        spool: to harm.
        program: to harm.
        dropper: left alone while it writes, where a fault would take a half-written file along.
        ledger: told of photos that are taken away and put back.
        agenda: for the ends of the faults that last.
        dice: for all chance.

    Attributes:
        done: how often each fault happened.
    """

    def __init__(
        self,
        spool: Spool,
        program: Program,
        dropper: Dropper,
        ledger: Ledger,
        *,
        agenda: Agenda,
        dice: random.Random,
    ) -> None:
        self._spool = spool
        self._program = program
        self._dropper = dropper
        self._ledger = ledger
        self._agenda = agenda
        self._dice = dice
        self._deck: list[Fault] = []
        # They would end a stopped worker before the daemon can notice that it hangs.
        self._fatal_to_workers = (self._kill_daemon, self._restart, self._kill_worker)
        self._weights: dict[Fault, int] = {
            self._kill_daemon: 3,
            self._kill_worker: 3,
            self._restart: 2,
            self._stop_worker: 1,
            self._reload: 1,
            self._change_config: 2,
            self._break_config: 1,
            self._remove_preset: 1,
            self._make_read_only: 2,
            self._retry: 2,
            self._take_inbox_away: 2,
        }
        if spool.may_mount:
            self._weights[self._fill_disk] = 3
        self.done: Counter[str] = Counter()

    def strike(self) -> str:
        """Let the next fault happen; return what it was."""
        if not self._deck:
            self._deck = [fault for fault, weight in self._weights.items() for _ in range(weight)]
            self._dice.shuffle(self._deck)
        fault = self._deck.pop()
        if fault in self._fatal_to_workers and self._program.has_stopped_worker():
            self._deck.insert(0, fault)
            return ""
        what = fault()
        if what:
            self.done[what] += 1
        return what

    def _kill_daemon(self) -> str:
        if self._program.has_ended():
            return ""
        self._program.kill()
        self._agenda.later(self._dice.uniform(0, 1), self._start)
        return "kill -9 of the daemon"

    def _restart(self) -> str:
        if self._program.has_ended():
            return ""
        self._program.stop(in_trouble=self._spool.in_trouble)
        self._agenda.later(self._dice.uniform(0, 1), self._start)
        return "SIGTERM and restart"

    def _start(self) -> None:
        self._spool.write_config()  # nobody starts a daemon before he has put the config right
        self._program.start()

    def _kill_worker(self) -> str:
        return self._signal_worker(signal.SIGKILL, "kill -9 of the worker")

    def _stop_worker(self) -> str:
        return self._signal_worker(signal.SIGSTOP, "SIGSTOP of the worker")

    def _signal_worker(self, number: signal.Signals, what: str) -> str:
        if (worker := self._program.worker()) is None:
            return ""
        os.kill(worker, number)
        return what

    def _reload(self) -> str:
        if not self._program.listens_to(signal.SIGHUP):
            return ""
        self._program.signal(signal.SIGHUP)
        return "SIGHUP"

    def _change_config(self) -> str:
        self._spool.change_a_setting()
        return "a setting changed"

    def _break_config(self) -> str:
        self._spool.write_config(self._spool.half_config())
        self._agenda.later(self._dice.uniform(1, 4), self._spool.write_config)
        return "config broken and mended"

    def _remove_preset(self) -> str:
        self._spool.has_guest = False
        self._spool.write_config()
        self._agenda.later(self._dice.uniform(3, 8), self._bring_preset_back)
        return "preset removed and back"

    def _bring_preset_back(self) -> None:
        self._spool.has_guest = True
        self._spool.write_config()

    def _fill_disk(self) -> str:
        place = self._dice.choice(self._spool.file_systems)
        if not self._spool.fill(place):
            return ""
        self._agenda.later(self._dice.uniform(1, 6), lambda: self._spool.make_room(place))
        return f"disk of the {'outbox' if place == self._spool.outbox else 'spool'} full"

    def _make_read_only(self) -> str:
        if not self._spool.make_read_only():
            return ""
        self._agenda.later(self._dice.uniform(1, 6), self._spool.make_writable)
        return "outbox read-only"

    def _retry(self) -> str:
        status = self._program.run("retry", "--all")
        return "nstd retry --all" if status == 0 else "nstd retry --all, in vain"

    def _take_inbox_away(self) -> str:
        """Remove a preset's folder as a person does who tidies up and thinks better of it."""
        preset = self._dice.choice(PRESETS)
        inbox, aside = self._spool.inbox / preset, self._spool.desk / preset
        if self._dropper.writing or aside.exists() or not inbox.is_dir():
            return ""
        inbox.rename(aside)
        self._agenda.later(self._dice.uniform(0, 3), lambda: self._put_back(preset))
        return "inbox folder removed and back"

    def _put_back(self, preset: str) -> None:
        inbox, aside = self._spool.inbox / preset, self._spool.desk / preset
        inbox.mkdir(exist_ok=True)
        for path in aside.iterdir():
            if path.name.startswith("."):
                path.unlink()  # nobody puts a hidden file back that he never dropped
                continue
            if stat.S_ISREG(path.lstat().st_mode):
                self._ledger.put_back(preset, measure(path).sha256)
            for name in candidates(path.name):
                with contextlib.suppress(FileExistsError):
                    rename_without_replacing(path, inbox / name)
                    break
        aside.rmdir()
