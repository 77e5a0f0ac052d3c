import pytest
import tensorflow as tf

from nstd.engine.styles import StatisticsCache


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
