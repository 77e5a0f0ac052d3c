"""Paintings whose loss depends on a match that is made anew every round."""

import numpy as np
import pytest

from nstd.engine.transfer import Transfer
from nstd.history import StopReason
from nstd.transfer_settings import TransferSettings

LAYERS = {"block2_conv1": 1, "block4_conv2": 2}
NEAREST = {"nearest_weight": 1, "nearest_layers": LAYERS, "levels": (0.5, 1)}


@pytest.fixture
def pair(picture, style):
    return picture("photos/astronaut.jpg", 64), [style("swirls", 96)]


def paint(engine, pair, **settings) -> Transfer:
    transfer = engine.transfer(*pair, TransferSettings(**NEAREST | settings))
    for _ in transfer.steps():
        pass
    return transfer


@pytest.mark.parametrize(
    ("iterations", "steps", "rounds"),
    [(8, 4, (0, 4)), (9, 4, (0, 4)), (10, 4, (0, 4, 8)), (3, 4, (0,)), (4, 4, (0,)), (6, 2, (0, 2, 4))],
)
def test_a_round_begins_after_so_many_steps_unless_few_are_left(engine, pair, iterations, steps, rounds):
    transfer = paint(engine, pair, iterations=(1, iterations), round_steps=steps)
    assert transfer.levels[1].rounds == rounds
    assert len(transfer.levels[1].history) == iterations + 1


def test_at_first_nothing_is_matched(engine, pair):
    [level] = paint(engine, pair, iterations=(21,), round_steps=4, levels=(1,)).levels
    assert level.rounds == (0, 9, 13, 17), "0.4 of 21 steps"
    losses = [losses.terms["nearest.block2_conv1"] for losses in level.history]
    assert losses[:9] == [0] * 9
    assert min(losses[9:]) > 0


def test_without_nearest_neighbours_a_level_is_one_round(engine, pair):
    assert [level.rounds for level in paint(engine, pair, nearest_weight=0, iterations=(4,), round_steps=2).levels] == [
        (0,), (0,),
    ]  # fmt: skip


def test_a_manner_of_paint_has_rounds_of_its_own_accord(engine, pair):
    transfer = engine.transfer(*pair, TransferSettings(manner="paint", levels=(1,), iterations=(30,)))
    assert len(list(transfer.steps())) == 31
    [level] = transfer.levels
    assert level.rounds == (0, 12)
    assert {name.partition(".")[0] for name in level.history[0].terms} == {
        "self_similarity", "content", "gram", "nearest", "chroma",
    }  # fmt: skip


def test_every_layer_has_its_loss_in_the_log(engine, pair):
    losses = paint(engine, pair, iterations=(2,)).levels[1].history[1]
    assert [name for name in losses.terms if name.startswith("nearest")] == [
        "nearest.block2_conv1",
        "nearest.block4_conv2",
    ]
    assert losses.total == pytest.approx(sum(losses.terms.values()), rel=1e-5)


def test_a_picture_comes_nearer_to_the_style_than_without(engine, pair):
    """The first loss of a round is of a new match, for whatever picture; the judge's second step begins one."""

    def distance(**settings):
        last = paint(engine, pair, iterations=(30,), round_steps=10, **settings)
        judging = TransferSettings(**NEAREST | {"levels": (1,), "iterations": (1,)})
        judge = engine.transfer(last.best, pair[1], judging)
        losses = list(judge.steps())[1].losses.terms
        return sum(loss for name, loss in losses.items() if name.startswith("nearest"))

    assert distance() < 0.9 * distance(nearest_weight=0)


def test_best_picture_and_losses_are_those_of_the_last_round(engine, pair):
    transfer = paint(engine, pair, iterations=(4, 9), round_steps=3, seed=3)
    level = transfer.levels[1]
    last = [losses.total for losses in level.history[level.rounds[-1] :]]
    assert level.rounds == (0, 3, 6)
    assert (transfer.loss.initial, transfer.loss.best, transfer.loss.final) == (last[0], min(last), last[-1])
    assert level.history[transfer.loss.best_step].total == min(last)


def test_positions_follow_the_seed(engine, picture, style):
    """At 160 px not all positions of block 2 are compared."""
    pair = picture("photos/astronaut.jpg", 160), [style("swirls", 160)]
    settings = {"levels": (1,), "iterations": (2,)}
    pictures = [paint(engine, pair, seed=seed, **settings).best for seed in (1, 1, 2)]
    assert pictures[0].tobytes() == pictures[1].tobytes()
    assert pictures[0].tobytes() != pictures[2].tobytes()


def test_styles_that_are_not_turned_give_another_picture(engine, pair):
    turned, upright = (paint(engine, pair, iterations=(3,), style_turns=turns).best for turns in (4, 0))
    assert np.abs(turned - upright).mean() > 0.5


def test_a_level_ends_with_a_round_that_gained_next_to_nothing(engine, pair):
    transfer = paint(engine, pair, iterations=(60,), round_steps=5, tolerance=0.9, levels=(1,))
    [level] = transfer.levels
    assert level.stop_reason is StopReason.CONVERGED
    assert level.rounds[:2] == (0, 24), "not before anything was matched"
    totals = [losses.total for losses in level.history[level.rounds[-1] :]]
    assert len(totals) == 5
    assert min(totals[1:]) >= 0.1 * totals[0]
