"""Keras's layers driven by seeds of our own, against NumPy on the images that went in."""

import random

import keras
import numpy as np
import pytest
import scipy.ndimage
import tensorflow as tf

from vinnas_tf.augmentation import (
    ERASING_PROBABILITY,
    ROTATION,
    TRANSLATION,
    ZOOM,
    crop_padding,
    make_augmentation,
)

SHAPE = (16, 12, 3)
COUNT = 600
FILL = (10.0, 20.0, 30.0)


@pytest.fixture(scope="module")
def images():
    # 31..255, so that neither padding nor fill occurs in an image.
    return np.random.default_rng(0).integers(31, 256, (COUNT, *SHAPE), np.uint8)


def seeds(count, key=5):
    return tf.random.split(tf.constant([key, 0], tf.int64), count)


def augmented(images, *names, key=5, fill=FILL):
    augment = tf.function(make_augmentation(names, images.shape[1:], fill))
    return augment(tf.constant(images), seeds(len(images), key)).numpy()


@pytest.mark.parametrize(("size", "padding"), [(32, 4), (28, 4), (8, 1), (64, 8), (224, 28), (9, 1)])
def test_padding_is_four_pixels_for_32_and_in_proportion(size, padding):
    assert crop_padding(size) == padding


def test_a_crop_is_a_window_of_the_zero_padded_image(images):
    height, width, _ = SHAPE
    down, right = crop_padding(height), crop_padding(width)
    padded = np.pad(images, [(0, 0), (down, down), (right, right), (0, 0)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(1, 2)).transpose(0, 1, 2, 4, 5, 3)
    equal = (windows == augmented(images, "crop")[:, None, None]).all(axis=(3, 4, 5))
    assert equal.sum(axis=(1, 2)).tolist() == [1] * COUNT
    # Each image has a window of its own, and every window occurs: 25 or fewer positions, 600 images.
    positions = equal.sum(axis=0)
    assert positions.shape == (2 * down + 1, 2 * right + 1)
    assert (positions > 0).all()


def test_a_flip_mirrors_left_and_right_every_other_image(images):
    flipped = augmented(images, "flip")
    same = (flipped == images).all(axis=(1, 2, 3))
    mirrored = (flipped == images[:, :, ::-1]).all(axis=(1, 2, 3))
    assert (same ^ mirrored).all()
    assert abs(mirrored.sum() - COUNT / 2) < 5 * np.sqrt(COUNT) / 2


@pytest.fixture(scope="module")
def affine():
    """A random picture after 600 affine maps, and the (column, row) that each of its pixels was taken from."""
    height, width = 20, 28
    rows, columns = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    picture = np.random.default_rng(0).integers(1, 256, (height, width))
    # Between pixels the map interpolates linearly, so an image of its own coordinates tells where pixels came from. The
    # 1 shows where that was inside the image.
    image = np.stack([columns, rows, np.ones_like(rows), picture], axis=-1).astype(np.uint8)
    moved = augmented(np.repeat(image[None], COUNT, axis=0), "affine")
    return picture, moved, moved[..., 2] > 1 - 1e-5


def test_an_affine_map_is_affine_and_keeps_to_its_bounds(affine):
    _, moved, inside = affine
    height, width = inside.shape[1:]
    rows, columns = np.meshgrid(np.arange(height) - (height - 1) / 2, np.arange(width) - (width - 1) / 2, indexing="ij")
    maps = []
    for image, mask in zip(moved, inside, strict=True):
        places = np.stack([columns[mask], rows[mask], np.ones(mask.sum())], axis=1)
        solution, *_ = np.linalg.lstsq(places, image[mask][:, :2], rcond=None)
        np.testing.assert_allclose(places @ solution, image[mask][:, :2], atol=2e-3)
        maps.append(solution.T)
    matrices, centres = np.array(maps)[:, :, :2], np.array(maps)[:, :, 2]
    moves = (centres - [(width - 1) / 2, (height - 1) / 2]) / [width, height]
    # The first column of a map holds no shear: zoom times cosine and sine of the angle, whatever the other axis does.
    tangent = matrices[:, 1, 0] / matrices[:, 0, 0]  # tan(angle) exp(zoom down - zoom across)
    determinant = np.linalg.det(matrices)  # exp(zoom across + zoom down)
    for drawn, bound in [
        (tangent, np.tan(ROTATION) * np.exp(2 * ZOOM)),
        (np.log(determinant), 2 * ZOOM),
        (moves[:, 0], TRANSLATION),
        (moves[:, 1], TRANSLATION),
    ]:
        assert abs(drawn).max() < bound + 1e-3
        assert abs(drawn).max() > 0.8 * bound  # of 600 draws
        assert abs(drawn.mean()) < 5 * drawn.std() / np.sqrt(COUNT)


def test_an_affine_map_interpolates_linearly_and_fills_with_zeros(affine):
    picture, moved, inside = affine
    for image, mask in zip(moved[:20], inside[:20], strict=True):
        expected = scipy.ndimage.map_coordinates(
            picture.astype(float), [image[mask][:, 1], image[mask][:, 0]], order=1, mode="nearest"
        )
        np.testing.assert_allclose(image[mask][:, 3], expected, atol=0.5)  # the coordinates are float32 themselves
    assert (moved[moved[..., 2] == 0] == 0).all()
    assert (moved[..., 2] == 0).any()


def test_erasing_fills_one_rectangle(images):
    height, width, _ = SHAPE
    erased = augmented(images, "erase")
    is_fill = (erased == np.array(FILL)).all(axis=-1)
    assert (erased[~is_fill] == images[~is_fill]).all()
    touched = is_fill.any(axis=(1, 2))
    assert abs(touched.sum() - ERASING_PROBABILITY * COUNT) < 5 * np.sqrt(COUNT) / 2
    for mask in is_fill[touched]:
        rows, columns = mask.any(axis=1), mask.any(axis=0)
        assert (mask == np.outer(rows, columns)).all()
        for side, length in ((rows, height), (columns, width)):
            indices = np.flatnonzero(side)
            assert indices[-1] - indices[0] + 1 == len(indices)
            assert len(indices) <= np.ceil(np.sqrt(0.33) * length)


def test_grey_images_are_erased_with_their_one_value(images):
    erased = augmented(images[..., :1], "erase", fill=(10.0,))
    assert erased.shape == (COUNT, *SHAPE[:2], 1)
    assert set(np.unique(erased[erased != images[..., :1]])) == {10.0}


def test_all_together_are_crop_then_flip_then_erase(images):
    # The rectangle is whole and its sides keep to the image, so erasing came last; the rest of each image lies in the
    # padded image or its mirror image.
    both = augmented(images[:200], "erase", "flip", "crop")
    is_fill = (both == np.array(FILL)).all(axis=-1)
    height, width, _ = SHAPE
    down, right = crop_padding(height), crop_padding(width)
    padded = np.pad(images[:200], [(0, 0), (down, down), (right, right), (0, 0)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(1, 2)).transpose(0, 1, 2, 4, 5, 3)
    candidates = np.concatenate([windows, windows[..., ::-1, :]], axis=1)
    fits = ((candidates == both[:, None, None]).all(axis=-1) | is_fill[:, None, None]).all(axis=(3, 4))
    assert fits.any(axis=(1, 2)).all()


def test_an_image_depends_on_its_own_seed_alone(images):
    augment = tf.function(make_augmentation(("affine", "crop", "flip", "erase"), SHAPE, FILL))
    keys = seeds(64)
    together = augment(tf.constant(images[:64]), keys).numpy()
    backwards = augment(tf.constant(images[:64][::-1]), keys[::-1]).numpy()[::-1]
    alone = augment(tf.constant(images[40:41]), keys[40:41]).numpy()[0]
    assert together.tobytes() == np.ascontiguousarray(backwards).tobytes()
    assert together[40].tobytes() == alone.tobytes()


def test_other_seeds_give_other_images(images):
    first, other = (augmented(images[:64], "crop", "flip", "erase", key=key) for key in (5, 6))
    assert (first != other).any(axis=(1, 2, 3)).mean() > 0.9


def test_stays_float32_under_mixed_precision(images):
    # In bfloat16, 8 bits of mantissa would round most grey levels.
    plain = augmented(images[:8], "affine", "crop", "flip", "erase")
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        mixed = augmented(images[:8], "affine", "crop", "flip", "erase")
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert mixed.dtype == np.float32
    assert (mixed == plain).all()


def test_leaves_the_global_random_generators_alone(images):
    random_state, numpy_state = random.getstate(), np.random.get_state()[1].tolist()
    augmented(images[:4], "affine", "crop", "flip", "erase")
    assert random.getstate() == random_state
    assert np.random.get_state()[1].tolist() == numpy_state


def test_no_names_leave_images_as_they_are(images):
    assert (augmented(images) == images).all()
