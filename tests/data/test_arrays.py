"""Arrays and `tf.data` as images to learn from: the same set from each form, and one line on what is none."""

import doctest

import numpy as np
import pytest
import tensorflow as tf

from vinnas_tf.data import arrays
from vinnas_tf.data.arrays import array_dataset, image_set
from vinnas_tf.data.images import hold_out
from vinnas_tf.errors import DataError

GENERATOR = np.random.default_rng(0)
IMAGES = GENERATOR.integers(256, size=(20, 6, 5, 3)).astype(np.uint8)
LABELS = GENERATOR.permutation(np.arange(20) % 3)
PAIRS = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS))


def pictures(images, labels):
    return {(image.tobytes(), int(label)) for image, label in zip(images, labels, strict=True)}


@pytest.mark.parametrize(
    "given",
    [
        (IMAGES, LABELS),
        ((IMAGES, LABELS),),
        (IMAGES[::-1], LABELS[::-1, None].astype(np.uint8)),  # As keras.datasets.cifar10 has labels.
        (list(IMAGES), LABELS.tolist()),
        (tf.constant(IMAGES), tf.constant(LABELS)),
        (PAIRS,),
        (PAIRS.batch(7),),
        (PAIRS.shuffle(20, seed=1).filter(lambda image, label: True).batch(20),),  # Nothing tells how many there are.
    ],
)
def test_every_form_and_order_gives_the_same_set(given):
    images, expected = image_set(*given), image_set(IMAGES, LABELS)
    np.testing.assert_array_equal(images.images, expected.images)
    np.testing.assert_array_equal(images.labels, expected.labels)
    assert images.images.dtype == np.uint8 and images.labels.dtype == np.int32
    assert pictures(images.images, images.labels) == pictures(IMAGES, LABELS)


def test_grey_images_may_lack_their_channel():
    images = image_set(IMAGES[..., 0], LABELS)
    assert images.images.shape == (20, 6, 5, 1)
    assert pictures(images.images[..., 0], images.labels) == pictures(IMAGES[..., 0], LABELS)


def test_held_out_images_depend_on_the_images_and_not_on_their_order():
    order = np.random.default_rng(1).permutation(20)
    (_, first), (_, second) = (hold_out(image_set(IMAGES[o], LABELS[o]), 0.3, 5) for o in (order, order[::-1]))
    assert len(first) > 2
    np.testing.assert_array_equal(first.images, second.images)


def test_copies_are_held_out_together_or_not_at_all():
    rest, held_out = hold_out(image_set(np.tile(IMAGES, (3, 1, 1, 1)), np.tile(LABELS, 3)), 0.5, 0)
    assert len(rest) + len(held_out) == 60
    assert len(rest) % 3 == len(held_out) % 3 == 0 < len(held_out)


def test_a_data_set_knows_names_validation_images_and_copies_among_them():
    mixed = np.concatenate([IMAGES[:2], 255 - IMAGES[:5]]), np.concatenate([LABELS[:2], LABELS[:5]])
    dataset = array_dataset(PAIRS, validation=mixed, class_names=["a", "b", "c"])
    assert dataset.class_names == ("a", "b", "c")
    assert pictures(dataset.validation.images, dataset.validation.labels) == pictures(255 - IMAGES[:5], LABELS[:5])
    assert any(note.startswith("2 validation images are training images too") for note in dataset.notes)
    assert dataset.preparation.shape == (6, 5, 3)
    assert array_dataset(IMAGES, LABELS).class_names == ("0", "1", "2")


def dictionaries():
    return PAIRS.map(lambda image, label: {"image": image, "label": label})


def of_sizes():
    return tf.data.Dataset.from_generator(
        lambda: ((np.zeros((side, side, 1), np.uint8), 0) for side in (8, 9)),
        output_signature=(tf.TensorSpec((None, None, 1), tf.uint8), tf.TensorSpec((), tf.int64)),
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((IMAGES,), "labels are missing"),
        ((PAIRS, LABELS), "leave labels out"),
        ((IMAGES / 255, LABELS), r"got float64 in 0..1: .* give np.rint\(255 \* images\).astype\(np.uint8\)"),
        ((IMAGES.astype(np.float32), LABELS), r"got float32: .* give np.rint\(images\)"),
        ((IMAGES.astype(int), LABELS), "got int64"),
        ((IMAGES[..., :2], LABELS), r"1 or 3 channels, got \[20, 6, 5, 2\]"),
        ((IMAGES[0, 0], LABELS), r"images must be \[n, height, width\]"),
        ((IMAGES[:0], LABELS[:0]), "there are no images"),
        ((IMAGES, LABELS[1:]), "20 images and 19 labels"),
        ((IMAGES, np.eye(3)[LABELS]), "argmax"),
        ((IMAGES, np.where(LABELS, LABELS, np.nan)), "labels are NaN"),
        ((IMAGES, LABELS.astype(np.float32)), "labels must be whole numbers, got float32"),
        ((IMAGES, LABELS.astype(str)), "labels must be whole numbers, got <U"),
        ((IMAGES, LABELS - 1), "from 0 on"),
        (([IMAGES[0], IMAGES[0, 1:]], [0, 1]), "images are no array"),
        ((PAIRS.repeat(),), "never ends"),
        ((PAIRS.take(0),), "is empty"),
        ((dictionaries(),), "as_supervised"),
        ((PAIRS.map(lambda image, label: image),), "as_supervised"),
        ((of_sizes(),), "differ in size, such as 8 x 8 x 1 and 9 x 9 x 1"),
        ((of_sizes().ragged_batch(2),), "as_supervised"),
        ((of_sizes().batch(2),), "can't be read"),
    ],
)
def test_what_is_no_set_of_images_is_told_in_one_line(given, message):
    with pytest.raises(DataError, match=message) as caught:
        image_set(*given)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("labels", "more", "message"),
    [
        (np.zeros(20, int), {}, "all images are of class 0"),
        (np.eye(20, dtype=int)[3], {"class_names": ["cat", "dog"]}, "1 image of class dog"),
        (LABELS * 1000, {}, "labels go up to 2,000, and there are 20 images"),
        (LABELS, {"class_names": ["cat", "dog"]}, "must lie below 2, the number of classes, got 2"),
        (LABELS, {"classes": 2}, "must lie below 2, the number of classes, got 2"),
        (LABELS, {"class_names": ["cat", "cat", "dog"]}, "name each class once: 3 names, and 2 classes"),
        (LABELS, {"class_names": ["cat", "dog", "cow"], "classes": 4}, "3 names, and 4 classes"),
        (LABELS, {"class_names": ["cat", "dog", "a\nb"]}, "can't be written into a file of labels"),
        (LABELS, {"validation": (IMAGES, LABELS)}, "all validation images are training images too"),
        (LABELS, {"validation": (IMAGES[:, 1:], LABELS)}, "must be of 6 x 5 x 3 .* got 5 x 5 x 3"),
        (LABELS, {"validation": (255 - IMAGES, LABELS + 1)}, "must lie below 3, the number of classes, got 3"),
    ],
)
def test_what_nothing_can_be_learnt_from_is_told_in_one_line(labels, more, message):
    with pytest.raises(DataError, match=message) as caught:
        array_dataset(IMAGES, labels, **more)
    assert "\n" not in str(caught.value)


def test_the_examples_run():
    assert doctest.testmod(arrays).failed == 0
