import pytest
from pydantic import ValidationError

from nstd.manner import Manner, Recipe
from nstd.transfer_settings import TransferSettings


def test_a_manner_decides_what_is_left_to_it():
    texture, paint = (TransferSettings(manner=manner) for manner in ("texture", Manner.PAINT))
    self_similarity = (0.4, {"block3_conv3": 1, "block4_conv2": 1})
    assert texture.recipe == Recipe(0, {"content": (1, {"block4_conv2": 1})})
    assert paint.recipe == Recipe(1, {"self_similarity": self_similarity, "content": (0.7, {"block4_conv2": 1})})
    assert TransferSettings() == paint
    assert texture.terms == ("content", "gram", "chroma")
    assert paint.terms == ("self_similarity", "content", "gram", "nearest", "chroma")


def test_what_is_set_by_hand_stands():
    settings = TransferSettings(manner="paint", nearest_weight=0, content_statistics="self_similarity")
    assert settings.recipe == Recipe(0, {"self_similarity": (1, {"block3_conv3": 1, "block4_conv2": 1})})
    both = TransferSettings(content_layers={"block1_conv1": 2}).recipe.content
    assert [comparison.layers for comparison in both.values()] == 2 * [{"block1_conv1": 2}]
    assert not settings.has_rounds


@pytest.mark.parametrize("manner", Manner)
@pytest.mark.parametrize(
    "by_hand",
    [{}, {"nearest_weight": 0.25, "content_statistics": "self_similarity"}, {"content_layers": {"block4_conv1": 1}}],
)
def test_what_was_written_is_read_as_it_was(manner, by_hand):
    settings = TransferSettings(manner=manner, **by_hand)
    assert TransferSettings.model_validate_json(settings.model_dump_json()) == settings


@pytest.mark.parametrize(
    "wrong", [{"manner": "oil"}, {"manner": ["paint"]}, {"nearest_weight": -1}, {"content_statistics": "gram"}]
)
def test_anything_else_is_an_error(wrong):
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        TransferSettings(**wrong)
