"""Nearest neighbours: each part of the picture like some part of the style, and each part of the style in it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, NamedTuple

import tensorflow as tf

from nstd.engine.features import Features
from nstd.engine.terms.positions import at, directions, drawn
from nstd.engine.terms.sums import Sums, first_moment, mean_of
from nstd.engine.terms.term import MatchedTerm, Role
from nstd.transfer_settings import TransferSettings

SCALE: Final = 1600.0
"""At first some tenth of the Gram matrices' loss, of which little is left later."""

_YARDSTICK: Final = 1e4
"""Cosines are of the same order for every pair, so that they need no measure."""

_KEYS: Final = 8192
"""Parts of the style that are offered, of all its views together."""

_QUERIES: Final = 3072
"""Parts of the picture that are each to be like one of them."""

_BACK_SHARE: Final = 0.5
"""What the upright style's parts count beside the picture's; each of them is to be found there."""

_PRICE: Final = 0.75
"""How much of a key's cosine with the query nearest to it is no merit."""


class Parts(NamedTuple):
    """What was seen of one layer in one view of a style image: the mean `[C]`, and some positions, `[N, C]`."""

    mean: tf.Tensor
    parts: tf.Tensor


class Keys(NamedTuple):
    """What a layer's features are matched with: directions from the style's mean.

    Attributes:
        mean: `[C]`.
        directions: `[N, C]`, of length 1; as many from each view, from the image as it is first.
    """

    mean: tf.Tensor
    directions: tf.Tensor


class Match(NamedTuple):
    """What some positions of a layer are to be like.

    Attributes:
        mean: `[C]`, of the style.
        positions: `[N]` int64, row by row.
        goals: `[N, C]`, the sum of the directions that each is to have, each times its weight.
        weights: `[N]`, the sum of these weights.
    """

    mean: tf.Tensor
    positions: tf.Tensor
    goals: tf.Tensor
    weights: tf.Tensor


@dataclass(frozen=True)
class Nearest(MatchedTerm):
    """Compare features with those of the style that they are most like, and those of the style with the picture's.

    What counts is in which direction a feature lies from the style's mean, so that the style's palette is the origin.

    Args:
        layers: names of the layers.
        views: how many quarter turns of the style are offered.

    Reference:
        Kolkin et al. 2022, "Neural Neighbor Style Transfer", eq. 1, for the first direction; Kolkin et al. 2019,
        "STROTSS", eq. 3 to 6, for both. Differs: layer by layer, at sampled positions; both directions are added up.
        Conneau et al. 2018, "Word translation without parallel data", sec. 2.3 (CSLS), for what is near to everything.
        Differs: what counts is one neighbour, and by `_PRICE` instead of a half.
    """

    layers: tuple[str, ...]
    views: int = 4

    name: ClassVar[str] = "nearest"
    role: ClassVar[Role] = Role.STYLE

    def weight(self, settings: TransferSettings) -> float:
        """Return the weight of nearest neighbours."""
        return settings.recipe.nearest_weight

    def row_weights(self, settings: TransferSettings) -> Sequence[float]:
        """Return the weights of the layers, which sum to 1."""
        weights = [settings.nearest_layers[layer] for layer in self.layers]
        return [weight / sum(weights) for weight in weights]

    def style(self, features: Features) -> list[Parts]:
        """Return what is seen of each layer in a view."""
        return [_parts(features.layers[layer], features.guides[layer], _KEYS // self.views) for layer in self.layers]

    def mixed(self, styles: Sequence[Sequence[list[Parts]]], shares: Sequence[float]) -> list[Keys]:
        """Offer parts of every style image, as many as its share."""
        return [_keys([[view[row] for view in views] for views in styles], shares) for row in range(len(self.layers))]

    def aim(self, photo: Features, style: list[Keys]) -> list[Keys]:  # noqa: ARG002  it is the style's alone
        """Return the keys."""
        return style

    def keys_spec(self, channels: Mapping[str, int]) -> list[Keys]:
        """Return the specs of any number of keys."""
        return [
            Keys(tf.TensorSpec([depth]), tf.TensorSpec([None, depth]))
            for depth in (channels[layer] for layer in self.layers)
        ]

    def unmatched(self, keys: list[Keys]) -> list[Match]:
        """Return matches of no positions."""
        nowhere = tf.zeros([0], tf.int64)
        return [Match(offered.mean, nowhere, offered.directions[:0], tf.zeros([0])) for offered in keys]

    def match(self, picture: Features, keys: list[Keys], seed: tf.Tensor) -> list[Match]:
        """Find out what is nearest to what, at positions that are drawn by the seed."""
        return [
            _match(picture.layers[layer], picture.guides[layer], offered, self.views, seed)
            for layer, offered in zip(self.layers, keys, strict=True)
        ]

    def aim_spec(self, channels: Mapping[str, int]) -> list[Match]:
        """Return the specs of any number of matches."""
        return [
            Match(
                tf.TensorSpec([depth]),
                tf.TensorSpec([None], tf.int64),
                tf.TensorSpec([None, depth]),
                tf.TensorSpec([None]),
            )
            for depth in (channels[layer] for layer in self.layers)
        ]

    def sums(self, features: Features, aim: list[Match]) -> list[Sums]:
        """Add up one minus the cosines, by their weights."""
        return [_distances(features.layers[layer], match) for layer, match in zip(self.layers, aim, strict=True)]

    def losses(self, sums: list[Sums], aim: list[Match]) -> tf.Tensor:  # noqa: ARG002  the sums hold all
        """Return each layer's mean distance."""
        return SCALE * tf.stack([mean_of(one) for one in sums])

    def yardstick(self, photo: Features, aim: Any) -> tf.Tensor:  # noqa: ANN401, ARG002
        """Return what is the same for every pair."""
        return tf.fill([len(self.layers)], _YARDSTICK)


def term(settings: TransferSettings) -> Nearest:
    """Make the term for the layers of the settings."""
    return Nearest(tuple(sorted(settings.nearest_layers)), max(1, settings.style_turns))


def _parts(features: tf.Tensor, guide: tf.Tensor, count: int) -> Parts:
    mean = mean_of(Sums(tf.reduce_sum(guide), first_moment(features, guide)))
    return Parts(mean, at(features, drawn(guide, count, tf.zeros([2], tf.int32))))


def _keys(styles: Sequence[Sequence[Parts]], shares: Sequence[float]) -> Keys:
    """Mix what was seen of one layer, in all views of several styles."""
    mean = tf.add_n([views[0].mean * share for views, share in zip(styles, shares, strict=True)])
    parts = [
        _thinned(view.parts, share)
        for same_view in zip(*styles, strict=True)
        for view, share in zip(same_view, shares, strict=True)
    ]
    return Keys(mean, directions(tf.concat(parts, 0), mean))


def _match(features: tf.Tensor, guide: tf.Tensor, keys: Keys, views: int, seed: tf.Tensor) -> Match:
    positions = drawn(guide, _QUERIES, seed)
    queries = directions(at(features, positions), keys.mean)
    upright = keys.directions[: tf.shape(keys.directions)[0] // views]
    there, back = (tf.cast(tf.shape(each)[0], tf.float32) for each in (queries, upright))
    found = _nearest(upright, queries, features.dtype)
    goals = tf.gather(keys.directions, _nearest(queries, keys.directions, features.dtype)) / there
    weights = tf.fill([tf.size(positions)], 1 / there)
    share, size = _BACK_SHARE / back, tf.size(positions)
    return Match(
        keys.mean,
        positions,
        goals + tf.math.unsorted_segment_sum(share * upright, found, size),
        weights + tf.math.unsorted_segment_sum(tf.fill(tf.shape(found), share), found, size),
    )


def _nearest(queries: tf.Tensor, keys: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """Return which of the directions `keys` is nearest to each of `queries`; the network's precision is enough.

    All parts of a flat wall are near to the same few keys, and would be painted as flat. So each key has a price, by
    how near to it any query is.
    """
    cosines = tf.matmul(tf.cast(queries, dtype), tf.cast(keys, dtype), transpose_b=True)
    return tf.argmax(cosines - _PRICE * tf.reduce_max(cosines, axis=0), axis=1)


def _distances(features: tf.Tensor, match: Match) -> Sums:
    """Add up one minus the cosines, each by its weight, which is in the goals."""
    cosines = tf.reduce_sum(directions(at(features, match.positions), match.mean) * match.goals, axis=1)
    return Sums(tf.reduce_sum(match.weights), tf.reduce_sum(match.weights - cosines))


def _thinned(parts: tf.Tensor, share: float) -> tf.Tensor:
    """Keep a share of the parts, evenly; at least one."""
    there = parts.shape[0]
    kept = max(1, round(there * share))
    return tf.gather(parts, [(2 * number + 1) * there // (2 * kept) for number in range(kept)])
