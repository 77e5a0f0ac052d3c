"""The loss and its gradient, for images of all sizes."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from nstd.engine.balance import TermWeights, Yardstick, term_weights
from nstd.engine.compiled import compiled
from nstd.engine.extractor import Extractor
from nstd.engine.losses import content_loss, total_variation_loss
from nstd.engine.pixels import IMAGE
from nstd.engine.statistics import KINDS
from nstd.job import Losses
from nstd.preset import Pooling, StyleStatistics, TransferSettings

Structure = tuple[tuple[str, ...], tuple[str, ...], StyleStatistics, Pooling, bool]


class Targets(NamedTuple):
    """What the generated image's features are compared with.

    Attributes:
        content: one `[1, h, w, C]` float32 tensor a content layer.
        style: one target a style layer, of the kind of statistics that the settings name.
    """

    content: list[tf.Tensor]
    style: list[Any]


class Photo(NamedTuple):
    """What the objective knows of the content image.

    Attributes:
        content: as in `Targets`.
        spread: `[number of content layers]`, as in `Yardstick.content`.
        statistics: raw style statistics, one value a style layer.
        variation: scalar, its total variation.
    """

    content: list[tf.Tensor]
    spread: tf.Tensor
    statistics: list[Any]
    variation: tf.Tensor


class Terms(NamedTuple):
    """The weighted loss terms of one evaluation as float32 tensors: scalars, and one value a layer."""

    total: tf.Tensor
    content: tf.Tensor
    style: tf.Tensor
    tv: tf.Tensor


class Objective:
    """Total loss of an image with its gradient, for the layers of some settings; their weights are given each time.

    Attributes:
        photo: maps an image `[1, H, W, 3]` to its `Photo`.
        content_targets: maps one to `Targets.content` alone, for less.
        style_statistics: maps one to raw statistics, of which `style_targets` makes `Targets.style`.
        style_structure: what these depend on, besides the image and the extractor.

    Reference:
        Gatys et al. 2016, eq. 7. Differs: a total variation term beside content and style.
    """

    def __init__(self, extractor: Extractor, settings: TransferSettings) -> None:
        self._content_layers, self._style_layers, kind, pooling, self._has_tv = self.structure(settings)
        self.style_structure = self._style_layers, kind, pooling
        self._statistics = KINDS[kind]
        self._layers = tuple(dict.fromkeys(self._content_layers + self._style_layers))
        self._model = extractor.cut(self._layers, pooling)
        self._content_model = extractor.cut(self._content_layers, pooling)
        self.photo = compiled(self._photo, [IMAGE])
        self.content_targets = compiled(self._content_targets, [IMAGE])
        self.style_statistics = compiled(self._style_statistics, [IMAGE])

    @staticmethod
    def structure(settings: TransferSettings) -> Structure:
        """Return what an objective is made for; settings that share it can share the objective."""
        layers = tuple(sorted(settings.content_layers)), tuple(sorted(settings.style_layers))
        return *layers, settings.style_statistics, settings.pooling, settings.tv_weight > 0

    def weights(self, settings: TransferSettings, photo: Photo, style: list[Any]) -> TermWeights:
        """Weigh the terms of `settings`, whose layers are this objective's, for a photo and targets of the style."""
        layers = (
            [settings.content_layers[name] for name in self._content_layers],
            [settings.style_layers[name] for name in self._style_layers],
        )
        losses = tf.stack(self._style_losses(photo.statistics, style))
        return term_weights(settings, layers, Yardstick(photo.spread, losses, photo.variation))

    def style_targets(self, statistics: Sequence[list[Any]], shares: Sequence[float]) -> list[Any]:
        """Average the raw statistics of several style images, with shares that sum to 1, and make targets of them."""
        mean = tf.nest.map_structure(
            lambda *values: tf.add_n([value * share for value, share in zip(values, shares, strict=True)]), *statistics
        )
        return [self._statistics.target(layer) for layer in mean]

    def losses(self, step: int, terms: Terms) -> Losses:
        """Bring the terms of an evaluation to the host, with their layers' names."""
        style = (float(value) for value in terms.style.numpy())
        return Losses(
            step=step,
            total=float(terms.total),
            content=float(terms.content),
            style=dict(zip(self._style_layers, style, strict=True)),
            tv=float(terms.tv),
        )

    @property
    def signature(self) -> tuple[tf.TensorSpec, Targets, TermWeights]:
        """The arguments of `evaluate`, with open sizes, so that one graph serves every picture."""
        channels = self._model.channels
        content = [tf.TensorSpec([1, None, None, channels[name]]) for name in self._content_layers]
        style = [self._statistics.target_spec(channels[name]) for name in self._style_layers]
        factors = TermWeights(tf.TensorSpec([len(content)]), tf.TensorSpec([len(style)]), tf.TensorSpec([]))
        return IMAGE, Targets(content, style), factors

    def evaluate(self, image: tf.Tensor, targets: Targets, weights: TermWeights) -> tuple[Terms, tf.Tensor]:
        """Return the loss terms of an image `[1, H, W, 3]` and the total's gradient, in the image's shape."""
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(image)
            terms = self._terms(image, targets, weights)
        return terms, tape.gradient(terms.total, image)

    def _features(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        return dict(zip(self._layers, self._model(image), strict=True))

    def _content_targets(self, image: tf.Tensor) -> list[tf.Tensor]:
        return [tf.cast(features, tf.float32) for features in self._content_model(image)]

    def _photo(self, image: tf.Tensor) -> Photo:
        features = self._features(image)
        content = [tf.cast(features[name], tf.float32) for name in self._content_layers]
        spread = [content_loss(layer, tf.reduce_mean(layer, [0, 1, 2])) for layer in content]
        return Photo(content, tf.stack(spread), self._measured(features), total_variation_loss(image))

    def _style_statistics(self, image: tf.Tensor) -> list[Any]:
        return self._measured(self._features(image))

    def _measured(self, features: dict[str, tf.Tensor]) -> list[Any]:
        return [self._statistics.measure(features[name]) for name in self._style_layers]

    def _style_losses(self, statistics: list[Any], targets: list[Any]) -> list[tf.Tensor]:
        return [self._statistics.loss(s, t) for s, t in zip(statistics, targets, strict=True)]

    def _terms(self, image: tf.Tensor, targets: Targets, weights: TermWeights) -> Terms:
        features = self._features(image)
        content = [content_loss(features[n], t) for n, t in zip(self._content_layers, targets.content, strict=True)]
        style = weights.style * tf.stack(self._style_losses(self._measured(features), targets.style))
        weighted_content = tf.reduce_sum(weights.content * tf.stack(content))
        tv = weights.tv * total_variation_loss(image) if self._has_tv else tf.constant(0.0)
        return Terms(weighted_content + tf.reduce_sum(style) + tv, weighted_content, style, tv)
