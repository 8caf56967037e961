"""What a data set is before its pixels are read: classes, labels, names; and the digits that come with scikit-learn.

A source knows its labels and the shape of its images at once, and reads pixels only for the images that are asked
for. So a part of a large set costs no more than that part.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from vinnas_tf.data.picture import Preparation
from vinnas_tf.data.splits import split_test

PartName = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class Part:
    """The labelled images of one part of a data set, their pixels still unread.

    Attributes:
        labels: int32 [n] class of each image.
        names: [n] what each image is called; draws among images depend on it alone.
        read: takes the index of an image and returns its pixels, as `picture.decode` has them; several threads call it.
        digests: uint64 [n], `picture.digest` of each, where it is known without reading.
    """

    labels: np.ndarray
    names: Sequence[str]
    read: Callable[[int], np.ndarray]
    digests: np.ndarray | None = None

    def take(self, indices: np.ndarray) -> "Part":
        """The images at `indices`."""
        names = [self.names[index] for index in indices]
        digests = None if self.digests is None else self.digests[indices]
        return Part(self.labels[indices], names, lambda index: self.read(int(indices[index])), digests)


@dataclass(frozen=True)
class Source:
    """A data set.

    Attributes:
        class_names: name of each class, in the order of the labels.
        preparation: what images are brought to; that of the training part, also for the others.
        open: takes "train", "validation" or "test" and returns that part; None where there is no validation part.
        notes: what a person should know about the images, one line each.
    """

    class_names: tuple[str, ...]
    preparation: Preparation
    open: Callable[[PartName], Part | None]
    notes: tuple[str, ...] = ()

    def part(self, name: Literal["train", "test"]) -> Part:
        """A part that every set has."""
        part = self.open(name)
        assert part is not None
        return part


def with_drawn_test(everything: Part) -> Callable[[PartName], Part | None]:
    """The parts of a set that never grows and has no test part of its own: it is a fifth of each class."""
    test, train = split_test(everything.labels, everything.names)
    parts: dict[PartName, Part] = {"train": everything.take(train), "test": everything.take(test)}
    return parts.get


def open_digits(image_size: int, framing: str) -> Source:
    """scikit-learn's 1,797 handwritten digits of 8 x 8, grey levels 0..16 scaled to 0..255."""
    from sklearn.datasets import load_digits  # Slow to import, and only needed here.

    digits = load_digits()
    images = np.rint(digits.images * (255 / 16)).astype(np.uint8)[..., np.newaxis]
    names = [f"digits/{index}" for index in range(len(images))]
    everything = Part(digits.target.astype(np.int32), names, lambda index: images[index])
    side = image_size or 8
    preparation = Preparation(side, side, 1, framing=framing)
    return Source(tuple(map(str, digits.target_names)), preparation, with_drawn_test(everything))
