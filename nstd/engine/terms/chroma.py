"""Chroma: how noisy colours are, beside lightness."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import tensorflow as tf

from nstd.engine.curvature import OPPONENT
from nstd.engine.features import PIXELS, Features
from nstd.engine.terms.sums import Sums, mean_of
from nstd.engine.terms.term import Role, Term
from nstd.transfer_settings import TransferSettings

SCALE: Final = 1e4
"""About what raw style losses begin with: a tenth too much costs about what they end at."""

_HUES: Final = OPPONENT[:, 1:]
_NEXT_TO_NONE: Final = 50.0
"""What independent noise of 2 levels in each colour comes to."""


@dataclass(frozen=True)
class Chroma(Term):
    """Punish coloured noise: fine changes of hue beyond those that the style has.

    The network sees little of them, so that an optimiser, the longer it goes on, lets them grow, and keeps those of the
    photo. What is measured of each of two opponent colours is the mean square of second differences, across and down,
    which is mostly of the finest octave. The loss is `SCALE` times the square of what is too much, relative to what
    there may be; beyond twice of that it is linear, so that an init of noise is no explosion.

    Reference:
        Huber 1964, for the loss; the measure is our own.
    """

    name: ClassVar[str] = "chroma"
    role: ClassVar[Role] = Role.STYLE

    def weight(self, settings: TransferSettings) -> float:
        """Return the weight of coloured noise."""
        return settings.chroma_weight

    def style(self, features: Features) -> tf.Tensor:
        """Return the means of a style image, `[2]`."""
        return _noise(features)

    def aim(self, photo: Features, style: tf.Tensor) -> tf.Tensor:  # noqa: ARG002  it is the style's alone
        """Return the most that there may be, `[2]`."""
        return style

    def aim_spec(self, channels: Mapping[str, int]) -> tf.TensorSpec:  # noqa: ARG002  it looks at the pixels alone
        """Return that of a number a colour."""
        return tf.TensorSpec([2])

    def sums(self, features: Features, aim: tf.Tensor) -> list[Sums]:  # noqa: ARG002  it is compared with the means
        """Add up squared second differences, across and down; three pixels in a row count as much as all of them."""
        hues, guide = features.image @ _HUES, features.guides[PIXELS]
        across = hues[:, :, 2:] - 2 * hues[:, :, 1:-1] + hues[:, :, :-2]
        down = hues[:, 2:] - 2 * hues[:, 1:-1] + hues[:, :-2]
        return [
            _squares(across, guide[:, :, 2:] * guide[:, :, 1:-1] * guide[:, :, :-2]),
            _squares(down, guide[:, 2:] * guide[:, 1:-1] * guide[:, :-2]),
        ]

    def losses(self, sums: list[Sums], aim: tf.Tensor) -> tf.Tensor:
        """Return what the excess of both colours costs in the mean."""
        noise = tf.add_n([mean_of(one) for one in sums])
        excess = tf.nn.relu(noise - aim) / (aim + _NEXT_TO_NONE)
        return SCALE * tf.reshape(tf.reduce_mean(tf.where(excess < 1, excess**2, 2 * excess - 1)), [1])

    def yardstick(self, photo: Features, aim: Any) -> tf.Tensor:  # noqa: ANN401, ARG002
        """Return the loss of half as much again as there may be: most photos have nothing in excess."""
        return tf.constant([SCALE / 4])


def term(settings: TransferSettings) -> Chroma:  # noqa: ARG001  as of every term
    """Make the term."""
    return Chroma()


def _noise(features: Features) -> tf.Tensor:
    return tf.add_n([mean_of(one) for one in Chroma().sums(features, tf.zeros([2]))])


def _squares(difference: tf.Tensor, guide: tf.Tensor) -> Sums:
    """Add up the squares of each channel by themselves."""
    return Sums(tf.reduce_sum(guide), tf.reduce_sum(guide * difference**2, axis=[0, 1, 2]))
