"""The images of one training, and what each part of them is for."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import tensorflow as tf

from vinnas_tf.batches import Normalization, evaluation_batches
from vinnas_tf.data import ImageSet, hold_out

_BATCH = 500
_STATISTICS_IMAGES = 5000


@dataclass(frozen=True)
class TrainingImages:
    """What a network learns from, and what it is judged by before a test image is read.

    Attributes:
        learnt_from: the images to train on.
        held_out: images kept from training; may be empty.
        normalization: statistics of `learnt_from`.
    """

    learnt_from: ImageSet
    held_out: ImageSet
    normalization: Normalization

    @classmethod
    def of(cls, images: ImageSet, held_out: float, seed: int) -> "TrainingImages":
        """Holds out a share of `images`, stratified by class and drawn with `seed`."""
        rest, kept = hold_out(images, held_out, seed)
        return cls(rest, kept, Normalization.of(rest))

    @cached_property
    def for_statistics(self) -> ImageSet:
        """Those to learn from that batch normalisation's statistics are recomputed on, 5,000 at most, evenly spread."""
        count = min(_STATISTICS_IMAGES, len(self.learnt_from))
        return self.learnt_from.take(np.linspace(0, len(self.learnt_from) - 1, count).astype(int))

    @property
    def to_choose_by(self) -> ImageSet:
        """The images that choices after training are made on: those held out, or `for_statistics` if there are none."""
        return self.held_out if len(self.held_out) else self.for_statistics

    def batches(self, images: ImageSet, normalized: bool = True) -> tf.data.Dataset:
        """Batches to evaluate on; not `normalized` for a network that does that itself."""
        return evaluation_batches(images, batch_size=_BATCH, normalization=self.normalization if normalized else None)
