import pytest
from pydantic import ValidationError

from nstd.manner import Manner
from nstd.transfer_settings import ContentStatistics, TransferSettings


def test_a_manner_decides_what_is_left_to_it():
    texture, paint = (TransferSettings(manner=manner) for manner in ("texture", Manner.PAINT))
    assert (texture.nearest_weight, texture.content_statistics) == (0, ContentStatistics.FEATURES)
    assert (paint.nearest_weight, paint.content_statistics) == (1, ContentStatistics.SELF_SIMILARITY)
    assert TransferSettings() == texture
    assert texture.terms == ("content", "gram", "chroma")
    assert paint.terms == ("self_similarity", "gram", "nearest", "chroma")


def test_what_is_set_by_hand_stands():
    settings = TransferSettings(manner="paint", nearest_weight=0.5, content_statistics="features")
    assert (settings.nearest_weight, settings.content_statistics) == (0.5, ContentStatistics.FEATURES)


@pytest.mark.parametrize("manner", Manner)
def test_what_was_written_is_read_as_it_was(manner):
    settings = TransferSettings(manner=manner, nearest_weight=0.25)
    assert TransferSettings.model_validate_json(settings.model_dump_json()) == settings


@pytest.mark.parametrize("manner", ["oil", ["paint"], None])
def test_another_manner_is_an_error(manner):
    with pytest.raises(ValidationError, match="manner"):
        TransferSettings(manner=manner)
