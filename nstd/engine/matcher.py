"""What a round aims at: which parts of a picture and of the styles belong together."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import tensorflow as tf

from nstd.engine.compiled import compiled
from nstd.engine.extractor import Extractor
from nstd.engine.features import GUIDE, Features, Guides
from nstd.engine.pixels import IMAGE
from nstd.engine.terms.term import MatchedTerm
from nstd.transfer_settings import Pooling

Seed = tuple[int, int]

_SEED: Final = tf.TensorSpec([2], tf.int32)


class Matcher:
    """Match pictures of all sizes for the terms that want it.

    Args:
        extractor: of the features.
        terms: one at least.
        pooling: of the network.

    Attributes:
        signature: of the arguments of `matched`, with open sizes.
    """

    def __init__(self, extractor: Extractor, terms: Sequence[MatchedTerm], pooling: Pooling) -> None:
        self._terms = terms
        self._layers = tuple(dict.fromkeys(layer for term in terms for layer in term.layers))
        self._model = extractor.cut(self._layers, pooling)
        keys = {term.name: term.keys_spec(self._model.channels) for term in terms}
        self.signature = IMAGE, dict.fromkeys(self._layers, GUIDE), keys, _SEED
        self._compiled = compiled(self.matched, self.signature)

    def __call__(self, image: tf.Tensor, guides: Guides, aims: Mapping[str, Any], seed: Seed) -> Mapping[str, Any]:
        """Return what all terms aim at in a round.

        Args:
            image: `[1, H, W, 3]`, with which the round begins.
            guides: of the level.
            aims: of the level; those of the matched terms are their keys.
            seed: of what is drawn at random.
        """
        keys = {term.name: aims[term.name] for term in self._terms}
        ours = {layer: guides[layer] for layer in self._layers}
        return {**aims, **self._compiled(image, ours, keys, tf.constant(seed, tf.int32))}

    def unmatched(self, aims: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what all terms aim at in a round that nothing is matched for."""
        return {**aims, **{term.name: term.unmatched(aims[term.name]) for term in self._terms}}

    def matched(self, image: tf.Tensor, guides: Guides, keys: Mapping[str, Any], seed: tf.Tensor) -> Mapping[str, Any]:
        """Match an image operation by operation; this is what is compiled."""
        picture = Features(image, self._model(image), guides)
        return {term.name: term.match(picture, keys[term.name], seed) for term in self._terms}
