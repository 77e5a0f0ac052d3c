import itertools

import pytest

from nstd.pyramid import Quality, levels_for, steps_for
from nstd.transfer_settings import TransferSettings


@pytest.mark.parametrize(
    ("long_side_px", "levels"),
    [
        (32, (1,)),
        (319, (1,)),
        (320, (0.5, 1)),
        (512, (0.5, 1)),
        (639, (0.5, 1)),
        (640, (0.25, 0.5, 1)),
        (2048, (0.125, 0.25, 0.5, 1)),
    ],
)
def test_sizes_are_halved_down_to_160_px(long_side_px, levels):
    assert levels_for(long_side_px) == levels


def test_no_size_has_more_levels_than_a_config_may_list():
    assert len(levels_for(16384)) <= 8


@pytest.mark.parametrize("with_rounds", [True, False])
@pytest.mark.parametrize("levels", [1, 2, 4])
def test_a_better_quality_takes_more_steps_on_every_level(levels, with_rounds):
    for less, more in itertools.pairwise(Quality):
        pairs = zip(*(steps_for(each, levels, with_rounds=with_rounds) for each in (less, more)), strict=True)
        assert all(a < b for a, b in pairs)


def test_rounds_are_made_up_for_by_fewer_steps():
    assert TransferSettings(manner="texture").schedule(512) == ((0.5, 120), (1, 70))
    assert TransferSettings(manner="paint").schedule(512) == ((0.5, 110), (1, 64))


def test_explicit_settings_go_before_the_quality():
    own = TransferSettings(quality="high", levels=(0.3, 1), iterations=(5, 6))
    assert own.schedule(512) == ((0.3, 5), (1, 6))
    steps = TransferSettings(quality="draft", iterations=(9,))
    assert steps.schedule(512) == ((0.5, 9), (1, 9))
    coarse, fine = steps_for(Quality.HIGH, 2, with_rounds=True)
    assert TransferSettings(quality="high", levels=(0.7, 1)).schedule(2048) == ((0.7, coarse), (1, fine))
