import pytest
import tensorflow as tf

from nstd.engine.styles import StatisticsCache
from nstd.transfer_settings import TransferSettings


@pytest.fixture
def measured() -> list[str]:
    return []


@pytest.fixture
def get(measured):
    cache = StatisticsCache(most_bytes=3 * 400)

    def ask(key: str) -> float:
        def measure():
            measured.append(key)
            return [(tf.fill([50], float(len(measured))), tf.zeros([50]))]

        return float(cache.get(key, measure)[0][0][0])

    return ask


def test_what_is_known_is_not_measured_again(get, measured):
    assert [get(key) for key in "abab"] == [1, 2, 1, 2]
    assert measured == ["a", "b"]


def test_what_was_used_longest_ago_is_forgotten(get, measured):
    for key in "abcadab":
        get(key)
    assert measured == [*"abcdb"]


def test_what_is_larger_than_the_cache_is_kept_until_the_next(measured):
    cache = StatisticsCache(most_bytes=10)
    for key in "aabba":
        cache.get(key, lambda key=key: [measured.append(key) or tf.zeros([100])])
    assert measured == ["a", "b", "a"]


def test_a_mix_of_styles_is_made_once(engine, picture, style):
    read = []

    def noted(one):
        return one._replace(
            identity=("noted", one.name), read=lambda *size: (read.append(one.name), one.read(*size))[1]
        )

    first, second = noted(style("swirls", 64)), noted(style("woodcut", 64))
    for mix, photo in [
        ([first], "astronaut"),
        ([first], "chelsea"),
        ([first, second], "astronaut"),
        ([first, second._replace(share=2)], "astronaut"),
        ([first, second], "rocket"),
        ([first], "rocket"),
    ]:
        cut = picture(f"photos/{photo}.jpg", 96)[:64, :64]
        next(engine.transfer(cut, mix, TransferSettings(levels=(1,), iterations=(1,))).steps())
        read.append("|")
    swirls, woodcut = first.name, second.name
    assert read == [swirls, "|", "|", swirls, woodcut, "|", swirls, woodcut, "|", "|", "|"]
