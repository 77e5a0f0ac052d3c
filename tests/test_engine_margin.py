import numpy as np

from nstd.engine.margin import MARGIN_PX, guide_with_margin, margin_px, with_margin, without_margin
from nstd.transfer_settings import Padding


def test_a_margin_is_the_picture_as_in_a_mirror():
    image = np.arange(2 * 3 * 3, dtype=np.float32).reshape(2, 3, 3)
    wide = with_margin(image, 2)
    np.testing.assert_array_equal(wide[:, 2:5, 0], image[[1, 0, 0, 1, 1, 0]][:, :, 0])
    np.testing.assert_array_equal(without_margin(wide, 2), image)


def test_guide_has_the_size_of_picture_and_margin():
    guide = guide_with_margin(3, 2, 4)
    assert guide.shape == (1, 10, 11, 1)
    np.testing.assert_array_equal(without_margin(guide[0].numpy(), 4), np.ones((2, 3, 1)))
    assert guide.numpy().sum() == 6


def test_margin_is_for_mirrored_padding():
    assert {padding: margin_px(padding) for padding in Padding} == {Padding.MIRROR: MARGIN_PX, Padding.ZERO: 0}
