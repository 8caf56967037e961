"""The images of one training, and what each part of them is for."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import tensorflow as tf

from vinnas_tf.config import NO_CLASS_WEIGHTS, TrainConfig
from vinnas_tf.data.batches import Normalization, evaluation_batches, training_batches
from vinnas_tf.data.image_set import ImageSet
from vinnas_tf.data.images import Dataset, hold_out
from vinnas_tf.data.picture import at_once

_BATCH = 500  # Images of an evaluation at once, at most.
_STATISTICS_IMAGES = 2500
_CHOICE_IMAGES = 5000


@dataclass(frozen=True)
class TrainingImages:
    """What a network learns from, and what it is judged by before a test image is read.

    Attributes:
        learnt_from: the images to train on.
        held_out: images kept from training; may be empty.
        normalization: statistics of `learnt_from`.
        note: what a person should know about the held-out images; may be empty.
    """

    learnt_from: ImageSet
    held_out: ImageSet
    normalization: Normalization
    note: str = ""

    @classmethod
    def of(cls, dataset: Dataset, held_out: float, seed: int) -> "TrainingImages":
        """Holds out the data set's own validation images, or else a share of each class, drawn with `seed`."""
        if dataset.validation is not None:
            note = f"Held out: the {len(dataset.validation):,} validation images, whatever held_out says."
            return cls(dataset.train, dataset.validation, Normalization.of(dataset.train), note)
        rest, kept = hold_out(dataset.train, held_out, seed)
        copies = len(dataset.train) - len(rest) - len(kept)
        note = f"{copies:,} images to hold out are training images too, pixel for pixel: they are left out."
        return cls(rest, kept, Normalization.of(rest), note if copies else "")

    @cached_property
    def to_choose_by(self) -> ImageSet:
        """What choices after training are made on: held-out images; without any, training images, evenly spread."""
        if len(self.held_out):
            return self.held_out
        places = np.linspace(0, len(self.learnt_from) - 1, min(_CHOICE_IMAGES, len(self.learnt_from)))
        return self.learnt_from.take(places.astype(int))

    @property
    def described_choice(self) -> str:
        """What `to_choose_by` is, in words."""
        return f"{len(self.to_choose_by):,} {'held-out' if len(self.held_out) else 'training'} images"

    @property
    def of_statistics(self) -> int:
        """About how many images a candidate of `for_statistics` has."""
        return min(_STATISTICS_IMAGES, len(self.learnt_from))

    def for_statistics(self, augment: tuple[str, ...], seed: int) -> list[tf.data.Dataset]:
        """Candidates for `set_best_statistics`: images to learn from, as they are, and augmented as in training.

        Which is better depends: later layers have seen augmented images, and are to see images as they are. Without
        augmentation there is one candidate. Each has 2,500 shuffled images at most, in batches of one size. These are
        large, unlike those of training, so that a batch's own statistics, which later layers follow here, are close to
        those that they will follow.
        """
        batches = math.ceil(self.of_statistics / at_once(_BATCH, self.learnt_from.image_shape))
        return [
            training_batches(
                self.learnt_from,
                batch_size=self.of_statistics // batches,
                normalization=self.normalization,
                augment=how,
                seed=seed,
                first_epoch=0,
                epochs=1,
            ).take(batches)
            for how in dict.fromkeys(((), augment))
        ]

    def class_weights(self, config: TrainConfig, classes: int) -> np.ndarray:
        """The weight of each class in the cross-entropy, [classes].

        With --class_weights=balanced it is N / (K N_k) for a class with N_k of the N images to learn from, as
        scikit-learn has it, K being the number of classes that have any. Its mean over the images is 1. A class without
        images has 0.
        """
        if config.class_weights == NO_CLASS_WEIGHTS:
            return np.ones(classes)
        counts = np.bincount(self.learnt_from.labels, minlength=classes)
        return np.where(counts, counts.sum() / (np.count_nonzero(counts) * np.maximum(counts, 1)), 0.0)

    def batches(self, images: ImageSet, normalized: bool = True) -> tf.data.Dataset:
        """Batches to evaluate on; not `normalized` for a network that does that itself."""
        return batches_to_evaluate(images, self.normalization if normalized else None)


def batches_to_evaluate(images: ImageSet, normalization: Normalization | None) -> tf.data.Dataset:
    """As `evaluation_batches`, as many images at once as memory bears."""
    size = at_once(_BATCH, images.image_shape)
    return evaluation_batches(images, batch_size=size, normalization=normalization)
