"""What a person sees at a terminal: progress bars and tables."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn
from rich.table import Table

from nstd.daemon.status import CurrentJob, DaemonStatus, Delay, Outcome, SpoolStatus, WorkerState, WorkerStatus
from nstd.job import FailureKind, Painting
from nstd.preset import Preset
from nstd.pyramid import Quality
from nstd.weights.store import Weights
from nstd.worker.bench import Bench, measure
from nstd.worker.messages import Stepped
from nstd.worker.oneshot import paint
from nstd.worker.pace import Pace

_MINUTE = 60
_HOUR = 3600
_MIB_PER_GIB = 1024


@contextmanager
def painting_bars(console: Console | None = None) -> Iterator[Callable[[Sequence[CurrentJob]], None]]:
    """Draw a bar for each running job, if this is a terminal.

    Yields:
        A function that takes the jobs as far as they have come.
    """
    console = console or Console()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(complete_style="cyan", finished_style="green"),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[details]}", style="dim"),
    )
    # It is drawn only when there is something new, so that an idle daemon sleeps.
    bars = Progress(*columns, console=console, auto_refresh=False, transient=True, disable=not console.is_terminal)
    tasks: dict[str, TaskID] = {}

    def show(jobs: Sequence[CurrentJob]) -> None:
        for ended in tasks.keys() - {job.id for job in jobs}:
            bars.remove_task(tasks.pop(ended))
        for job in jobs:
            title = f"{escape(job.photo)} as [bold]{escape(job.preset)}[/]"
            if job.id not in tasks:
                tasks[job.id] = bars.add_task(title, total=1.0, details="")
            bars.update(tasks[job.id], completed=job.progress, details=_details(job))
        with suppress(OSError):  # the terminal has been closed
            bars.refresh()

    bars.start()
    try:
        yield show
    finally:
        with suppress(OSError):
            bars.stop()


def paint_with_bar(content: Path, preset: Preset, picture: Path) -> Painting:
    """Paint one picture while a bar shows how far it is; see `nstd.worker.oneshot.paint`."""
    pace = Pace()
    style = " and ".join(image.image.stem for image in preset.styles)
    with painting_bars(Console(stderr=True)) as show:
        job = CurrentJob(id="", photo=content.name, preset=style)
        show([job])

        def on_step(step: Stepped) -> None:
            show([job.after(step, pace.seconds_left(step))])

        return paint(content, preset, picture, on_step)


@contextmanager
def measuring_line(console: Console | None = None) -> Iterator[Callable[[int, int], None]]:
    """Draw a line that says what is measured, if this is a terminal.

    Yields:
        A function that takes a size in pixels and the number of a round, 0 for warming up.
    """
    console = console or Console(stderr=True)
    # Drawn at each new round only, so that drawing takes nothing from what is measured.
    columns = (TextColumn("{task.description}"),)
    line = Progress(*columns, console=console, auto_refresh=False, transient=True, disable=not console.is_terminal)
    with line:
        task = line.add_task("Loading the network")
        line.refresh()

        def show(size_px: int, number: int) -> None:
            doing = f"round {number}" if number else "warming up"
            line.update(task, description=f"Measuring {size_px} px: {doing}", refresh=True)

        yield show


def measure_with_line(sizes_px: Sequence[int]) -> Bench:
    """Measure this machine while a line shows how far it is; see `nstd.worker.bench.measure`."""
    with measuring_line() as show:
        return measure(sizes_px, show)


@contextmanager
def download_bar() -> Iterator[Callable[[str, int, int | None], None]]:
    """Draw a bar for each download, if this is a terminal.

    Yields:
        A function that takes what is fetched, the bytes so far, and the bytes in all if known.
    """
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        tasks: dict[str, TaskID] = {}

        def show(name: str, done: int, total: int | None) -> None:
            if name not in tasks:
                tasks[name] = bar.add_task(escape(name))
            bar.update(tasks[name], completed=done, total=total)

        yield show


def print_weights(weights: Weights) -> None:
    """Print where weights are and where they come from."""
    provenance = weights.provenance
    pairs = {
        "network": weights.network,
        "file": str(weights.path),
        "bytes": f"{weights.size_bytes:,}",
        "SHA-256": weights.sha256,
        "source": f"{provenance.source} ({provenance.source_file})",
        "source's SHA-256": provenance.source_sha256,
        "by": provenance.credit,
    }
    table = Table(box=None, show_header=False)
    for name, value in pairs.items():
        table.add_row(f"[dim]{name}[/]", escape(value))
    Console(highlight=False, soft_wrap=True).print(table)


def print_bench(bench: Bench) -> None:
    """Print for a person what was measured on this machine."""
    console = Console(highlight=False)
    console.print(
        f"{bench.device}, {bench.precision}: {escape(bench.precision_reason)}. "
        f"Matrix products: {bench.matmul_gflop_per_s:,.0f} GFLOP/s."
    )
    table = Table(box=None, pad_edge=False)
    for heading in ("size", "evaluation", "of matmul", *Quality, "memory"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in bench.evaluations:
        expected = (duration(one.quality_seconds[quality]) for quality in Quality)
        digits = ".3g" if one.seconds < _MINUTE else ",.0f"
        share, memory = f"{one.share_of_matmul:.0%}", f"{one.memory_mib / _MIB_PER_GIB:,.1f} GiB"
        table.add_row(str(one.size_px), f"{one.seconds:{digits}} s", share, *expected, memory)
    console.print(table)
    held = "this process held" if bench.device == "cpu" else "was taken of the GPU's"
    console.print(
        "of matmul: share of the matrix products' rate.\n"
        f"{', '.join(Quality)}: what a square picture takes, if no level ends early.\n"
        f"memory: the most that {held} so far, smaller sizes included.",
        style="dim",
    )


def print_status(status: SpoolStatus) -> None:
    """Print a spool's status for a person."""
    console = Console(highlight=False)
    console.print(_headline(status))
    inbox, jobs = status.inbox, status.jobs
    console.print(
        f"{inbox.drops} in the inbox, {jobs.waiting + jobs.arriving} waiting, {jobs.held} held, "
        f"{jobs.running} running, {jobs.failed} failed"
    )
    if inbox.trouble:
        console.print(f"[red]{escape(inbox.trouble)}[/]")
    if daemon := status.daemon:
        _print_daemon(console, daemon, is_running=status.pid is not None)
    _print_rows(console, "Not taken in yet", _first_of([(path,) for path in inbox.first], inbox.drops))
    queued = [(job.id, job.photo, job.preset, "held" if job.held else "") for job in status.next]
    _print_rows(console, "Next in the queue", _first_of(queued, jobs.waiting + jobs.arriving + jobs.held))
    _print_rows(console, "Failed", [(one.id, one.photo or "", one.reason) for one in status.failed])


def _print_daemon(console: Console, daemon: DaemonStatus, *, is_running: bool) -> None:
    if is_running:
        if daemon.config_error:
            console.print(f"[red]The config file is not in force:[/] {escape(daemon.config_error)}")
        for delay in daemon.troubles:
            console.print(f"[red]{escape(delay.subject)} pauses:[/] {escape(delay.reason)}; {_next_try(delay)}")
        _print_workers(console, daemon.workers)
        for number, job in enumerate(daemon.jobs):
            where = f" on {escape(job.worker)}" if len(daemon.workers) > 1 else ""
            console.print(
                f"{'' if number else chr(10)}Painting {escape(job.photo)} as {escape(job.preset)}{where}: "
                f"{job.progress:.0%}, {_details(job)}"
            )
        deferred = [(one.subject, one.about, f"{one.reason}; {_next_try(one)}") for one in daemon.deferred]
        _print_rows(console, "Deferred", deferred)
    _print_rows(
        console, "Last results", [(_ended(one), one.photo, one.preset, _came_to(one)) for one in daemon.results]
    )
    _print_rows(console, "Left alone in the inbox", [(one.path, one.reason) for one in daemon.ignored])


def _print_workers(console: Console, workers: Sequence[WorkerStatus]) -> None:
    """Count them by state, where there is more to tell than of a single one that works."""
    reasons = {worker.reason for worker in workers if worker.state is WorkerState.WAITING}
    if len(workers) > 1 or reasons:
        states = Counter(worker.state for worker in workers)
        console.print("Workers: " + ", ".join(f"{states[state]} {state}" for state in WorkerState if states[state]))
    for reason in sorted(reasons):
        console.print(f"[yellow]Waiting for {escape(reason)}[/]")


def _headline(status: SpoolStatus) -> str:
    if status.pid is None or status.daemon is None:
        return "[yellow]No daemon is running.[/]" if status.pid is None else "[green]A daemon is starting.[/]"
    return f"[green]Daemon {status.pid} is {status.daemon.state}[/], since {status.daemon.started_at[:19]}Z."


def _next_try(delay: Delay) -> str:
    return f"tried {delay.tries} x, next at {delay.next_try_at[11:19]}Z"


def _first_of(rows: Sequence[tuple[str, ...]], total: int) -> Sequence[tuple[str, ...]]:
    """Say how many more there are than are shown."""
    return rows if not rows or total <= len(rows) else [*rows, (f"and {total - len(rows)} more",)]


def _print_rows(console: Console, title: str, rows: Sequence[tuple[str, ...]]) -> None:
    if not rows:
        return
    console.print(f"\n[bold]{title}[/]")
    table = Table(box=None, show_header=False)
    for number in range(max(map(len, rows))):
        # The first column is what a person copies into the next command; paths may be broken, but not cut off.
        table.add_column(no_wrap=number == 0, overflow="fold")
    for row in rows:
        table.add_row(*map(escape, row))
    console.print(table)


def _ended(outcome: Outcome) -> str:
    return outcome.ended_at[:19].replace("T", " ")


def _came_to(outcome: Outcome) -> str:
    if outcome.reason == FailureKind.CANCELLED:
        return outcome.reason
    return outcome.picture or f"failed: {outcome.reason}"


def _details(job: CurrentJob) -> str:
    if job.loss is None:
        return "waiting for the first step"
    left = "" if job.seconds_left is None else f", {duration(job.seconds_left)} left"
    return f"step {job.step}/{job.steps}, loss {job.loss:,.0f}{left}"


def duration(seconds: float) -> str:
    """Write a duration as people say it: `42 s`, `3 min 20 s`, `2 h 05 min`."""
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE:02} s"
    return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE:02} min"
