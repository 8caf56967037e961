"""Random windows and colours, with NumPy, Pillow and colorsys as the references."""

import colorsys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageEnhance

from vinnas_tf.data.augmentation import make_augmentation
from vinnas_tf.data.photographs import (
    COLOUR_RANGE,
    HUE_RANGE,
    LARGEST_ASPECT,
    LEAST_AREA,
    random_colours,
    random_windows,
    resized,
    with_colours,
)

COUNT = 3000


def seeds(count=COUNT, key=5):
    return tf.random.split(tf.constant([key, 0], tf.int64), count)


def pictures(count, height=12, width=15):
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 3), np.uint8)


@pytest.mark.parametrize("sides", [(256, 256), (60, 90)])
def test_windows_keep_to_their_bounds_and_lie_in_the_frame(sides):
    begin, window = (values.numpy().astype(np.float64) for values in random_windows(seeds(), sides))
    assert (begin >= 0).all() and (begin + window <= np.array(sides) + 1e-3).all()
    share, aspect = window.prod(axis=1) / np.prod(sides), window[:, 1] / window[:, 0]
    assert share.min() > LEAST_AREA - 1e-6 and share.max() <= 1 + 1e-6
    assert aspect.min() > 1 / LARGEST_ASPECT - 1e-6 and aspect.max() < LARGEST_ASPECT + 1e-6
    # What does not fit is drawn again, so large windows are rarer; of small ones all fit.
    small = share < 0.5
    assert abs(np.mean(share[small]) - (LEAST_AREA + 0.5) / 2) < 5 * 0.42 / np.sqrt(12 * small.sum())
    assert abs(np.log(aspect[small]).mean()) < 5 * np.log(LARGEST_ASPECT) / np.sqrt(3 * small.sum())
    room = np.array(sides) - window
    assert abs((begin / np.maximum(room, 1e-6))[small].mean(axis=0) - 0.5).max() < 5 / np.sqrt(12 * small.sum())


def test_a_frame_that_no_draw_fits_gives_its_middle():
    begin, window = random_windows(seeds(20), (10, 4000))
    np.testing.assert_allclose(window, np.tile([10, 10 * LARGEST_ASPECT], (20, 1)), rtol=1e-6)
    np.testing.assert_allclose(begin, (np.array([10, 4000]) - window) / 2, rtol=1e-6)


def bilinear(image, begin, window, size):
    """Window of an image [h, w, c], by its definition: middles of pixels, linear between them, borders repeated."""
    places = [
        np.clip(begin[axis] + (np.arange(size[axis]) + 0.5) * window[axis] / size[axis] - 0.5, 0, image.shape[axis] - 1)
        for axis in (0, 1)
    ]
    for axis, where in enumerate(places):
        low = np.minimum(where.astype(int), image.shape[axis] - 2)
        part = (where - low).reshape([-1 if one == axis else 1 for one in range(3)])
        image = np.take(image, low, axis) * (1 - part) + np.take(image, low + 1, axis) * part
    return image


def test_a_window_is_brought_to_size_linearly():
    images = pictures(4)
    begin = np.array([[0, 0], [2.3, 4.1], [0.2, 0], [11, 14]], np.float32)
    window = np.array([[12, 15], [5.5, 3], [11.8, 15], [1, 1]], np.float32)
    found = resized(images, begin, window, (8, 10)).numpy()
    expected = [bilinear(*one, (8, 10)) for one in zip(images.astype(np.float64), begin, window, strict=True)]
    np.testing.assert_allclose(found, expected, atol=1e-2)
    assert resized(images, begin * 0, window * 0 + [12, 15], (12, 15)).numpy() == pytest.approx(images, abs=1e-3)


@pytest.mark.parametrize(
    ("which", "enhance"), [(0, ImageEnhance.Brightness), (1, ImageEnhance.Contrast), (2, ImageEnhance.Color)]
)
def test_brightness_contrast_and_saturation_are_pillows(which, enhance):
    (image,) = pictures(1)
    for factor in (0.6, 1.0, 1.4):
        factors = np.ones((1, 3), np.float32)
        factors[0, which] = factor
        found = with_colours(image[None], tf.constant(factors), tf.zeros([1])).numpy()[0]
        expected = np.asarray(enhance(Image.fromarray(image)).enhance(factor), np.float32)
        assert abs(found - expected).max() <= 1.5  # Pillow rounds the luma and the result.


def test_the_hue_is_turned_as_colorsys_has_it():
    (image,) = pictures(1)
    for turn in (-0.2, 0.15):
        found = with_colours(image[None], tf.ones([1, 3]), tf.constant([turn], tf.float32)).numpy()[0]
        for pixel, other in zip(image.reshape(-1, 3) / 255, found.reshape(-1, 3) / 255, strict=True):
            hue, saturation, value = colorsys.rgb_to_hsv(*pixel)
            assert other == pytest.approx(colorsys.hsv_to_rgb((hue + turn) % 1, saturation, value), abs=1e-4)


def test_factors_and_turns_are_drawn_uniformly_within_their_ranges():
    grey = np.full((COUNT, 2, 2, 3), 100, np.uint8)
    brightness = random_colours(seeds(), grey).numpy()[:, 0, 0, 0] / 100
    assert brightness.min() > 1 - COLOUR_RANGE - 1e-5 and brightness.max() < 1 + COLOUR_RANGE + 1e-5
    assert abs(brightness.mean() - 1) < 5 * 2 * COLOUR_RANGE / np.sqrt(12 * COUNT)
    red = np.tile(np.array([120, 60, 60], np.uint8), (COUNT, 2, 2, 1))
    hues = [colorsys.rgb_to_hsv(*pixel)[0] for pixel in random_colours(seeds(), red).numpy()[:, 0, 0] / 255]
    turns = (np.array(hues) + 0.5) % 1 - 0.5
    assert 0.98 * HUE_RANGE < abs(turns).max() < HUE_RANGE + 1e-4
    assert abs(turns.mean()) < 5 * 2 * HUE_RANGE / np.sqrt(12 * COUNT)
    assert abs(np.corrcoef(turns, brightness)[0, 1]) < 5 / np.sqrt(COUNT)


def test_grey_images_have_neither_saturation_nor_hue():
    image = pictures(1)[..., :1]
    found = with_colours(image, tf.constant([[1.0, 1.0, 0.6]]), tf.constant([0.2])).numpy()
    np.testing.assert_allclose(found, image, atol=1e-4)


def test_the_larger_frame_gives_images_of_the_networks_size_each_from_its_own_seed():
    images = np.random.default_rng(0).integers(0, 256, (32, 18, 18, 3), np.uint8)
    augment = tf.function(make_augmentation(("resized_crop", "jitter", "flip"), (16, 16, 3), (0.0,) * 3))
    together = augment(tf.constant(images), seeds(32)).numpy()
    assert together.shape == (32, 16, 16, 3) and together.dtype == np.float32
    backwards = augment(tf.constant(images[::-1]), seeds(32)[::-1]).numpy()[::-1]
    assert together.tobytes() == np.ascontiguousarray(backwards).tobytes()
    other = augment(tf.constant(images), seeds(32, key=6)).numpy()
    assert (together != other).any(axis=(1, 2, 3)).all()
