import itertools

import pytest
import tensorflow as tf

from nstd.engine.timing import Machine, Product, flop_per_pixel
from nstd.network import Precision
from nstd.pyramid import Quality, steps_for
from nstd.transfer_settings import TransferSettings


def test_operations_of_the_default_preset_are_those_of_the_published_results(weights):
    # 361,152 by hand: 9 in * out of each convolution up to block5_conv1, a quarter of it for every pooling before;
    # 17,408: 64^2 + 128^2 / 4 + 256^2 / 16 + 512^2 / 64 + 512^2 / 256.
    assert flop_per_pixel(weights.arrays, TransferSettings()) == 2 * (361_152 * 2 + 17_408 * 3)


def test_layers_beyond_the_deepest_compared_do_not_count(weights):
    settings = TransferSettings(manner="texture", content_layers={"block1_conv2": 1}, style_layers={"block1_conv1": 1})
    assert flop_per_pixel(weights.arrays, settings) == 2 * (9 * (3 * 64 + 64 * 64) * 2 + 64**2 * 3)


@pytest.mark.parametrize("quality", Quality)
def test_pixels_of_a_painting_count_levels_and_margins(quality):
    settings = TransferSettings(quality=quality, manner="texture")
    coarsest, finer = steps_for(quality, 2, with_rounds=False)
    # Every level is evaluated once more than it has steps; a margin of 16 px is on both sides.
    alone = (coarsest + 1) * (256 + 32) ** 2
    assert Machine.work(settings, 256) == (alone, 0)
    assert Machine.work(settings, 512) == (alone + (finer + 1) * (512 + 32) ** 2, 0)


def test_pixels_of_a_painting_with_rounds_count_what_is_matched():
    settings = TransferSettings(manner="paint", iterations=(50, 30), levels=(0.5, 1))
    # The first level is matched from step 20 on, at 20 and 40; the second at 0 and 20.
    assert Machine.work(settings, 512).matched == 2 * (256 + 32) ** 2 + 2 * (512 + 32) ** 2


@pytest.mark.parametrize(("seconds", "products"), [(0.5, 1), (0.004, 25)])
def test_fast_products_are_done_many_at_once(seconds, products):
    ticks = itertools.count(0, seconds)
    product = Product(Precision.FLOAT32, side=8, clock=lambda: next(ticks))
    product()
    assert product.flop == products * 2 * 8**3


def test_lack_of_memory_is_pythons_own_error():
    with pytest.raises(MemoryError), Machine.within_memory():
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")
