"""What is told of a painting's losses, as plain validated records."""

from enum import StrEnum

from pydantic import model_validator

from nstd.record import Count, Pixels, Record, Seconds


class Losses(Record):
    """The losses of one evaluation, each with its weight applied.

    Attributes:
        step: optimiser steps taken on this level before the evaluation; 0 is the start.
        total: the sum of all others.
        terms: each term's loss, of a layer each where it compares layers: `content.block4_conv2`, `gram.block1_conv1`.
    """

    step: Count
    total: float
    terms: dict[str, float]

    @model_validator(mode="before")
    @classmethod
    def _of_version_1(cls, data: object) -> object:
        """Read what a result log of schema version 1 has: `content`, `style` by layer, and `tv`."""
        if not isinstance(data, dict) or not {"content", "style", "tv"} <= data.keys():
            return data
        style = {f"style.{layer}": loss for layer, loss in data["style"].items()}
        terms = {"content": data["content"], **style, "variation": data["tv"]}
        return {name: data[name] for name in ("step", "total")} | {"terms": terms}


class StopReason(StrEnum):
    """Why a level was painted no further."""

    ITERATIONS = "iterations"
    TIME_BUDGET = "time_budget"
    CONVERGED = "converged"


class LevelLog(Record):
    """What happened on one level of the pyramid.

    Attributes:
        rounds: the steps at which its rounds began; losses compare within a round.
    """

    width_px: Pixels
    height_px: Pixels
    history: tuple[Losses, ...]
    rounds: tuple[Count, ...] = (0,)
    stop_reason: StopReason
    seconds: Seconds


class LossSummary(Record):
    """Total losses of the last level's last round, at the result's size."""

    initial: float
    best: float
    final: float
    best_step: Count
