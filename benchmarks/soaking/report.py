"""The figures, as tables."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from .ledger import Ledger
from .memory import WARM_UP_JOBS, Memory, growth

_OUTCOMES = ("published", "failed", "waiting", "left in the inbox")


def drops_table(ledger: Ledger) -> Iterator[str]:
    """Tell what became of each kind of drop; one for two presets counts twice."""
    outcomes = ledger.outcomes()
    total = sum(outcomes.values(), Counter())
    yield _row("drops", ("all", *_OUTCOMES))
    for kind, counts in {**dict(sorted(outcomes.items())), "all": total}.items():
        yield _row(kind, (counts.total(), *(counts[outcome] for outcome in _OUTCOMES)))


def counts_table(title: str, counts: Mapping[str, int]) -> Iterator[str]:
    """Tell how often each thing happened."""
    yield _row(title, (sum(counts.values()),))
    yield from (_row(f"  {name}", (count,)) for name, count in sorted(counts.items()))


def memory_table(memory: Memory) -> Iterator[str]:
    """Tell how much memory daemon and worker had, in MiB."""
    after = min(WARM_UP_JOBS, len(memory.worker))
    yield _row("memory in MiB after jobs", (1, after, len(memory.worker), "growth"))
    for name, values in {"daemon": memory.daemon, "worker": memory.worker}.items():
        marks = (f"{values[index]:.0f}" for index in (0, after - 1, -1))
        yield _row(f"  {name}", (*marks, f"{growth(values):+.1%}"))


def _row(name: str, values: Iterable[object]) -> str:
    return f"{name:<30}" + "".join(f"{value!s:>19}" for value in values)
