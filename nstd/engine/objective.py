"""What a picture is to become: the terms of the loss, what they aim at, and how they are weighed."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import tensorflow as tf

from nstd.engine.balance import Weights, is_scarce, term_weights
from nstd.engine.compiled import compiled
from nstd.engine.extractor import Extractor
from nstd.engine.features import GUIDE, PIXELS, Features, Guides, layer_guides
from nstd.engine.margin import guide_with_margin
from nstd.engine.matcher import Matcher
from nstd.engine.pixels import IMAGE, Picture, preprocess
from nstd.engine.terms import terms_of
from nstd.engine.terms.term import MatchedTerm, Role, Term
from nstd.history import Losses
from nstd.images.resize import size_of
from nstd.transfer_settings import Pooling, TransferSettings

Structure = tuple[tuple[Term, ...], Pooling]
Styles = Mapping[str, Any]
"""What each term has made of all style images, by the term's name."""


class Aims(NamedTuple):
    """What a picture is to become on one level.

    Attributes:
        guides: how much each position counts, by layer and for the pixels.
        terms: what each term aims at, by its name.
        weights: of each term's rows, by its name.
    """

    guides: Guides
    terms: Mapping[str, Any]
    weights: Weights


class Objective:
    """The terms of some settings, with all that is measured before a level begins; it serves pictures of all sizes.

    Args:
        extractor: of the features.
        settings: say which terms there are, and whose features they compare; their weights are given each time.

    Attributes:
        terms: in the order of their losses.
        layers: names of all layers that are compared.
        model: the network as far as these.
        views: how many quarter turns of a style image are measured.
        matcher: makes of a level's aims those of a round; None where no term wants it.
        style_structure: what these depend on, besides the image, the guides and the extractor.
        signature: of `Aims`, with open sizes, so that one graph serves every picture.
    """

    def __init__(self, extractor: Extractor, settings: TransferSettings) -> None:
        self.terms, pooling = self.structure(settings)
        self.layers = _layers(term.layers for term in self.terms)
        self.model = extractor.cut(self.layers, pooling)
        self._style_terms = tuple(term for term in self.terms if term.role is not Role.CONTENT)
        self._style_model = extractor.cut(_layers(term.layers for term in self._style_terms), pooling)
        self.style_structure = self._style_terms, pooling
        self.views = max(term.views for term in self._style_terms)
        guides = dict.fromkeys((PIXELS, *self.layers), GUIDE)
        channels = self.model.channels
        self.signature = Aims(
            guides,
            {term.name: term.aim_spec(channels) for term in self.terms},
            {term.name: tf.TensorSpec([len(term.rows)]) for term in self.terms},
        )
        turned = tuple(term for term in self._style_terms if term.views > 1)
        self._views = [
            compiled(partial(self._seen, terms), [IMAGE, guides]) for terms in (self._style_terms, turned) if terms
        ]
        self._photo = compiled(extractor.cut(_layers(term.photo_layers for term in self.terms), pooling), [IMAGE])
        self._whole_photo = compiled(self.model, [IMAGE])
        matched = [term for term in self.terms if isinstance(term, MatchedTerm)]
        self.matcher = Matcher(extractor, matched, pooling) if matched else None

    @staticmethod
    def structure(settings: TransferSettings) -> Structure:
        """Return what an objective is made for; settings that share it can share the objective."""
        return terms_of(settings), settings.pooling

    def guides(self, pixels: tf.Tensor) -> Guides:
        """Bring a guide of pixels, `[1, H, W, 1]`, to all layers that are compared."""
        return layer_guides(pixels, self.layers)

    def style(self, image: tf.Tensor, guides: Guides, view: int = 0) -> Styles:
        """Measure a style image, turned by so many quarters."""
        styles: Styles = self._views[min(view, 1)](image, guides)
        return styles

    def mixed(self, styles: Sequence[Sequence[Styles]], shares: Sequence[float]) -> Styles:
        """Mix what was measured of several style images in all `views`, with shares that sum to 1."""
        return {
            term.name: term.mixed([[view[term.name] for view in views[: term.views]] for views in styles], shares)
            for term in self._style_terms
        }

    def photo(self, image: tf.Tensor, guides: Guides, *, with_yardsticks: bool) -> Features:
        """Look at a photo `[1, H, W, 3]` of a level's size, at all layers only if there are to be `yardsticks`."""
        layers = self._whole_photo(image) if with_yardsticks else self._photo(image)
        return Features(image, layers, guides)

    def aims(self, photo: Features, style: Styles) -> Mapping[str, Any]:
        """Return what each term aims at on a level; the `matcher` has still to bring them to its round."""
        return {term.name: term.aim(photo, style.get(term.name, ())) for term in self.terms}

    def yardsticks(self, photo: Features, aims: Mapping[str, Any]) -> Mapping[str, tf.Tensor]:
        """Return the losses by which each term is measured for `strength`, for the same photo and its aims."""
        return {term.name: term.yardstick(photo, aims[term.name]) for term in self.terms}

    def weights(self, settings: TransferSettings, yardsticks: Mapping[str, tf.Tensor]) -> Weights:
        """Weigh the terms of `settings`, whose structure is this objective's."""
        return term_weights(self.terms, settings, yardsticks)

    def whole_aims(self, settings: TransferSettings, photo: Picture, style: Picture, *, matched: bool = True) -> Aims:
        """Aim at a photo and one style image, `[H, W, 3]` RGB, 0..255, without a margin and as large as they are.

        If they are to be `matched`, it is with the photo.
        """
        (image, guides), (painting, style_guides) = (
            (preprocess(picture), self.guides(guide_with_margin(*size_of(picture), 0))) for picture in (photo, style)
        )
        seen = self.photo(image, guides, with_yardsticks=True)
        views = [self.style(painting, style_guides, view) for view in range(self.views)]
        terms = self.aims(seen, self.mixed([views], [1.0]))
        weights = self.weights(settings, self.yardsticks(seen, terms))
        if self.matcher and matched:
            terms = self.matcher(image, guides, terms, (0, 0))
        return Aims(guides, terms, weights)

    def lacks_content(self, settings: TransferSettings, yardsticks: Mapping[str, tf.Tensor]) -> bool:
        """Say whether a photo has next to nothing that the content terms of the settings compare."""
        content = [term for term in self.terms if term.role is Role.CONTENT]
        return all(is_scarce(term, settings, yardsticks[term.name]) for term in content)

    def losses(self, step: int, values: tf.Tensor) -> Losses:
        """Bring an evaluation's losses, see `Evaluator`, to the host in one piece, with their names."""
        total, *rows = (float(value) for value in values.numpy())
        names = [row for term in self.terms for row in term.rows]
        return Losses(step=step, total=total, terms=dict(zip(names, rows, strict=True)))

    def _seen(self, terms: Sequence[Term], image: tf.Tensor, guides: Guides) -> Styles:
        features = Features(image, self._style_model(image), guides)
        return {term.name: term.style(features) for term in terms}


def _layers(groups: Iterable[Sequence[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(layer for layers in groups for layer in layers))
