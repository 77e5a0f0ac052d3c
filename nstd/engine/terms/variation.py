"""Total variation: how much neighbouring pixels differ."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

import tensorflow as tf

from nstd.engine.features import PIXELS, Features
from nstd.engine.terms.sums import Sums, mean_of, squares
from nstd.engine.terms.term import Role, Term
from nstd.transfer_settings import TransferSettings

_TYPICAL: Final = 360.0
"""Geometric mean of four ordinary photos of 320 px, which lie within a factor of 2 of it."""

_SCARCE: Final = 0.25
"""A photo with less than this share of it is smooth already."""


@dataclass(frozen=True)
class Variation(Term):
    """Punish differences between neighbours: the mean square across and down.

    Reference:
        Mahendran and Vedaldi 2015, eq. 4 with beta = 2. Differs: means instead of sums.
    """

    name: ClassVar[str] = "variation"
    role: ClassVar[Role] = Role.SMOOTHNESS

    @property
    def floor(self) -> Sequence[float]:
        """The share of a typical photo's variation that counts as next to none."""
        return [_SCARCE * _TYPICAL]

    def weight(self, settings: TransferSettings) -> float:
        """Return the weight of total variation."""
        return settings.tv_weight

    def sums(self, features: Features, aim: tuple[()]) -> list[Sums]:  # noqa: ARG002  it aims at nothing
        """Add up squared differences, across and down; a pair counts as much as both of its pixels."""
        image, guide = features.image, features.guides[PIXELS]
        across = squares(image[:, :, 1:] - image[:, :, :-1], guide[:, :, 1:] * guide[:, :, :-1])
        down = squares(image[:, 1:] - image[:, :-1], guide[:, 1:] * guide[:, :-1])
        return [across, down]

    def losses(self, sums: list[Sums], aim: tuple[()]) -> tf.Tensor:  # noqa: ARG002  as above
        """Return the sum of both means."""
        return tf.reshape(tf.add_n([mean_of(one) for one in sums]), [1])


def term(settings: TransferSettings) -> Variation:  # noqa: ARG001  as of every term
    """Make the term."""
    return Variation()
