"""Images to batches: normalised, and for training shuffled and augmented in a stream that resumes exactly."""

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from vinnas_tf.data.augmentation import make_augmentation
from vinnas_tf.data.image_set import ImageSet
from vinnas_tf.data.picture import inside
from vinnas_tf.data.streamed import Streamed
from vinnas_tf.errors import DataError, require

NORMALIZED_BY = 5000  # Images whose statistics stand for all of a streamed set, where reading all would take minutes.
_BLOCK = 256  # Images whose grey levels are counted at once.
# AutoGraph would rewrite each function, Keras's layers among them, which takes longer than a small set's batches.
_as_written = tf.autograph.experimental.do_not_convert
# Batches of streamed images that are read, or wait, at the same time: one would leave cores idle while it ends.
_READ_AHEAD = 2


@dataclass(frozen=True)
class Normalization:
    """Mean and standard deviation of each channel, pixels being scaled to 0..1."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, images: ImageSet) -> "Normalization":
        """The statistics over all pixels of `images`; a channel that is constant gets the standard deviation 1.

        Of a streamed set with more images they are those of NORMALIZED_BY images, the same ones each time.
        """
        chosen = np.arange(len(images))
        if isinstance(images.frames, Streamed) and len(images) > NORMALIZED_BY:
            chosen = np.sort(np.random.default_rng(0).choice(len(images), NORMALIZED_BY, replace=False))
        # Counts of the grey levels, in blocks, because NumPy's mean and std would take eight bytes a pixel.
        counts = np.zeros((images.image_shape[-1], 256), np.int64)
        for block in np.array_split(chosen, 1 + len(chosen) // _BLOCK):
            pixels = images.read(block)
            counts += [np.bincount(pixels[..., channel].ravel(), minlength=256) for channel in range(len(counts))]
        levels = np.arange(256) / 255
        mean, std = [], []
        for shares in counts / counts[0].sum():
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
        augment: any of config.AUGMENTATIONS; erased pixels become 0 after normalisation, and "resized_crop" sees the
            margin of an image too.
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
    augmented = make_augmentation(augment, images.image_shape, tuple(255 * mean for mean in normalization.mean))
    normalize = normalization.layer()

    def epoch_batches(epoch: tf.Tensor) -> tf.data.Dataset:
        # int64, for a seed may exceed int32.
        order_seed, image_seed = tf.unstack(tf.random.split(tf.stack([tf.constant(seed, tf.int64), epoch])))
        order = tf.random.experimental.stateless_shuffle(tf.range(count), order_seed)[: steps * batch_size]
        seeds = tf.random.split(image_seed, steps * batch_size)
        return tf.data.Dataset.from_tensor_slices(
            (tf.reshape(order, (steps, batch_size)), tf.reshape(seeds, (steps, batch_size, 2)))
        )

    def prepare(pixels: tf.Tensor, labels: tf.Tensor, seeds: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return normalize(augmented(pixels, seeds)), labels

    order = tf.data.Dataset.range(first_epoch, epochs).flat_map(_as_written(epoch_batches))
    order = order.apply(tf.data.experimental.assert_cardinality(steps * (epochs - first_epoch)))
    return _prepared(order, images, prepare, with_margin="resized_crop" in augment)


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
    normalize = normalization.layer() if normalization else lambda x: tf.cast(x, tf.float32)
    order = tf.data.Dataset.range(len(images)).batch(batch_size).map(_as_written(lambda indices: (indices,)))
    return _prepared(order, images, lambda pixels, labels: (normalize(pixels), labels))


def spread_batches(images: ImageSet, *, batch_size: int, at_most: int, normalization: Normalization) -> tf.data.Dataset:
    """Normalised batches of equal size, the same ones each time; what does not fill a batch is left out.

    Each batch is spread evenly over all images: of images that come sorted by class it holds every class.

    Args:
        images: the images, at least a batch.
        batch_size: images a batch.
        at_most: images of all batches.
        normalization: statistics of the training images.

    Returns:
        Pairs of float32 [batch_size, h, w, c] and int32 [batch_size].
    """
    batches = min(len(images), at_most) // batch_size
    spread = np.arange(batches * batch_size) * len(images) // (batches * batch_size)
    mixed = images.take(spread.reshape(batch_size, batches).T.ravel())
    return evaluation_batches(mixed, batch_size=batch_size, normalization=normalization)


def _prepared(
    order: tf.data.Dataset, images: ImageSet, prepare: Callable[..., Any], with_margin: bool = False
) -> tf.data.Dataset:
    """What `prepare` makes of pixels, labels and what else stands beside indices of images in `order`.

    Args:
        order: tuples; the first of each holds indices, [b].
        images: what they are of.
        prepare: takes uint8 [b, h, w, c] and int32 [b], and the rest of the tuple.
        with_margin: whether images come with their margin.
    """
    with tf.device("CPU:0"):  # Where tf.data works, also on a machine with a GPU.
        labels = tf.constant(images.labels)
        frames = images.frames if isinstance(images.frames, Streamed) else tf.constant(images.frames)
    streamed = isinstance(frames, Streamed)

    @_as_written
    def fetch(indices: tf.Tensor, *rest: tf.Tensor) -> tuple[tf.Tensor, ...]:
        if streamed:
            fetched = tf.numpy_function(frames.__getitem__, [indices], tf.uint8, stateful=False)
            fetched = tf.ensure_shape(fetched, (indices.shape[0], *frames.shape[1:]))
        else:
            fetched = tf.gather(frames, indices)
        pixels = fetched if with_margin else inside(fetched, images.margin)
        return pixels, tf.gather(labels, indices), *rest

    ahead = _READ_AHEAD if streamed else tf.data.AUTOTUNE  # TensorFlow would have as many as memory holds.
    batches = (
        order.map(fetch, num_parallel_calls=ahead, deterministic=True)
        .map(_as_written(prepare), num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .prefetch(ahead)
    )
    if streamed:
        # Threads of its own: one that waits for files is none that a training step could have.
        options = tf.data.Options()
        options.threading.private_threadpool_size = _READ_AHEAD + (os.cpu_count() or 1)
        batches = batches.with_options(options)
    return batches
