"""From the name of a data set to batches: loading, splits, normalisation, and a stream that resumes exactly.

Search calls `load_train` only; nothing it calls opens a test image. `load_test` is for the final evaluation.
"""

import hashlib
import math
from dataclasses import dataclass

import keras
import numpy as np
import psutil
import tensorflow as tf
from PIL import Image

from vinnas_tf.augmentation import make_augmentation
from vinnas_tf.config import DataConfig, require
from vinnas_tf.sources import Source, open_source
from vinnas_tf.splits import stratified_split

_COPIES = 3  # The loaded images, the two halves cut from them, and TensorFlow's copy of these.


@dataclass(frozen=True)
class ImageSet:
    """Labelled images in memory.

    Attributes:
        images: uint8 [n, h, w, c], c being 1 (grey) or 3 (RGB).
        labels: int32 [n], indices into the data set's class names.
    """

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: np.ndarray) -> "ImageSet":
        """The images at `indices`."""
        return ImageSet(self.images[indices], self.labels[indices])


@dataclass(frozen=True)
class Dataset:
    """A data set without its test images.

    Attributes:
        name: as given with --dataset.
        class_names: name of each class, in the order of the labels.
        train: the training images in use.
        fingerprint: SHA-256 of the shape, pixels and labels of `train`.
    """

    name: str
    class_names: tuple[str, ...]
    train: ImageSet
    fingerprint: str


def load_train(config: DataConfig, seed: int) -> Dataset:
    """Loads the training images, or the fraction of them that `config` asks for.

    A set without a test part of its own (digits, a folder of class folders, some TFDS sets) has a fifth of each class
    held out for it, the same for every seed.

    Args:
        config: which images, and their size.
        seed: of the draw when `config.data_fraction` is below 1, stratified by class.

    Raises:
        ConfigError: no such data set, no network to fetch it, unreadable or unfit images, too few of a class, or more
            pixels than memory.
    """
    source = open_source(config, "train")
    chosen = np.arange(len(source.labels))
    if config.data_fraction < 1:
        chosen, _ = stratified_split(source.labels, round(config.data_fraction * len(source.labels)), seed)
    _require_classes(config, source, chosen)
    train = ImageSet(_read(config, source, chosen), source.labels[chosen])
    digest = hashlib.sha256(repr(train.images.shape).encode())
    digest.update(train.images.data)
    digest.update(train.labels.data)
    return Dataset(config.dataset, source.class_names, train, digest.hexdigest())


def load_test(config: DataConfig) -> ImageSet:
    """Loads all test images, in the shape of the training images.

    Raises:
        ConfigError: as `load_train`, or the test images differ in size from the training images.
    """
    source = open_source(config, "test")
    return ImageSet(_read(config, source, np.arange(len(source.labels))), source.labels)


def hold_out(images: ImageSet, fraction: float, seed: int) -> tuple[ImageSet, ImageSet]:
    """Splits off a share of the images, stratified by class, to make choices on.

    Args:
        images: what to split.
        fraction: share of the images to hold out, in (0, 1).
        seed: of the draw.

    Returns:
        (rest, held_out), disjoint, together all images.
    """
    held_out, rest = stratified_split(images.labels, round(fraction * len(images)), seed)
    return images.take(rest), images.take(held_out)


def split_halves(images: ImageSet, seed: int) -> tuple[ImageSet, ImageSet]:
    """Splits images into two disjoint halves of equal size, stratified by class; of an odd number one is left out.

    VINNAS, Algorithm 1: weights are trained on the first half, alphas on the second.

    Returns:
        (weight half, alpha half).
    """
    size = len(images) // 2
    alpha, rest = stratified_split(images.labels, size, seed)
    weight = rest if len(rest) == size else rest[stratified_split(images.labels[rest], size, seed)[0]]
    return images.take(weight), images.take(alpha)


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
        ConfigError: fewer images than fill one batch.
    """
    count = len(images)
    steps = count // batch_size
    require(
        steps > 0,
        f"--batch_size={batch_size} is more than the {count} images to train on: use a smaller one, or more images.",
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


def _require_classes(config: DataConfig, source: Source, chosen: np.ndarray) -> None:
    """Two classes or more, and two images or more of each, so that either half of a search has one."""
    present, counts = np.unique(source.labels, return_counts=True)
    require(len(present) > 1, f"{config.dataset} has images of {len(present)} class: classification needs two or more.")
    left = np.array([np.count_nonzero(source.labels[chosen] == label) for label in present])
    scarce = int(left.argmin())
    remedy = "add images" if counts[scarce] < 2 else "use a larger --data_fraction"
    require(
        int(left[scarce]) >= 2,
        f"The training images of {config.dataset} in use hold {left[scarce]} of class "
        f"{source.class_names[present[scarce]]}, and 2 are the least: {remedy}.",
    )


def _read(config: DataConfig, source: Source, indices: np.ndarray) -> np.ndarray:
    """The source's images at `indices`, resized to its shape (bilinear, antialiased, not cropped), grey or RGB."""
    shape = source.shape
    needed, available = _COPIES * len(indices) * math.prod(shape), psutil.virtual_memory().available
    require(
        needed <= available,
        f"{config.dataset} would take {needed / 2**30:.1f} GiB of memory ({len(indices)} images), and "
        f"{available / 2**30:.1f} GiB are free: use a smaller --data_fraction or --image_size.",
    )
    height, width, channels = shape
    images = np.empty((len(indices), *shape), np.uint8)
    for slot, image in enumerate(source.read(indices)):
        if image.shape != shape:
            picture = Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image)
            picture = picture.convert("L" if channels == 1 else "RGB")
            image = np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR)).reshape(shape)
        images[slot] = image
    return images
