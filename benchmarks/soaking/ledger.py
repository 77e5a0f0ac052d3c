"""The ledger: what was dropped, and where each drop has come to lie."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from .photos import RUBBISH
from .places import Found, Places
from .spool import DEFAULT_PRESETS

_ATTEMPTS = "attempts"
_INPUT = "input"
Key = tuple[str, str]  # preset and SHA-256


@dataclass(frozen=True)
class Entry:
    """One drop: its kind, its folder below the inbox (empty: the inbox's own), its name."""

    kind: str
    place: str
    name: str

    @property
    def presets(self) -> tuple[str, ...]:
        """The presets that are to paint it."""
        return (self.place,) if self.place else DEFAULT_PRESETS


@dataclass
class Account:
    """What was dropped for one preset with the same bytes, and what was found of it.

    Attributes:
        entries: one for each drop.
        put_back: how many of these a person took out of the inbox and put back: nstd may have taken them in before.
        found: where they are.
    """

    entries: list[Entry] = field(default_factory=list)
    put_back: int = 0
    found: list[Found] = field(default_factory=list)

    @property
    def is_rubbish(self) -> bool:
        """Whether no painting can ever come of it."""
        return any(entry.kind in RUBBISH for entry in self.entries)


class Ledger:
    """Every drop, and in the end the balance."""

    def __init__(self) -> None:
        self._accounts: defaultdict[Key, Account] = defaultdict(Account)
        self.objects: list[Entry] = []

    def enter(self, entry: Entry, data: bytes) -> None:
        """Note a drop that is complete."""
        for preset in entry.presets:
            self._accounts[preset, hashlib.sha256(data).hexdigest()].entries.append(entry)

    def enter_object(self, entry: Entry) -> None:
        """Note something that can never become a job, and has to stay in the inbox."""
        self.objects.append(entry)

    def put_back(self, preset: str, sha256: str) -> None:
        """Note that a person has taken a drop out of the inbox for a while."""
        self._accounts[preset, sha256].put_back += 1

    @property
    def drops(self) -> int:
        """How many files were dropped for how many presets in all."""
        return sum(len(account.entries) for account in self._accounts.values())

    def balance(self, places: Places) -> list[str]:
        """Find all that was dropped; return what is wrong, by name."""
        for found in places.found:
            for preset in found.presets:
                self._accounts[preset, found.sha256].found.append(found)
        problems = list(places.problems)
        for (preset, sha256), account in self._accounts.items():
            problems += (f"{_title(account, preset, sha256)}: {problem}" for problem in _problems(account))
            if sha256 not in places.originals and any(found.is_taken_in for found in account.found):
                problems.append(f"{_title(account, preset, sha256)}: is not among the originals")
        known = {sha256 for _, sha256 in self._accounts}
        problems += (f"originals: {sha256}: nobody dropped this" for sha256 in places.originals - known)
        return problems + list(_objects(self.objects, places))

    def outcomes(self) -> dict[str, Counter[str]]:
        """Count by kind of drop where they are; drops of the same bytes are told apart by their order only."""
        counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for account in self._accounts.values():
            for entry, found in zip(account.entries, account.found, strict=False):
                counts[entry.kind][found.outcome] += 1
        for entry in self.objects:
            counts[entry.kind]["left in the inbox"] += 1
        return dict(counts)

    @property
    def failed_by_attempts(self) -> int:
        """How many good photos failed because they were being painted whenever something was killed."""
        good = (account for account in self._accounts.values() if not account.is_rubbish)
        return sum(one.reason_kind == _ATTEMPTS for account in good for one in account.found)

    @property
    def painted_twice(self) -> int:
        """How many drops became two jobs because a person took them away and put them back in the meantime."""
        return sum(max(0, len(one.found) - len(one.entries)) for one in self._accounts.values() if one.put_back)


def _title(account: Account, preset: str, sha256: str) -> str:
    names = ", ".join(f"{entry.place}/{entry.name!r} ({entry.kind})" for entry in account.entries)
    return f"{names or 'nobody dropped this'} as {preset}, SHA-256 {sha256[:12]}"


def _problems(account: Account) -> Iterator[str]:
    dropped, found = len(account.entries), len(account.found)
    places = "; ".join(one.where for one in account.found) or "nowhere"
    if found < dropped:
        yield f"dropped {dropped} times, found {found} times: {places}"
    if found > dropped + account.put_back:
        yield f"dropped {dropped} times, put back {account.put_back} times, found {found} times: {places}"
    for one in account.found:
        if one.outcome == "published" and account.is_rubbish:
            yield f"is no photo, but was painted: {one.where}"
        if one.reason_kind and one.reason_kind != _ATTEMPTS and not (account.is_rubbish and one.reason_kind == _INPUT):
            yield f"failed for a reason that is not its own: {one.where}"


def _objects(entries: Iterable[Entry], places: Places) -> Iterator[str]:
    for entry in entries:
        where = f"{entry.place}/{entry.name!r} ({entry.kind})"
        if entry.name not in places.objects:
            yield f"{where}: is not in the inbox any more"
        elif not places.is_listed(f"{entry.place}/{entry.name}"):
            yield f"{where}: lies in the inbox, but `nstd status` does not tell"
