"""What all records share: plain values, validated, that never change."""

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

# Strict: true is no 1, and "5" is no 5.
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)]
NonNegativeFloat = Annotated[float, Field(ge=0, allow_inf_nan=False, strict=True)]
Count = Annotated[int, Field(ge=0)]
Pixels = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(ge=0)]
Auto = Literal["auto"]


class Record(BaseModel):
    """Base of the records: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def none_for(word: str, others: str) -> Callable[[object], object]:
    """Make a validator that lets a word stand for None, and None for nothing."""

    def none_for_word(value: object) -> object:
        if value == word:
            return None
        if value is None or isinstance(value, str):
            msg = f"must be {word} or {others}"
            raise ValueError(msg)
        return value

    return none_for_word


def auto_for_none(value: object) -> object:
    """Write `auto` where `none_for` has read it."""
    return "auto" if value is None else value
