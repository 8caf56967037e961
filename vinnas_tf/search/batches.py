"""What an iteration of a search reads: a batch of the images for weights, and one of those for the architecture."""

from collections.abc import Sequence

import tensorflow as tf

from vinnas_tf.data.batches import Normalization, training_batches
from vinnas_tf.data.image_set import ImageSet
from vinnas_tf.methods.base import Method
from vinnas_tf.methods.steps import Batch


def iteration_batches(
    parts: Sequence[ImageSet],
    method: Method,
    *,
    normalization: Normalization,
    augment: tuple[str, ...],
    steps: int,
    done: int,
) -> tf.data.Dataset:
    """The batches of all iterations that are left, two for each.

    A part goes round by itself, as often as the iterations ask for. Where a step has one descent, both batches are that
    of the first part.

    Args:
        parts: the images for weights, and those for the architecture.
        method: its step, and its settings.
        normalization: statistics of the training images.
        augment: augmentations of the images.
        steps: iterations an epoch.
        done: finished epochs.
    """
    config = method.config
    batches = []
    for which, part in enumerate(parts[: method.step.descents]):
        own_steps = len(part) // config.batch_size
        stream = training_batches(
            part,
            batch_size=config.batch_size,
            normalization=normalization,
            augment=augment,
            seed=2 * config.seed + which,
            first_epoch=done * steps // own_steps,
            epochs=-(-config.epochs * steps // own_steps),
        )
        batches.append(stream.skip(done * steps % own_steps))
    return tf.data.Dataset.zip(*batches) if len(batches) > 1 else batches[0].map(_twice)


def _twice(images: tf.Tensor, labels: tf.Tensor) -> tuple[Batch, Batch]:
    return (images, labels), (images, labels)
