"""From the name of a data set to labelled images, in memory or streamed, and the splits of the training images.

Search and training learn from what `load_train` gives. `load_test` is for the final evaluation.
"""

import dataclasses
import math
import os
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import psutil

from vinnas_tf.config import DataConfig
from vinnas_tf.data import notes as image_notes
from vinnas_tf.data import streamed
from vinnas_tf.data.folder import open_folder
from vinnas_tf.data.folder_layout import require_class_name
from vinnas_tf.data.image_set import ImageSet, fingerprint, in_order
from vinnas_tf.data.picture import Preparation, digest, frame
from vinnas_tf.data.picture_index import Watch, in_parallel, unwatched
from vinnas_tf.data.source import Part, Source, open_digits
from vinnas_tf.data.splits import draw_share, stratified_split
from vinnas_tf.data.streamed import Streamed
from vinnas_tf.errors import DataError, require
from vinnas_tf.run.files import user_path

_COPIES = 3  # The loaded images, the two halves cut from them, and TensorFlow's copy of these.
_UNDER_WAY = 500  # Streamed images that are in memory at once, about, as pixels, numbers and batches.


@dataclass(frozen=True)
class Dataset:
    """A data set without its test images.

    Attributes:
        name: as given with --dataset.
        class_names: name of each class, in the order of the labels.
        train: the training images in use, in an order that depends on the images alone, not on their files.
        validation: images that the data set itself keeps to make choices on, where it does.
        preparation: how pictures were brought to the shape of `train`.
        fingerprint: `fingerprint` of `train`, and of `validation`.
        notes: what a person should know about the images, one line each.
    """

    name: str
    class_names: tuple[str, ...]
    train: ImageSet
    validation: ImageSet | None
    preparation: Preparation
    fingerprint: str
    notes: tuple[str, ...]


def with_full_path(config: DataConfig) -> DataConfig:
    """The same data set, a folder by its full path, so that a later stage finds it from another working folder."""
    if not config.dataset.startswith("folder:"):
        return config
    folder = os.path.abspath(user_path(config.dataset.removeprefix("folder:")))
    return dataclasses.replace(config, dataset=f"folder:{folder}")


def open_source(config: DataConfig, watch: Watch = unwatched) -> Source:
    """The data set that `config.dataset` names, its pixels unread; pictures of a folder are decoded once, and checked.

    Args:
        config: which images, and their size.
        watch: goes through the pictures of a folder that are not known yet.

    Raises:
        DataError: there is no such data set, it isn't one of labelled images, or a picture can't be decoded.
    """
    opened = SOURCES.get(config.dataset.split(":")[0])
    if opened is not None:
        return opened(config, watch)
    from vinnas_tf.data.tfds import open_tfds  # TFDS takes a second to import; other sources don't need it.

    return open_tfds(config)


def _open_folder(config: DataConfig, watch: Watch) -> Source:
    folder = user_path(config.dataset.removeprefix("folder:"))
    try:
        return open_folder(folder, config.image_size, config.framing, watch)
    except OSError as error:
        raise DataError(f"{folder} can't be read ({error}): mend that, or choose another folder.") from error


# What opens a data set, by its name up to a colon; every other name is TFDS's.
SOURCES: dict[str, Callable[[DataConfig, Watch], Source]] = {
    "digits": lambda config, _: open_digits(config.image_size, config.framing),
    "folder": _open_folder,
}


def load_train(config: DataConfig, seed: int, watch: Watch = unwatched) -> Dataset:
    """Loads the training images, or the fraction of them that `config` asks for.

    A set without a test part of its own (digits, a folder of class folders, some TFDS sets) has a fifth of each class
    held out for it, the same for every seed.

    Args:
        config: which images, and their size.
        seed: of the draw when `config.data_fraction` is below 1, stratified by class.
        watch: as `open_source` takes it; it goes through the images of other sets too, where they are streamed.

    Raises:
        DataError: no such data set, no network to fetch it, unreadable or unfit images, too few of a class, or more
            pixels than memory.
    """
    source = open_source(config, watch)
    part, validation = source.part("train"), source.open("validation")
    chosen = np.arange(len(part.labels))
    if config.data_fraction < 1:
        size = round(config.data_fraction * len(part.labels))
        chosen, _ = stratified_split(part.labels, part.names, size, seed, "fraction")
    for name in source.class_names:
        require_class_name(name, config.dataset)
    _require_classes(config, source.class_names, part, chosen)
    train = in_order(_read(config, source.preparation, part, chosen, watch))
    held_out = load_part(config, source.preparation, validation, watch) if validation else None
    return Dataset(
        config.dataset,
        source.class_names,
        train,
        held_out,
        source.preparation,
        fingerprint([train, held_out] if held_out else [train]),
        (
            *source.notes,
            *(image_notes.streamed(train.frames.shape) if isinstance(train.frames, Streamed) else ()),
            *image_notes.skewed(source.class_names, train.labels),
        ),
    )


def load_test(config: DataConfig, watch: Watch = unwatched) -> ImageSet:
    """Loads all test images, in the shape of the training images.

    Raises:
        DataError: as `load_train`, or the test images differ in size from the training images.
    """
    source = open_source(config, watch)
    return load_part(config, source.preparation, source.part("test"), watch)


def load_part(config: DataConfig, preparation: Preparation, part: Part, watch: Watch = unwatched) -> ImageSet:
    """All images of a part, brought to the pixels that a network takes.

    Raises:
        DataError: an image can't be read, or there are more pixels than memory.
    """
    return in_order(_read(config, preparation, part, np.arange(len(part.labels)), watch))


def hold_out(images: ImageSet, fraction: float, seed: int) -> tuple[ImageSet, ImageSet]:
    """Splits off a share of the images, of each class, to make choices on.

    Each image is drawn by its name, so that more images move none of those that there were. An image that is held out
    and whose picture is among the rest too, pixel for pixel, is in neither.

    Args:
        images: what to split.
        fraction: share of the images to hold out, in [0, 1).
        seed: of the draw.

    Returns:
        (rest, held_out), which share no picture.
    """
    drawn = draw_share(images.labels, images.names, fraction, seed, "held out")
    rest, held_out = images.take(np.flatnonzero(~drawn)), images.take(np.flatnonzero(drawn))
    return rest, held_out.without(rest)


def split_halves(images: ImageSet, seed: int) -> tuple[ImageSet, ImageSet]:
    """Splits images into two halves of equal size, stratified by class, that share no picture.

    VINNAS, Algorithm 1: weights are trained on the first half, alphas on the second. Of an odd number one image is left
    out, and so are the copies of pictures that would be in both halves, and as many of the other half.

    Returns:
        (weight half, alpha half).
    """
    alpha, rest = stratified_split(images.labels, images.names, len(images) // 2, seed, "alpha half")
    weight_half = images.take(rest)
    alpha_half = images.take(alpha).without(weight_half)
    kept, _ = stratified_split(weight_half.labels, weight_half.names, len(alpha_half), seed, "weight half")
    return weight_half.take(kept), alpha_half


def _require_classes(config: DataConfig, class_names: tuple[str, ...], part: Part, chosen: np.ndarray) -> None:
    """Two classes or more, and two images or more of each, so that either half of a search has one."""
    present, counts = np.unique(part.labels, return_counts=True)
    require(
        len(present) > 1,
        f"{config.dataset} has images of {len(present)} class: classification needs two or more.",
        DataError,
    )
    left = np.array([np.count_nonzero(part.labels[chosen] == label) for label in present])
    scarce = int(left.argmin())
    remedy = "add images" if counts[scarce] < 2 else "use a larger data_fraction"
    require(
        int(left[scarce]) >= 2,
        f"The training images of {config.dataset} in use hold {left[scarce]} of class "
        f"{class_names[present[scarce]]}, and 2 are the least: {remedy}.",
        DataError,
    )


def _read(config: DataConfig, preparation: Preparation, part: Part, indices: np.ndarray, watch: Watch) -> ImageSet:
    """The part's images at `indices`."""
    of_one = math.prod(preparation.frame_shape)
    streams = len(indices) * of_one > streamed.LEAST_BYTES
    needed = of_one * (5 * _UNDER_WAY if streams else _COPIES * len(indices))  # In batches a level takes four bytes.
    available = psutil.virtual_memory().available
    require(
        needed <= available,
        f"{config.dataset} would take {needed / 2**30:.1f} GiB of memory ({len(indices)} images), and "
        f"{available / 2**30:.1f} GiB are free: use a smaller data_fraction or image_size.",
        DataError,
    )
    names, margin = np.array([part.names[index] for index in indices]), preparation.margin
    if streams:
        digests = _digests(config, part, indices, watch)
        return ImageSet(Streamed(part, preparation, indices), part.labels[indices], names, digests, margin)
    frames = np.empty((len(indices), *preparation.frame_shape), np.uint8)
    digests = np.empty(len(indices), np.uint64) if part.digests is None else part.digests[indices]

    def load(slot: int) -> None:
        pixels = part.read(int(indices[slot]))
        frames[slot] = frame(pixels, preparation)
        if part.digests is None:
            digests[slot] = digest(pixels)

    for _ in in_parallel(load, range(len(indices))):
        pass
    return ImageSet(frames, part.labels[indices], names, digests, margin)


def _digests(config: DataConfig, part: Part, indices: np.ndarray, watch: Watch) -> np.ndarray:
    """Digests of the pictures at `indices`; where they are not known, each is decoded once."""
    if part.digests is not None:
        return part.digests[indices]
    found = in_parallel(lambda index: digest(part.read(index)), indices.tolist())
    what = f"Checks {len(indices):,} pictures of {config.dataset}"
    return np.array([next(found) for _ in watch(what, range(len(indices)))], np.uint64)
