"""How fast this machine paints: evaluations of all sizes, in turn with matrix products."""

import os
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import Field

from nstd.errors import EngineError
from nstd.network import Network
from nstd.pyramid import Quality
from nstd.record import Pixels, PositiveFloat, Record
from nstd.transfer_settings import TransferSettings
from nstd.weights.store import cache_folder, load_weights
from nstd.worker.environment import loading_tensorflow

if TYPE_CHECKING:
    from nstd.engine.timing import Machine

SMALLEST_PX: Final = 64
LARGEST_PX: Final = 16384

_LEAST_ROUNDS: Final = 3
_MOST_ROUNDS: Final = 9
_SECONDS_A_SIZE: Final = 5.0
"""With these the sizes up to 2048 take a little more than 3 minutes where an evaluation takes 1 s at 512."""


class Evaluation(Record):
    """What was measured on a square picture of one size.

    Attributes:
        size_px: its side.
        precision: arithmetic of the network's convolutions.
        seconds: of one evaluation, the median.
        share_of_matmul: its floating-point operations a second, by those of the matrix products in turn with it.
        step_seconds: of one optimiser step, which contains an evaluation, the median.
        match_seconds: of looking for nearest neighbours once, the median.
        memory_mib: the most that this process has held so far, sizes before this one included; on a GPU, the most that
            it has taken of the GPU's memory.
        quality_seconds: what the steps and matches of a painting take, margins and coarser levels included, if no
            level converges before the end of its steps.
    """

    size_px: Pixels
    precision: str
    seconds: PositiveFloat
    share_of_matmul: PositiveFloat
    step_seconds: PositiveFloat
    match_seconds: PositiveFloat
    memory_mib: PositiveFloat
    quality_seconds: dict[Quality, PositiveFloat]


class Bench(Record):
    """What was measured on this machine.

    Attributes:
        device: `cpu` or `gpu:N`.
        precision: arithmetic of the network's convolutions.
        precision_reason: why it is that, for a person.
        matmul_gflop_per_s: 10^9 floating-point operations a second of the product of two 4096 x 4096 matrices in that
            precision, the median over the sizes.
        evaluations: by size, ascending.
        too_large_px: the first size for which memory did not suffice, and the end of the measuring; None: all fit.
    """

    device: str
    precision: str
    precision_reason: str
    matmul_gflop_per_s: PositiveFloat
    evaluations: Annotated[tuple[Evaluation, ...], Field(min_length=1)]
    too_large_px: Pixels | None = None


Work = Callable[[], object]
OnRound = Callable[[int, int], object]


def measure(sizes_px: Sequence[int], on_round: OnRound) -> Bench:
    """Measure evaluations and steps of the default preset, with the engine's default settings.

    Args:
        sizes_px: sides of the square pictures, ascending.
        on_round: called with a size and the number of a round before each of them; round 0 warms up.

    Raises:
        WeightsError: the network's weights are missing or damaged.
        EngineError: not even the network or the first size fits into memory.
    """
    cache = cache_folder(os.environ)
    weights = load_weights(Network.VGG19, cache)
    try:
        with loading_tensorflow(cache):
            from nstd.engine.timing import Machine  # noqa: PLC0415  as in `nstd.worker.oneshot`

            with Machine.within_memory():
                machine = Machine(TransferSettings(), weights.network, weights.arrays)
    except MemoryError as error:
        raise EngineError("memory does not suffice for the network") from error
    return measure_on(machine, sizes_px, on_round)


def measure_on(
    machine: "Machine", sizes_px: Sequence[int], on_round: OnRound, clock: Callable[[], float] = time.perf_counter
) -> Bench:
    """Measure one size after the other, until one does not fit into memory; see `measure`."""
    measured: list[tuple[Evaluation, float]] = []
    too_large_px = None
    for size_px in sizes_px:
        try:
            with machine.within_memory():
                measured.append(_measure_size(machine, size_px, on_round, clock))
        except MemoryError as error:
            if not measured:
                msg = f"{size_px} px: memory does not suffice; ask for less with --sizes"
                raise EngineError(msg) from error
            too_large_px = size_px
            break
    return Bench(
        device=machine.device.name,
        precision=machine.device.precision,
        precision_reason=machine.device.reason,
        matmul_gflop_per_s=statistics.median(rate for _, rate in measured) / 1e9,
        evaluations=tuple(evaluation for evaluation, _ in measured),
        too_large_px=too_large_px,
    )


def _measure_size(
    machine: "Machine", size_px: int, on_round: OnRound, clock: Callable[[], float]
) -> tuple[Evaluation, float]:
    """Measure a size, and the matrix products' floating-point operations a second meanwhile."""
    on_round(size_px, 0)
    trial = machine.trial(size_px)
    trial.step()
    works = (trial.evaluate, machine.product, trial.step, trial.match)
    seconds, product_seconds, step_seconds, match_seconds = _in_turn(works, partial(on_round, size_px), clock)
    rate = machine.product.flop / product_seconds

    def painting_seconds(quality: Quality) -> float:
        evaluated, matched = machine.work(TransferSettings(quality=quality), size_px)
        return (step_seconds * evaluated + match_seconds * matched) / size_px**2

    evaluation = Evaluation(
        size_px=size_px,
        precision=machine.device.precision,
        seconds=seconds,
        share_of_matmul=machine.flop_per_pixel * size_px**2 / seconds / rate,
        step_seconds=step_seconds,
        match_seconds=match_seconds,
        memory_mib=machine.peak_memory_mib(),
        quality_seconds={quality: painting_seconds(quality) for quality in Quality},
    )
    return evaluation, rate


def _in_turn(works: Sequence[Work], on_round: Callable[[int], object], clock: Callable[[], float]) -> list[float]:
    """Do the works in turn, so that what else the machine does meets all of them; return their median seconds."""
    rounds: list[list[float]] = []
    began = clock()
    while len(rounds) < _LEAST_ROUNDS or (len(rounds) < _MOST_ROUNDS and clock() - began < _SECONDS_A_SIZE):
        on_round(len(rounds) + 1)
        rounds.append([_seconds(work, clock) for work in works])
    return [statistics.median(column) for column in zip(*rounds, strict=True)]


def _seconds(work: Work, clock: Callable[[], float]) -> float:
    began = clock()
    work()
    return clock() - began
