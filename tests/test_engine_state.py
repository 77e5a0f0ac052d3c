"""A painting that stopped at any step, was written down and went on elsewhere, is the one that never stopped."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from nstd.engine.engine import Engine
from nstd.engine.margin import MARGIN_PX
from nstd.engine.optimizers import HISTORY, SPARE_HISTORY
from nstd.engine.state import Progress, State, state_of
from nstd.engine.transfer import Transfer
from nstd.errors import CheckpointError, EngineError
from nstd.history import StopReason
from nstd.network import Network, Precision
from nstd.transfer_settings import Init, Optimizer, StyleStatistics, TransferSettings

LEVELS = {"levels": (0.5, 1), "iterations": (3, 4)}
EVALUATIONS = 4 + 5


@pytest.fixture
def pair(picture, style):
    return picture("photos/astronaut.jpg", 64), [style("swirls", 96)]


@pytest.fixture(scope="module")
def engines(engine, weights):
    return {
        Precision.FLOAT32: engine,
        Precision.BFLOAT16: Engine(Network.VGG19, weights.arrays, Precision.BFLOAT16),
    }


def painted(descent, pair, settings, *, start=None, evaluations=None, **options) -> tuple[Transfer, list]:
    """Paint, and remember nothing of the styles from another time."""
    transfer = Transfer(descent, *pair, settings, start=start, **options)
    return transfer, list(itertools.islice(transfer.steps(), evaluations))


def carried(state: State, descent) -> State:
    """Write it down and read it again."""
    progress = Progress.model_validate_json(state.progress.model_dump_json())
    arrays = [np.frombuffer(array.tobytes(), array.dtype).reshape(array.shape) for array in state.arrays()]
    return state_of(progress, arrays, descent)


@pytest.mark.parametrize(
    ("optimizer", "statistics", "precision"),
    [
        (Optimizer.LBFGS, StyleStatistics.GRAM, Precision.FLOAT32),
        (Optimizer.LBFGS, StyleStatistics.WASSERSTEIN, Precision.FLOAT32),
        (Optimizer.ADAM, StyleStatistics.GRAM, Precision.FLOAT32),
        (Optimizer.LBFGS, StyleStatistics.GRAM, Precision.BFLOAT16),
    ],
)
def test_it_goes_on_with_the_same_bits_wherever_it_stopped(engines, pair, optimizer, statistics, precision):
    settings = TransferSettings(optimizer=optimizer, style_statistics=statistics, **LEVELS)
    descent = engines[precision].descent(settings)
    whole, steps = painted(descent, pair, settings)
    for evaluations in (2, 4, 7, EVALUATIONS):  # in a level, at its end, in the next, and at the end of all
        stopped, before = painted(descent, pair, settings, evaluations=evaluations)
        resumed, after = painted(descent, pair, settings, start=carried(stopped.state, descent))
        assert before + after == steps
        assert resumed.best.tobytes() == whole.best.tobytes()
        assert [level.history for level in resumed.levels] == [level.history for level in whole.levels]
        assert resumed.loss == whole.loss


@pytest.mark.parametrize("init", [Init.STYLE, Init.NOISE])
def test_it_goes_on_from_whatever_it_began_with(engine, pair, init):
    settings = TransferSettings(init=init, **LEVELS)
    descent = engine.descent(settings)
    whole, _ = painted(descent, pair, settings)
    state = None
    for _ in range(EVALUATIONS):
        stopped, _ = painted(descent, pair, settings, start=state, evaluations=1)
        state = carried(stopped.state, descent)
    assert stopped.best.tobytes() == whole.best.tobytes()


def test_a_match_is_found_again_in_the_midst_of_its_round(engine, pair):
    settings = TransferSettings(
        manner="paint",
        palette=0.5,
        nearest_layers={"block2_conv1": 1},
        round_steps=2,
        levels=(0.5, 1),
        iterations=(3, 5),
    )
    descent = engine.descent(settings)
    whole, steps = painted(descent, pair, settings)
    assert [level.rounds for level in whole.levels] == [(0, 2), (0, 2, 4)]
    for evaluations in (2, 3, 6, 9):  # at a round's end and within one, on both levels
        stopped, before = painted(descent, pair, settings, evaluations=evaluations)
        resumed, after = painted(descent, pair, settings, start=carried(stopped.state, descent))
        assert before + after == steps
        assert resumed.best.tobytes() == whole.best.tobytes()
        assert [level.rounds for level in resumed.levels] == [level.rounds for level in whole.levels]


def test_a_state_tells_how_far_it_is(engine, pair):
    settings = TransferSettings(**LEVELS)
    descent = engine.descent(settings)
    counts = []
    transfer = Transfer(descent, *pair, settings)
    for _ in transfer.steps():
        progress = transfer.state.progress
        counts.append((len(progress.levels), len(progress.history), progress.evaluations))
    assert counts == [
        (0, 1, 1), (0, 2, 2), (0, 3, 3), (1, 0, 4), (1, 1, 5), (1, 2, 6), (1, 3, 7), (1, 4, 8), (2, 0, 9),
    ]  # fmt: skip


def test_the_end_of_a_level_takes_little(engine, pair):
    settings = TransferSettings(**LEVELS)
    descent = engine.descent(settings)
    sizes = [
        sum(array.nbytes for array in painted(descent, pair, settings, evaluations=evaluations)[0].state.arrays())
        for evaluations in (3, 4)
    ]
    assert sizes[1] < sizes[0] / 8


def test_a_picture_of_512_px_takes_70_mib_at_most(engine):
    side = 512 + 2 * MARGIN_PX
    canvas = engine.descent(TransferSettings()).start(tf.zeros([1, side, side, 3]), 1)
    assert sum(tensor.numpy().nbytes for tensor in tf.nest.flatten(canvas)) < 70 * 2**20


def test_it_is_another_value_at_another_step(engine, pair):
    settings = TransferSettings(**LEVELS)
    transfer = Transfer(engine.descent(settings), *pair, settings)
    steps = transfer.steps()
    next(steps)
    early = transfer.state
    was = [array.tobytes() for array in early.arrays()]
    next(steps)
    assert [array.tobytes() for array in early.arrays()] == was
    assert len(early.progress.history) == 1


def test_time_that_was_spent_before_counts(engine, pair):
    settings = TransferSettings(**LEVELS)
    descent = engine.descent(settings)
    clock = itertools.count().__next__
    stopped, _ = painted(descent, pair, settings, evaluations=6, clock=clock)
    state = stopped.state
    later = itertools.count(1_000_000).__next__
    resumed, _ = painted(descent, pair, settings, start=state, clock=later)
    assert resumed.style_seconds > state.progress.style_seconds > 0
    assert resumed.state.progress.seconds > state.progress.seconds > state.progress.level_seconds > 0
    assert state.progress.level_seconds < resumed.levels[1].seconds < 1000
    assert resumed.levels[0].seconds == stopped.levels[0].seconds


def test_a_time_budget_goes_on_where_it_was(engine, pair):
    settings = TransferSettings(time_budget_seconds=1000, levels=(1,), iterations=(1000,))
    descent = engine.descent(settings)

    def paint(**options):
        return painted(descent, pair, settings, clock=itertools.count(0, 10).__next__, **options)

    _, uninterrupted = paint()
    stopped, _ = paint(evaluations=10)
    resumed, after = paint(start=stopped.state)
    assert resumed.levels[-1].stop_reason is StopReason.TIME_BUDGET
    assert 0 < len(after) <= len(uninterrupted) - 10


def test_there_is_no_state_before_the_first_step(engine, pair):
    with pytest.raises(EngineError, match="there is no picture before the first step"):
        _ = engine.transfer(*pair, TransferSettings()).state


def test_other_arrays_are_no_state(engine, pair):
    settings = TransferSettings(**LEVELS)
    descent = engine.descent(settings)
    stopped, _ = painted(descent, pair, settings, evaluations=1)
    progress, arrays = stopped.state.progress, stopped.state.arrays()
    for wrong in ([], arrays[1:], [*arrays[:-1], np.zeros([2, 2], np.float32)], [arrays[0].astype(float), *arrays[1:]]):
        with pytest.raises(CheckpointError, match="arrays are not the state of such a painting"):
            state_of(progress, wrong, descent)


@pytest.mark.parametrize("spare_memory", [True, False])
def test_it_goes_on_with_as_much_memory_as_there_is_now(engine, pair, spare_memory):
    settings = TransferSettings(manner="texture", levels=(1,), iterations=(12,))
    before, after = (engine.descent(settings, spare_memory=spares) for spares in (not spare_memory, spare_memory))
    stopped, steps = painted(before, pair, settings, evaluations=10)
    resumed, more = painted(after, pair, settings, start=carried(stopped.state, after))
    assert len(resumed.state.canvas.memory.pairs) == (SPARE_HISTORY if spare_memory else HISTORY)
    _, uninterrupted = painted(before, pair, settings)
    assert more[0] == uninterrupted[10], "the next picture is the one that was planned"
    assert more[-1].losses.total < min(step.losses.total for step in steps)
