"""Images that a program hands over, as arrays or as a `tf.data.Dataset`, to the same sets that a name leads to."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from vinnas_tf.data import notes as image_notes
from vinnas_tf.data.folder_layout import require_class_name
from vinnas_tf.data.image_set import ImageSet, fingerprint, in_order
from vinnas_tf.data.images import Dataset
from vinnas_tf.data.picture import Preparation, digest
from vinnas_tf.errors import DataError, require

NAME = "arrays"  # Of a data set that has no other.
_PAIRS = "pairs of an image and a whole number, such as tfds.load(..., as_supervised=True) gives"


def image_set(images: Any, labels: Any = None) -> ImageSet:
    """Labelled images in memory, in an order that depends on the images alone.

    Each image is called by the digest of its pixels. So it makes no difference in which order they come, and copies of
    a picture are drawn together.

    Args:
        images: uint8 [n, h, w, c], or [n, h, w] for grey images; c is 1 (grey) or 3 (RGB). Or a pair (images, labels).
            Or a finite `tf.data.Dataset` of (image, label), single or in batches.
        labels: whole numbers [n] or [n, 1], the classes counted from 0; None where `images` brings them along.

    Returns:
        The images as [n, h, w, c], sorted.

    Raises:
        DataError: they are no such images or labels.

    Example:
        >>> import numpy as np
        >>> images = image_set(np.zeros((4, 8, 8), np.uint8), [0, 1, 0, 1])
        >>> images.images.shape
        (4, 8, 8, 1)
    """
    if labels is None:
        if isinstance(images, tf.data.Dataset):
            images, labels = _collected(images)
        else:
            require(
                isinstance(images, tuple | list) and len(images) == 2,
                "labels are missing: give images and labels, a pair of both, or a tf.data.Dataset of pairs.",
                DataError,
            )
            images, labels = images
    else:
        require(
            not isinstance(images, tf.data.Dataset),
            "a tf.data.Dataset brings its labels along: leave labels out.",
            DataError,
        )
    pixels, classes = _pixels(images), _classes(labels)
    require(len(pixels) > 0, "there are no images: give some.", DataError)
    require(
        len(pixels) == len(classes),
        f"there are {len(pixels):,} images and {len(classes):,} labels: give a label for each image.",
        DataError,
    )
    digests = np.array([digest(image) for image in pixels], np.uint64)
    names = np.array([f"{int(one):016x}" for one in digests])
    return in_order(ImageSet(pixels, classes, names, digests))


def array_dataset(
    train: Any,
    labels: Any = None,
    *,
    validation: Any = None,
    class_names: Sequence[str] | None = None,
    classes: int | None = None,
) -> Dataset:
    """What a search or a training learns from: the images, and those to make choices on, where there are any.

    Args:
        train: as `image_set` takes images.
        labels: as `image_set` takes them.
        validation: a pair (images, labels) or a `tf.data.Dataset`; those that are training images too are left out.
        class_names: name of each class, in the order of the labels; None calls them "0", "1" and so on.
        classes: how many there are; None takes it from the names, or else from the labels.

    Raises:
        DataError: as `image_set`; fewer than two classes, or than two images of one; labels beyond the names; or
            validation images of another shape.

    Example:
        >>> import numpy as np
        >>> images = np.random.default_rng(0).integers(256, size=(4, 8, 8, 3)).astype(np.uint8)
        >>> array_dataset(images, [0, 1, 0, 1], class_names=["cat", "dog"]).class_names
        ('cat', 'dog')
    """
    images = image_set(train, labels)
    names = _names(class_names, classes, images)
    present, counts = np.unique(images.labels, return_counts=True)
    require(
        len(present) > 1,
        f"all images are of class {names[present[0]]}: classification needs two classes or more.",
        DataError,
    )
    require(
        int(counts.min()) >= 2,
        f"there is 1 image of class {names[present[counts.argmin()]]}, and 2 are the least: add images.",
        DataError,
    )
    notes = list(image_notes.skewed(names, images.labels))
    held_out = None
    if validation is not None:
        given = image_set(validation)
        require_fit(given, images.image_shape, len(names), "validation images")
        held_out = given.without(images)
        require(len(held_out) > 0, "all validation images are training images too: give others.", DataError)
        notes += image_notes.copies({"validation": len(given) - len(held_out)}, images.digests, images.labels)
    parts = [images] if held_out is None else [images, held_out]
    preparation = Preparation(*images.image_shape)
    return Dataset(NAME, names, images, held_out, preparation, fingerprint(parts), tuple(notes))


def require_fit(images: ImageSet, shape: tuple[int, ...], classes: int, what: str) -> None:
    """Raises DataError unless images, called `what`, have this shape [h, w, c], and labels below `classes`."""
    theirs, ours = (" x ".join(map(str, one)) for one in (images.image_shape, shape))
    require(theirs == ours, f"the {what} must be of {ours} (height x width x channels), got {theirs}.", DataError)
    largest = int(images.labels.max())
    require(
        largest < classes,
        f"labels of the {what} must lie below {classes}, the number of classes, got {largest}: count them from 0.",
        DataError,
    )


def _collected(batches: tf.data.Dataset) -> tuple[Any, Any]:
    """All images and labels of a data set."""
    require(
        int(batches.cardinality()) != tf.data.INFINITE_CARDINALITY,
        "the tf.data.Dataset never ends: leave repeat() out.",
        DataError,
    )
    spec = batches.element_spec
    require(
        isinstance(spec, tuple) and len(spec) == 2 and all(isinstance(one, tf.TensorSpec) for one in spec),
        f"the tf.data.Dataset must hold {_PAIRS}.",
        DataError,
    )
    images, labels = [], []
    for image, label in _pairs(batches):
        one = label.ndim == 0
        images.append(image[np.newaxis] if one else image)
        labels.append(label[np.newaxis] if one else label)
    require(bool(images), "the tf.data.Dataset is empty: give images.", DataError)
    shapes = sorted({image.shape[1:] for image in images})
    require(
        len(shapes) == 1,
        "the images differ in size, such as "
        f"{' and '.join(' x '.join(map(str, shape)) for shape in shapes[:2])}: resize them all to one.",
        DataError,
    )
    return np.concatenate(images), np.concatenate(labels)


def _pairs(batches: tf.data.Dataset) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    try:
        yield from batches.as_numpy_iterator()
    except tf.errors.OpError as error:
        reason = " ".join(str(error.message).split())[:200]
        raise DataError(f"the tf.data.Dataset can't be read ({reason}): mend what makes it.") from error


def _array(values: Any, what: str) -> np.ndarray:
    try:
        array = np.asarray(values)
    except (ValueError, TypeError) as error:  # NumPy's on a list of arrays of several shapes.
        raise DataError(
            f"the {what} are no array ({' '.join(str(error).split())[:120]}): bring them to one."
        ) from error
    require(array.dtype != object, f"the {what} are no array of numbers: bring them all to one shape.", DataError)
    return array


def _pixels(values: Any) -> np.ndarray:
    """uint8 [n, h, w, c]."""
    images = _array(values, "images")
    if images.dtype != np.uint8:
        unit = images.size > 0 and np.issubdtype(images.dtype, np.floating) and images.max() <= 1
        by = "np.rint(255 * images).astype(np.uint8)" if unit else "np.rint(images).clip(0, 255).astype(np.uint8)"
        what = f"{images.dtype} in 0..1" if unit else str(images.dtype)
        raise DataError(f"images must be uint8 in 0..255, got {what}: normalisation comes later, so give {by}.")
    if images.ndim == 3:
        images = images[..., np.newaxis]
    require(
        images.ndim == 4 and images.shape[-1] in (1, 3) and 0 not in images.shape[1:],
        "images must be [n, height, width] or [n, height, width, channels] with 1 or 3 channels, "
        f"got {list(np.shape(values))}.",
        DataError,
    )
    return images


def _classes(values: Any) -> np.ndarray:
    """int32 [n]."""
    labels = _array(values, "labels")
    if labels.ndim == 2 and labels.shape[1] == 1:  # As keras.datasets.cifar10 has them.
        labels = labels[:, 0]
    require(
        labels.ndim == 1,
        f"labels must be whole numbers [n], got {list(labels.shape)}: for one-hot labels give labels.argmax(axis=-1).",
        DataError,
    )
    if labels.size and np.issubdtype(labels.dtype, np.floating) and np.isnan(labels).any():
        raise DataError(f"{int(np.isnan(labels).sum()):,} labels are NaN: leave those images out.")
    require(
        labels.size == 0 or np.issubdtype(labels.dtype, np.integer),
        f"labels must be whole numbers, got {labels.dtype}: number the classes from 0, in an integer type.",
        DataError,
    )
    require(
        labels.size == 0 or 0 <= int(labels.min()) and int(labels.max()) < 2**31,
        "labels must be whole numbers from 0 on: number the classes 0, 1, 2 ...",
        DataError,
    )
    return labels.astype(np.int32)


def _names(class_names: Sequence[str] | None, classes: int | None, images: ImageSet) -> tuple[str, ...]:
    """A name for each class."""
    labels = int(images.labels.max()) + 1
    if class_names is None and classes is None:
        require(
            labels <= len(images),
            f"labels go up to {labels - 1:,}, and there are {len(images):,} images: number the classes 0, 1, 2 ...",
            DataError,
        )
        classes = labels
    names = tuple(map(str, range(classes or 0))) if class_names is None else tuple(class_names)
    require(
        len(names) == (classes or len(names)) and len(set(names)) == len(names),
        f"class_names must name each class once: {len(names)} names, and {classes or len(set(names))} classes.",
        DataError,
    )
    require(
        labels <= len(names),
        f"labels must lie below {len(names)}, the number of classes, got {labels - 1}: count them from 0.",
        DataError,
    )
    for name in names:
        require_class_name(name, NAME)
    return names
