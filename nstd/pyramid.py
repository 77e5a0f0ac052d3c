"""Which levels a picture is painted on, and how many optimiser steps each of them takes."""

from enum import StrEnum
from typing import Final, NamedTuple

_COARSEST_PX: Final = 160


class Quality(StrEnum):
    """How much work goes into a painting."""

    DRAFT = "draft"
    STANDARD = "standard"
    HIGH = "high"


class Effort(NamedTuple):
    """What a quality stands for.

    Attributes:
        coarsest: optimiser steps on the coarsest level, which starts from a photo and not from a painting.
        finer: optimiser steps on each other level.
    """

    coarsest: int
    finer: int


EFFORTS: Final = {Quality.DRAFT: Effort(60, 20), Quality.STANDARD: Effort(120, 70), Quality.HIGH: Effort(300, 225)}
"""A draft takes a third of the time of a standard painting, and a high one takes three times as long."""


_WITH_ROUNDS: Final = 0.92
"""Of as many steps, where a loss with rounds takes some of the time."""


def levels_for(long_side_px: int) -> tuple[float, ...]:
    """Halve a size for as long as its long side stays 160 px; return the fractions, ascending, the last is 1."""
    levels = [1.0]
    while levels[0] / 2 * long_side_px >= _COARSEST_PX:
        levels.insert(0, levels[0] / 2)
    return tuple(levels)


def steps_for(quality: Quality, levels: int, *, with_rounds: bool) -> tuple[int, ...]:
    """Return the number of optimiser steps on each of so many levels."""
    share = _WITH_ROUNDS if with_rounds else 1
    coarsest, finer = (round(share * steps) for steps in EFFORTS[quality])
    return coarsest, *[finer] * (levels - 1)
