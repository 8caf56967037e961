"""Loading and splits, with NumPy as the reference."""

import hashlib

import numpy as np
import pytest
from sklearn.datasets import load_digits

from vinnas_tf.config import DataConfig
from vinnas_tf.data.image_set import ImageSet
from vinnas_tf.data.images import hold_out, load_test, load_train, split_halves
from vinnas_tf.data.splits import uniform
from vinnas_tf.errors import UserError


def numbered(count, shape=(8, 8, 3), classes=4):
    """Image i has i in its first pixel's first channel and random pixels elsewhere; its label is i % classes."""
    images = np.random.default_rng(0).integers(0, 256, (count, *shape), np.uint8)
    images[:, 0, 0, 0] = np.arange(count)
    return ImageSet(images, np.arange(count, dtype=np.int32) % classes)


def error(call, *arguments, **settings):
    with pytest.raises(UserError) as caught:
        call(*arguments, **settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture(scope="module")
def digits():
    return load_train(DataConfig(), 0)


def test_digits_are_split_into_fixed_parts(digits):
    test, reference = load_test(DataConfig()), load_digits()
    assert digits.class_names == tuple("0123456789")
    both = np.concatenate([digits.train.images, test.images])[..., 0].reshape(-1, 64)
    pixels = np.rint(reference.data * 255 / 16).astype(np.uint8)
    assert sorted(map(bytes, both)) == sorted(map(bytes, pixels))
    assert (len(digits.train), len(test)) == (1438, 359)
    assert (abs(np.bincount(test.labels) / np.bincount(reference.target) - 0.2) < 0.01).all()
    label_of = {bytes(image): label for image, label in zip(pixels, reference.target, strict=True)}
    for part in (digits.train, test):
        assert [label_of[image.tobytes()] for image in part.images] == part.labels.tolist()
    assert load_train(DataConfig(), 9).fingerprint == digits.fingerprint


def test_a_fraction_is_stratified_and_seeded(digits):
    config = DataConfig(data_fraction=0.25)
    first, again, other = (load_train(config, seed) for seed in (1, 1, 2))
    assert len(first.train) == round(len(digits.train) / 4)
    assert (abs(np.bincount(first.train.labels) - np.bincount(digits.train.labels) / 4) < 1).all()
    assert first.fingerprint == again.fingerprint != other.fingerprint


def test_the_fingerprint_covers_pixels_and_labels(digits):
    train = digits.train
    shape = repr((len(train), 8, 8, 1)).encode()
    assert digits.fingerprint == hashlib.sha256(shape + train.images.tobytes() + train.labels.tobytes()).hexdigest()


def test_images_are_resized_to_image_size(digits):
    resized = load_train(DataConfig(image_size=16), 0).train
    assert resized.images.shape == (len(digits.train), 16, 16, 1)
    assert (resized.digests == digits.train.digests).all()  # Of the images as they were.
    blocks = resized.images.reshape(-1, 8, 2, 8, 2).mean(axis=(2, 4))
    assert np.corrcoef(blocks.ravel(), digits.train.images.ravel())[0, 1] > 0.97


def test_the_order_mixes_the_classes(digits):
    runs = 1 + np.count_nonzero(np.diff(digits.train.labels))
    assert runs > 0.8 * len(digits.train)  # Of ten classes in random order nine tenths are expected.


def test_too_little_of_a_class_is_refused():
    assert "data_fraction" in error(load_train, DataConfig(data_fraction=0.01), 0)


def test_more_pixels_than_memory_are_refused_before_they_are_read():
    text = error(load_train, DataConfig(image_size=100_000), 0)
    assert "GiB" in text and "data_fraction" in text and "image_size" in text


@pytest.mark.parametrize("count", [40, 41, 43])
def test_halves_are_equal_disjoint_stratified_and_seeded(count):
    images = numbered(count)
    weight, alpha = split_halves(images, 0)
    assert len(weight) == len(alpha) == count // 2
    ids = [part.images[:, 0, 0, 0].tolist() for part in (weight, alpha)]
    assert len({*ids[0], *ids[1]}) == 2 * (count // 2)
    for part in (weight, alpha):
        assert (part.labels == part.images[:, 0, 0, 0] % 4).all()
    assert (abs(np.bincount(weight.labels) - np.bincount(alpha.labels)) <= 2).all()
    assert (split_halves(images, 0)[1].images == alpha.images).all()
    assert (split_halves(images, 1)[1].images != alpha.images).any()


def test_halves_share_no_picture():
    images = numbered(60)
    images = ImageSet(np.concatenate([images.images] * 2), np.concatenate([images.labels] * 2))  # Each picture twice.
    weight, alpha = split_halves(images, 0)
    assert 0 < len(weight) == len(alpha)
    assert not {image.tobytes() for image in weight.images} & {image.tobytes() for image in alpha.images}


def test_held_out_images_stay_held_out_when_others_come():
    images = numbered(200)
    parts = {}
    for count in (150, 200):
        rest, held_out = hold_out(images.take(np.arange(count)), 0.2, 3)
        assert sorted([*rest.names, *held_out.names]) == sorted(images.names[:count])
        assert 0.1 < len(held_out) / count < 0.3 and set(held_out.labels) == {0, 1, 2, 3}
        parts[count] = set(held_out.names)
    assert parts[150] == {name for name in parts[200] if int(name) < 150}
    assert set(hold_out(images, 0.2, 4)[1].names) != parts[200]
    assert len(hold_out(images, 0.0, 3)[1]) == 0


def test_a_copy_is_not_held_out():
    images = numbered(100)
    twice = ImageSet(np.concatenate([images.images] * 2), np.concatenate([images.labels] * 2))
    rest, held_out = hold_out(twice, 0.3, 0)
    assert len(held_out) > 0
    assert not {image.tobytes() for image in rest.images} & {image.tobytes() for image in held_out.images}


def test_draws_for_different_ends_are_independent():
    # Were they not, images kept from the test would never be held out.
    names = [str(number) for number in range(4000)]
    test, held_out = (uniform(names, 0, purpose) < 0.2 for purpose in ("test", "held out"))
    assert abs(np.mean(held_out[~test]) - 0.2) < 0.03


def test_labels_have_names_that_a_file_can_hold(tmp_path):
    for name in ("cat", "dog\nbird"):
        (tmp_path / name).mkdir()
    assert "'dog\\nbird'" in error(load_train, DataConfig(dataset=f"folder:{tmp_path}"), 0)
