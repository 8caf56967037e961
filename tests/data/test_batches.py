"""Normalisation and the streams of batches, with NumPy as the reference."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from vinnas_tf.config import AUGMENTATIONS
from vinnas_tf.data.batches import Normalization, evaluation_batches, training_batches
from vinnas_tf.data.image_set import ImageSet
from vinnas_tf.errors import UserError

# Those that may leave an image as it is. Affine and elastic maps never do, and would hide it if the others stood still.
AT_TIMES = ("crop", "flip", "erase")


def numbered(count, shape=(8, 8, 3), classes=4):
    """Image i has i in its first pixel's first channel and random pixels elsewhere; its label is i % classes."""
    images = np.random.default_rng(0).integers(0, 256, (count, *shape), np.uint8)
    images[:, 0, 0, 0] = np.arange(count)
    return ImageSet(images, np.arange(count, dtype=np.int32) % classes)


IDENTITY = Normalization((0.0, 0.0, 0.0), (1 / 255,) * 3)  # Leaves 0..255 as it is.


def stream(images, *, batch_size=8, normalization=IDENTITY, augment=(), seed=3, first_epoch=0, epochs=1):
    return training_batches(
        images,
        batch_size=batch_size,
        normalization=normalization,
        augment=augment,
        seed=seed,
        first_epoch=first_epoch,
        epochs=epochs,
    )


def collect(batches):
    x, y = zip(*batches.as_numpy_iterator(), strict=True)
    return np.stack(x), np.stack(y)


def error(call, *arguments, **settings):
    with pytest.raises(UserError) as caught:
        call(*arguments, **settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("channels", [1, 3])
def test_normalization_statistics_are_numpys(channels):
    images = numbered(50, (8, 6, channels))
    normalization = Normalization.of(images)
    scaled = images.images.astype(np.float64) / 255
    np.testing.assert_allclose(normalization.mean, scaled.mean(axis=(0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(normalization.std, scaled.std(axis=(0, 1, 2)), rtol=1e-12)


def test_what_is_cut_out_is_0_after_normalisation():
    images = numbered(64)
    shown, _ = collect(stream(images, normalization=Normalization.of(images), augment=("cutout",)))
    erased = (shown == 0).all(axis=-1).sum(axis=(2, 3))
    assert erased.min() >= 4  # Of 8 x 8 pixels, a corner of a square of 4 x 4.
    assert erased.max() == 16


def test_a_constant_channel_stays_finite():
    images = numbered(20)
    images.images[..., 1] = 9
    ((x, _),) = evaluation_batches(images, batch_size=20, normalization=Normalization.of(images))
    assert (abs(x.numpy()[..., 1]) < 1e-6).all()


def test_evaluation_batches_are_in_order_normalised_and_complete():
    images = numbered(21)
    normalization = Normalization((0.1, 0.5, 0.7), (0.2, 0.3, 0.4))
    batches = list(evaluation_batches(images, batch_size=8, normalization=normalization).as_numpy_iterator())
    assert [len(y) for _, y in batches] == [8, 8, 5]
    x, y = (np.concatenate(part) for part in zip(*batches, strict=True))
    assert x.dtype == np.float32 and y.dtype == np.int32
    np.testing.assert_allclose(x, (images.images / 255 - [0.1, 0.5, 0.7]) / [0.2, 0.3, 0.4], atol=1e-5)
    assert (y == images.labels).all()


def test_training_batches_normalise_and_erase_to_the_mean():
    images = numbered(64)
    normalization = Normalization.of(images)
    x, y = collect(stream(images, normalization=normalization))
    assert x.dtype == np.float32 and y.dtype == np.int32
    ids = np.rint((x[..., 0, 0, 0] * normalization.std[0] + normalization.mean[0]) * 255).astype(int)
    expected = (images.images[ids] / 255 - normalization.mean) / normalization.std
    np.testing.assert_allclose(x, expected, atol=1e-4)
    erased, _ = collect(stream(images, normalization=normalization, augment=("erase",)))
    assert (abs(erased) < 1e-5).all(axis=-1).mean() > 0.02
    assert (abs(x) < 1e-5).all(axis=-1).mean() == 0


def test_every_epoch_takes_each_image_at_most_once_in_an_order_of_its_own():
    x, y = collect(stream(numbered(45), epochs=3))  # 5 batches of 8 an epoch; 5 images remain.
    assert x.shape == (15, 8, 8, 8, 3)
    ids = np.rint(x[..., 0, 0, 0]).astype(int)
    assert (y == ids % 4).all()
    epochs = ids.reshape(3, 40)
    assert all(len(set(epoch)) == 40 for epoch in epochs)
    assert (epochs[0] != epochs[1]).mean() > 0.8 and (epochs[1] != epochs[2]).mean() > 0.8
    assert (np.diff(epochs[0]) < 0).any()
    assert len({frozenset(epoch) for epoch in epochs}) > 1  # Other images remain each time.


@pytest.mark.parametrize("augment", [(), AUGMENTATIONS])
def test_a_stream_from_epoch_3_is_the_tail_of_one_from_0(augment):
    images = numbered(45)
    whole, tail = (collect(stream(images, augment=augment, first_epoch=first, epochs=5)) for first in (0, 3))
    for everything, rest in zip(whole, tail, strict=True):
        assert everything[15:].tobytes() == rest.tobytes()


def test_the_stream_does_not_depend_on_threads_or_beyond_rounding_on_batch_size():
    images = numbered(64)
    streams = []
    for threads, batch_size in ((1, 8), (8, 8), (3, 16)):
        options = tf.data.Options()
        options.threading.private_threadpool_size = threads
        x, y = collect(stream(images, batch_size=batch_size, augment=AUGMENTATIONS, epochs=2).with_options(options))
        streams.append((x.reshape(-1, *images.images.shape[1:]), y.ravel()))
    (one, labels), (threaded, threaded_labels), (batched, batched_labels) = streams
    assert one.tobytes() == threaded.tobytes()
    np.testing.assert_allclose(batched, one, atol=1e-3)  # Of 255 levels; products of small matrices are rounded anew.
    assert labels.tolist() == threaded_labels.tolist() == batched_labels.tolist()


@pytest.mark.parametrize(("augment", "share"), [(AT_TIMES, 0.9), (("affine",), 0.99), (("elastic",), 0.99)])
def test_augmentation_differs_between_epochs_seeds_and_images(augment, share):
    same = ImageSet(np.repeat(numbered(1).images, 64, axis=0), np.zeros(64, np.int32))
    same.images[:, ::2] = 200
    x, _ = collect(stream(same, augment=augment, epochs=2))
    first, second = x.reshape(2, 64, -1)
    assert len(np.unique(first, axis=0)) > 40
    assert (first != second).any(axis=1).mean() > share
    other, _ = collect(stream(same, augment=augment, seed=4))
    assert (first != other.reshape(64, -1)).any(axis=1).mean() > share


def test_seeds_may_exceed_32_bits():
    images = numbered(16)
    x = [collect(stream(images, seed=seed, augment=AUGMENTATIONS))[0].tobytes() for seed in (2**32 + 1, 1)]
    assert x[0] != x[1]


def test_the_number_of_batches_is_known():
    assert stream(numbered(45), first_epoch=2, epochs=5).cardinality().numpy() == 15


def test_fewer_images_than_a_batch_are_refused():
    assert "batch_size=8" in error(stream, numbered(7))


def test_batches_stay_float32_under_mixed_precision():
    images = numbered(16)
    plain, _ = collect(stream(images, augment=AUGMENTATIONS))
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        mixed, _ = collect(stream(images, augment=AUGMENTATIONS))
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert mixed.dtype == np.float32 and mixed.tobytes() == plain.tobytes()
