"""Images in memory to batches: normalised, and for training shuffled and augmented in a stream that resumes exactly."""

import math
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from vinnas_tf.data.augmentation import make_augmentation
from vinnas_tf.data.images import ImageSet
from vinnas_tf.errors import DataError, require


@dataclass(frozen=True)
class Normalization:
    """Mean and standard deviation of each channel, pixels being scaled to 0..1."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, images: ImageSet) -> "Normalization":
        """The statistics over all pixels of `images`; a channel that is constant gets the standard deviation 1."""
        levels = np.arange(256) / 255
        mean, std = [], []
        for channel in range(images.images.shape[-1]):
            # Counts of the grey levels, in blocks, because NumPy's mean and std would take eight bytes a pixel.
            blocks = np.array_split(images.images[..., channel], 1 + len(images) // 1024)
            shares = sum(np.bincount(block.ravel(), minlength=256) for block in blocks) / images.images[..., 0].size
            mean.append(float(shares @ levels))
            std.append(math.sqrt(shares @ (levels - mean[-1]) ** 2) or 1.0)
        return cls(tuple(mean), tuple(std))

    def layer(self) -> keras.layers.Layer:
        """The Keras layer that takes images in 0..255, [..., c], to float32 of mean 0 and standard deviation 1."""
        layer = keras.layers.Normalization(
            mean=[255 * mean for mean in self.mean],
            variance=[(255 * std) ** 2 for std in self.std],
            dtype="float32",
            name="normalization",
        )
        layer.build((None, None, None, len(self.mean)))  # Here, since building it inside tf.data's graph would fail.
        return layer


def training_batches(
    images: ImageSet,
    *,
    batch_size: int,
    normalization: Normalization,
    augment: tuple[str, ...],
    seed: int,
    first_epoch: int,
    epochs: int,
) -> tf.data.Dataset:
    """Shuffled, augmented, normalised batches of the epochs `first_epoch` to `epochs` - 1, one after another.

    The order of an epoch and the augmentation of each of its images are pure functions of (seed, epoch, index in the
    epoch). So a stream that starts at epoch e equals, bit for bit, the tail of one that started at 0, whatever the
    number of threads. Each epoch has n // batch_size batches; what remains is left out of that epoch.

    Args:
        images: the n images to train on.
        batch_size: images a batch.
        normalization: statistics of the training images.
        augment: any of config.AUGMENTATIONS; erased pixels become 0 after normalisation.
        seed: not negative.
        first_epoch: number of the first epoch, counted from 0.
        epochs: number of epochs of the whole training, also counted from 0.

    Returns:
        Pairs of float32 [batch_size, h, w, c] and int32 [batch_size].

    Raises:
        DataError: fewer images than fill one batch.
    """
    count = len(images)
    steps = count // batch_size
    require(
        steps > 0,
        f"batch_size={batch_size} is more than the {count} images to train on: use a smaller one, or more images.",
        DataError,
    )
    pixels, labels = _tensors(images)
    augmented = make_augmentation(augment, images.images.shape[1:], tuple(255 * mean for mean in normalization.mean))
    normalize = normalization.layer()

    def epoch_batches(epoch: tf.Tensor) -> tf.data.Dataset:
        # int64, for a seed may exceed int32.
        order_seed, image_seed = tf.unstack(tf.random.split(tf.stack([tf.constant(seed, tf.int64), epoch])))
        order = tf.random.experimental.stateless_shuffle(tf.range(count), order_seed)[: steps * batch_size]
        seeds = tf.random.split(image_seed, steps * batch_size)
        return tf.data.Dataset.from_tensor_slices(
            (tf.reshape(order, (steps, batch_size)), tf.reshape(seeds, (steps, batch_size, 2)))
        )

    def prepare(order: tf.Tensor, seeds: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return normalize(augmented(tf.gather(pixels, order), seeds)), tf.gather(labels, order)

    return (
        tf.data.Dataset.range(first_epoch, epochs)
        .flat_map(epoch_batches)
        .map(prepare, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .apply(tf.data.experimental.assert_cardinality(steps * (epochs - first_epoch)))
        .prefetch(tf.data.AUTOTUNE)
    )


def evaluation_batches(images: ImageSet, *, batch_size: int, normalization: Normalization | None) -> tf.data.Dataset:
    """Normalised batches of all images in their order; the last one may be smaller.

    Args:
        images: the images.
        batch_size: images a batch.
        normalization: statistics of the training images; None leaves pixels in 0..255, for a network that normalises
            them itself.

    Returns:
        Pairs of float32 [b, h, w, c] and int32 [b].
    """
    pixels, labels = _tensors(images)
    normalize = normalization.layer() if normalization else lambda x: tf.cast(x, tf.float32)
    return (
        tf.data.Dataset.range(len(images))
        .batch(batch_size)
        .map(
            lambda indices: (normalize(tf.gather(pixels, indices)), tf.gather(labels, indices)),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
        .prefetch(tf.data.AUTOTUNE)
    )


def _tensors(images: ImageSet) -> tuple[tf.Tensor, tf.Tensor]:
    """Pixels and labels as tensors in the memory of the CPU, where tf.data works, also on a machine with a GPU."""
    with tf.device("CPU:0"):
        return tf.constant(images.images), tf.constant(images.labels)
