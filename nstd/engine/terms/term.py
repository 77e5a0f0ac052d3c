"""What a term of the loss is."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from enum import Enum, auto
from typing import Any, ClassVar

import tensorflow as tf

from nstd.engine.features import Features
from nstd.transfer_settings import TransferSettings


class Role(Enum):
    """What a term is for, by which `strength` weighs it."""

    CONTENT = auto()
    STYLE = auto()
    SMOOTHNESS = auto()


class Term(ABC):
    """One term of the loss. Make it a frozen dataclass: equal terms share their graph.

    What it measures are sums over positions, each with the sum of the guide that it was weighed by, and never means, so
    that the sums of tiles may be added. What it aims at, and its sums, are tensors in any nest of tuples and lists.

    Attributes:
        name: of its module, and in the names of its losses.
        role: what it is for.
        layers: whose features it compares; none for one that looks at the pixels alone.
        photo_share: of a style term: what the content loss of a featureless picture is brought to for strength 0, by
            what this term's loss of the photo is brought to for strength 1; the least of all style terms counts.
    """

    name: ClassVar[str]
    role: ClassVar[Role]
    layers: tuple[str, ...] = ()
    photo_share: ClassVar[float] = 1.0

    @property
    def photo_layers(self) -> tuple[str, ...]:
        """Those of `layers` whose features of the photo it aims at."""
        return ()

    @property
    def views(self) -> int:
        """How many quarter turns of a style image it measures."""
        return 1

    @property
    def rows(self) -> tuple[str, ...]:
        """Names of its losses, for the log: one a layer, or its own."""
        return tuple(f"{self.name}.{layer}" for layer in self.layers) or (self.name,)

    @property
    def floor(self) -> Sequence[float]:
        """The least by which the rows are measured for `strength`: a photo may have next to nothing of them."""
        return [0.0] * len(self.rows)

    @abstractmethod
    def weight(self, settings: TransferSettings) -> float:
        """Return what the settings weigh the whole term by, beside what `strength` says."""

    def row_weights(self, settings: TransferSettings) -> Sequence[float]:  # noqa: ARG002  each term has its own
        """Return what the settings, whose layers are the term's, weigh its rows by among each other."""
        return [1.0] * len(self.rows)

    def style(self, features: Features) -> Any:  # noqa: ANN401, ARG002  each term measures what it needs
        """Measure a style image in one of its views."""
        return ()

    def mixed(self, styles: Sequence[Sequence[Any]], shares: Sequence[float]) -> Any:  # noqa: ANN401
        """Mix what `style` has measured.

        Args:
            styles: of each style image, its views in their order.
            shares: of each, which sum to 1.
        """

        def mean(*values: tf.Tensor) -> tf.Tensor:
            return tf.add_n([value * share for value, share in zip(values, shares, strict=True)])

        return tf.nest.map_structure(mean, *(views[0] for views in styles))

    def aim(self, photo: Features, style: Any) -> Any:  # noqa: ANN401, ARG002
        """Make what a level aims at.

        Args:
            photo: with `photo_layers`.
            style: what `mixed` has made of all style images.
        """
        return ()

    def aim_spec(self, channels: Mapping[str, int]) -> Any:  # noqa: ANN401, ARG002
        """Return the specs of an aim's tensors, given the numbers of channels of its layers."""
        return ()

    @abstractmethod
    def sums(self, features: Features, aim: Any) -> Any:  # noqa: ANN401
        """Measure the generated image: sums over its positions."""

    @abstractmethod
    def losses(self, sums: Any, aim: Any) -> tf.Tensor:  # noqa: ANN401
        """Compare these sums with the aim: `[rows]` float32, unweighted."""

    def yardstick(self, photo: Features, aim: Any) -> tf.Tensor:  # noqa: ANN401
        """Return the losses by which the term is measured for `strength`, `[rows]`: the photo's own.

        Args:
            photo: with `layers`.
            aim: as `aim` has made it.
        """
        return self.losses(self.sums(photo, aim), aim)


class MatchedTerm(Term):
    """A term whose aim depends on the picture, and is made anew every round.

    What `aim` makes once a level are only its keys, and so is what `yardstick` is given. A round's losses compare with
    each other, and not with those of another.
    """

    @abstractmethod
    def keys_spec(self, channels: Mapping[str, int]) -> Any:  # noqa: ANN401
        """Return the specs of what `aim` makes; `aim_spec` are those of what `match` makes."""

    @abstractmethod
    def unmatched(self, keys: Any) -> Any:  # noqa: ANN401
        """Make what a round aims at in which nothing is matched, and there is no loss."""

    @abstractmethod
    def match(self, picture: Features, keys: Any, seed: tf.Tensor) -> Any:  # noqa: ANN401
        """Make what a round aims at, by the picture with which it begins.

        Args:
            picture: with `layers`.
            keys: as `aim` has made them.
            seed: `[2]` int32, of all that is drawn at random.
        """
