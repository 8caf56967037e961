"""Which images of a search are for what: the ways of splitting them that methods choose from."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from vinnas_tf.data.image_set import ImageSet
from vinnas_tf.data.images import hold_out, split_halves


@dataclass(frozen=True)
class SearchImages:
    """The images of one search.

    Attributes:
        weights: those that the weights learn from.
        architecture: those that the architecture parameters learn from.
        watched: those that the accuracy of an epoch is measured on.
    """

    weights: ImageSet
    architecture: ImageSet
    watched: ImageSet

    @property
    def watched_name(self) -> str:
        """What a person reads for the images that are watched."""
        if self.watched is self.weights:
            return "the training images"
        return "the alpha half" if self.watched is self.architecture else "the held-out images"

    @property
    def parts(self) -> dict[str, ImageSet]:
        """The sets that are different ones, by name."""
        named = {"weights": self.weights, "architecture": self.architecture, "watched": self.watched}
        first = {id(images): name for name, images in reversed(named.items())}
        return {name: images for name, images in named.items() if first[id(images)] == name}


class Split(NamedTuple):
    """A way of splitting the images of a search.

    Attributes:
        of: makes it, of all training images and the seed of the search.
        beside: makes it where images to watch are given: of the training images and those.
    """

    of: Callable[[ImageSet, int], SearchImages]
    beside: Callable[[ImageSet, ImageSet], SearchImages]

    def __call__(self, images: ImageSet, seed: int) -> SearchImages:
        """Splits `images` by a draw with `seed`."""
        return self.of(images, seed)


def _halves(images: ImageSet, seed: int) -> SearchImages:
    weights, architecture = split_halves(images, seed)
    return SearchImages(weights, architecture, architecture)


def held_out(share: float) -> Split:
    """Weights and architecture learn from all images but a share of each class, on which they are watched."""

    def split(images: ImageSet, seed: int) -> SearchImages:
        rest, kept = hold_out(images, share, seed)
        return SearchImages(rest, rest, kept)

    return Split(split, _watched_alone)


def _watched_alone(images: ImageSet, watched: ImageSet) -> SearchImages:
    return SearchImages(images, images, watched)


def _learnt_from(images: ImageSet, watched: ImageSet) -> SearchImages:
    """The architecture learns from the images that it is watched on."""
    return SearchImages(images, watched, watched)


# Weights learn from one half and the architecture from the other, on which it is watched (VINNAS, Algorithm 1).
halves = Split(_halves, _learnt_from)
# Weights and architecture learn from all images, on which they are watched too.
whole = Split(lambda images, _: SearchImages(images, images, images), _learnt_from)
