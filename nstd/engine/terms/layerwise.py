"""What terms share that compare each layer by itself."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import tensorflow as tf

from nstd.engine.features import Features
from nstd.engine.terms.sums import Sums, mean_of
from nstd.engine.terms.term import Role, Term
from nstd.transfer_settings import TransferSettings


@dataclass(frozen=True)
class LayerwiseContent(Term):
    """A content term that compares the content layers with the photo's.

    Args:
        layers: names of the content layers.
    """

    layers: tuple[str, ...]

    role: ClassVar[Role] = Role.CONTENT

    @property
    def photo_layers(self) -> tuple[str, ...]:
        """All of them."""
        return self.layers

    def weight(self, settings: TransferSettings) -> float:
        """Return the content's weight, and the recipe's for this term."""
        return settings.content_weight * settings.recipe.content[self.name].weight

    def row_weights(self, settings: TransferSettings) -> Sequence[float]:
        """Return the weights of the content's layers."""
        return [settings.recipe.content[self.name].layers[layer] for layer in self.layers]


@dataclass(frozen=True)
class LayerwiseStyle(Term):
    """A style term that measures each layer's features, regardless of where in the picture they are.

    Args:
        layers: names of the style layers.
    """

    layers: tuple[str, ...]

    role: ClassVar[Role] = Role.STYLE

    @abstractmethod
    def measure(self, features: tf.Tensor, guide: tf.Tensor) -> Sums:
        """Map features `[1, h, w, C]` and their guide `[1, h, w, 1]` to sums."""

    @abstractmethod
    def target(self, mean: Any) -> Any:  # noqa: ANN401  each has measures of its own
        """Make of a style's means what `distance` compares with."""

    @abstractmethod
    def target_spec(self, channels: int) -> Any:  # noqa: ANN401
        """Return the specs of a target's tensors."""

    @abstractmethod
    def distance(self, mean: Any, target: Any) -> tf.Tensor:  # noqa: ANN401
        """Compare the generated image's means with a target; a float32 scalar."""

    def weight(self, settings: TransferSettings) -> float:
        """Return the style's weight."""
        return settings.style_weight

    def row_weights(self, settings: TransferSettings) -> Sequence[float]:
        """Return the weights of the style's layers."""
        return [settings.style_layers[layer] for layer in self.layers]

    def style(self, features: Features) -> list[Any]:
        """Return the means of each layer."""
        return [mean_of(sums) for sums in self.sums(features, None)]

    def aim(self, photo: Features, style: list[Any]) -> list[Any]:  # noqa: ARG002  it is the style's alone
        """Return each layer's target."""
        return [self.target(mean) for mean in style]

    def aim_spec(self, channels: Mapping[str, int]) -> list[Any]:
        """Return the specs of each layer's target."""
        return [self.target_spec(channels[layer]) for layer in self.layers]

    def sums(self, features: Features, aim: list[Any] | None) -> list[Sums]:  # noqa: ARG002  the style asks for no aim
        """Return the sums of each layer."""
        return [self.measure(features.layers[layer], features.guides[layer]) for layer in self.layers]

    def losses(self, sums: list[Sums], aim: list[Any]) -> tf.Tensor:
        """Return each layer's distance."""
        return tf.stack([self.distance(mean_of(one), target) for one, target in zip(sums, aim, strict=True)])
