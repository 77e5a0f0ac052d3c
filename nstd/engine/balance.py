"""How the terms of the loss are weighed against each other, so that `strength` means the same for every pair."""

from collections.abc import Mapping, Sequence
from typing import Final

import tensorflow as tf

from nstd.engine.terms.term import Role, Term
from nstd.transfer_settings import TransferSettings

_TOTAL: Final = 1e4
"""What the style loss of the photo itself is brought to, for strength 1; about what raw losses end at."""

Weights = Mapping[str, tf.Tensor]
"""What each row of a term counts, `[rows]` float32, by the term's name; tensors, so that a change compiles nothing."""


def term_weights(terms: Sequence[Term], settings: TransferSettings, yardsticks: Mapping[str, tf.Tensor]) -> Weights:
    """Weigh the terms as the settings say.

    With a strength s, content and style are divided by their yardsticks and multiplied by (1 - s)^2 and s^2. Where a
    photo has next to nothing of what a term compares, the term's floor stands for its yardstick.

    Args:
        terms: those that the settings ask for.
        settings: with the weights and the strength.
        yardsticks: of each term, `[rows]`, before any weights.
    """
    weights = {}
    totals = None if settings.strength is None else _totals(terms, settings.strength)
    for term in terms:
        rows = tf.constant(term.row_weights(settings), tf.float32)
        share = 1.0 if totals is None else _share(totals[term.role], rows, term, yardsticks[term.name])
        weights[term.name] = term.weight(settings) * rows * share
    return weights


def is_scarce(term: Term, settings: TransferSettings, yardstick: tf.Tensor) -> bool:
    """Say whether a photo has next to nothing of what a term compares, so that the term's floor counts."""
    measured, floor = _measured(tf.constant(term.row_weights(settings), tf.float32), term, yardstick)
    return bool(measured < floor)


def _totals(terms: Sequence[Term], strength: float) -> dict[Role, float]:
    """Return what the terms of each role are brought to."""
    photo_share = min(term.photo_share for term in terms if term.role is Role.STYLE)
    return {
        Role.CONTENT: _TOTAL * photo_share * (1 - strength) ** 2,
        Role.STYLE: _TOTAL * strength**2,
        Role.SMOOTHNESS: _TOTAL,
    }


def _share(total: float, rows: tf.Tensor, term: Term, yardstick: tf.Tensor) -> tf.Tensor:
    return tf.math.divide_no_nan(total, tf.maximum(*_measured(rows, term, yardstick)))


def _measured(rows: tf.Tensor, term: Term, yardstick: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Weigh a yardstick's rows and those of the term's floor: two scalars."""
    return tf.reduce_sum(rows * yardstick), tf.reduce_sum(rows * term.floor)
