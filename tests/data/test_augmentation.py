"""Keras's layers driven by seeds of our own, against NumPy on the images that went in."""

import random

import keras
import numpy as np
import pytest
import scipy.ndimage
import scipy.stats
import tensorflow as tf

from vinnas_tf.config import AUGMENTATIONS
from vinnas_tf.data.augmentation import (
    DISPLACEMENT,
    ERASING_PROBABILITY,
    NODES,
    ROTATION,
    SHEAR,
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


def moved_picture(*names):
    """A random picture after 600 maps, (column, row, inside, value), and where its pixels were taken from inside it."""
    height, width = 25, 35
    rows, columns = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    picture = np.random.default_rng(0).integers(1, 256, (height, width))
    # Between pixels the map interpolates linearly, so an image of its own coordinates tells where pixels came from. The
    # 1 shows where that was inside the image.
    image = np.stack([columns, rows, np.ones_like(rows), picture], axis=-1).astype(np.uint8)
    moved = augmented(np.repeat(image[None], COUNT, axis=0), *names)
    return picture, moved, moved[..., 2] > 1 - 1e-5


@pytest.fixture(scope="module")
def affine():
    return moved_picture("affine")


@pytest.fixture(scope="module")
def elastic():
    return moved_picture("elastic")


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
    # A matrix is diag(across, down) @ rotation @ [[1, shear], [0, 1]]; down / across solves a quadratic equation.
    p, q = matrices[:, 0, 0], matrices[:, 1, 0]
    determinant = np.linalg.det(matrices)
    ratio = (determinant + np.sqrt(determinant**2 - (2 * p * q) ** 2)) / (2 * p**2)
    angle = np.arctan2(q / ratio, p)
    across = p / np.cos(angle)
    for drawn, bound in [
        (angle, ROTATION),
        ((matrices[:, 0, 1] + q / ratio) / p, SHEAR),
        (np.log(across), ZOOM),
        (np.log(across * ratio), ZOOM),
        (moves[:, 0], TRANSLATION),
        (moves[:, 1], TRANSLATION),
    ]:
        assert abs(drawn).max() < bound + 1e-3
        assert abs(drawn).max() > 0.95 * bound  # of 600 uniform draws
        assert abs(drawn.mean()) < 5 * drawn.std() / np.sqrt(COUNT)


def nodes_of(size):
    """Pixels on the nodes of an elastic map, which are centres of NODES equal parts of the side."""
    assert size % NODES == 0
    assert (size // NODES) % 2 == 1
    return np.arange(NODES) * size // NODES + size // NODES // 2


def displacements(moved):
    """What an elastic map added to the (row, column) of each pixel, [images, h, w, 2]."""
    height, width = moved.shape[1:3]
    rows, columns = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    return moved[..., [1, 0]] - np.stack([rows, columns], axis=-1)


def test_an_elastic_map_moves_its_nodes_by_independent_normal_draws(elastic):
    _, moved, inside = elastic
    height, width = inside.shape[1:]
    # Nodes near the border can leave the image, where nothing tells how far they went.
    inner = np.ix_(range(COUNT), nodes_of(height)[1:-1], nodes_of(width)[1:-1])
    assert inside[inner].all()
    drawn = displacements(moved)[inner] / [height, width]
    assert scipy.stats.kstest(drawn.ravel(), scipy.stats.norm(0, DISPLACEMENT).cdf).pvalue > 1e-3
    # Neither nodes nor axes move alike.
    correlation = np.corrcoef(drawn.reshape(COUNT, -1), rowvar=False)
    assert abs(correlation - np.eye(len(correlation))).max() < 5 / np.sqrt(COUNT)


def test_between_its_nodes_an_elastic_map_is_the_cubic_interpolation(elastic):
    _, moved, inside = elastic
    height, width = inside.shape[1:]
    nodes = np.ix_(range(COUNT), nodes_of(height), nodes_of(width))
    known = inside[nodes].all(axis=(1, 2))
    assert known.sum() > 0.9 * COUNT

    def weights(size):
        """Keys's cubic convolution (1981, equation 15) between nodes; those outside the image have no weight."""
        t = abs(np.arange(size)[:, None] - nodes_of(size)) * NODES / size
        near = 1.5 * t**3 - 2.5 * t**2 + 1
        far = -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2
        kernel = np.where(t < 1, near, np.where(t < 2, far, 0))
        return kernel / kernel.sum(axis=1, keepdims=True)

    field = displacements(moved)
    expected = np.einsum("hm,imnk,wn->ihwk", weights(height), field[nodes], weights(width))
    errors = abs(field - expected).max(axis=-1)[known]
    assert errors[inside[known]].max() < 5e-3  # of a pixel; TensorFlow's kernel is a table
    assert abs(expected).max() > 1


def test_an_elastic_and_an_affine_map_are_one_map(affine, elastic):
    # The affine map goes where it went alone, and the elastic map adds to it what it added alone.
    both = moved_picture("affine", "elastic")
    known = affine[2] & elastic[2] & both[2]
    assert known.mean() > 0.8
    sums = affine[1][..., [1, 0]] + displacements(elastic[1])
    np.testing.assert_allclose(both[1][..., [1, 0]][known], sums[known], atol=1e-3)
    # Neither tells anything of the other: the middle of an image, and the nodes that never leave it.
    height, width = known.shape[1:]
    moves = affine[1][:, height // 2, width // 2, :2]
    inner = np.ix_(range(COUNT), nodes_of(height)[1:-1], nodes_of(width)[1:-1])
    ways = displacements(elastic[1])[inner].reshape(COUNT, -1)
    assert abs(np.corrcoef(moves, ways, rowvar=False)[:2, 2:]).max() < 5 / np.sqrt(COUNT)


@pytest.mark.parametrize("kind", ["affine", "elastic"])
def test_a_map_interpolates_linearly_and_fills_with_zeros(kind, request):
    picture, moved, inside = request.getfixturevalue(kind)
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


def covered(size, length):
    """P(a pixel of a side is covered), [size], where each pixel is the centre of `length` ones equally often."""
    starts = np.arange(size) - length // 2
    pixels = np.arange(size)[:, None]
    return ((starts <= pixels) & (pixels < starts + length)).mean(axis=1)


def test_cutout_fills_one_square_of_every_image_around_a_uniform_centre(images):
    height, width, _ = SHAPE
    side = width // 2  # Of 16 x 12 pixels: half the shorter side.
    cut = augmented(images, "cutout")
    is_fill = (cut == np.array(FILL)).all(axis=-1)
    assert (cut[~is_fill] == images[~is_fill]).all()
    centres = []
    for mask in is_fill:
        rows, columns = mask.any(axis=1), mask.any(axis=0)
        assert (mask == np.outer(rows, columns)).all()
        ends = []
        for line, length in ((rows, height), (columns, width)):
            indices = np.flatnonzero(line)
            first, last = indices[0], indices[-1]
            assert last - first + 1 == len(indices)
            # Whole, or cut off at a border, where what is left tells where the centre was.
            assert len(indices) == side or (len(indices) < side and (first == 0 or last == length - 1))
            ends.append(last + 1 - side // 2 if first == 0 else first + side // 2)
        centres.append(ends)
    counts = np.zeros((height, width))
    np.add.at(counts, tuple(np.transpose(centres)), 1)
    assert scipy.stats.chisquare(counts.ravel()).pvalue > 1e-3
    # Each pixel is erased as often as the centres that reach it say, less at the border than in the middle.
    expected = np.outer(covered(height, side), covered(width, side))
    error = 5 * np.sqrt(expected * (1 - expected) / COUNT)
    assert (abs(is_fill.mean(axis=0) - expected) < error).all()
    assert expected.min() < expected.max() / 3


def test_cutout_of_32_pixels_is_of_16_and_erases_the_published_share():
    # Of 16 rows around a uniform centre 8, 7, ... 1 fall off above and 1, 2, ... 7 below: on average 14 are left.
    rows = 16 - (36 + 28) / 32
    white = np.full((2000, 32, 32, 1), 255, np.uint8)
    erased = (augmented(white, "cutout", fill=(0.0,)) == 0)[..., 0]
    assert erased.sum(axis=(1, 2)).max() == 16 * 16
    assert erased.sum(axis=(1, 2)).min() == 8 * 8
    share = erased.mean(axis=(1, 2))
    assert abs(share.mean() - (rows / 32) ** 2) < 5 * share.std() / np.sqrt(len(share))


def test_cutout_comes_last_and_leaves_the_other_draws_as_they_are(images):
    before = augmented(images, "crop", "flip", "erase")
    after = augmented(images, "cutout", "crop", "flip", "erase")
    square = (augmented(images, "cutout") == np.array(FILL)).all(axis=-1)
    assert (after[~square] == before[~square]).all()
    assert (after[square] == np.array(FILL)).all()


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
    augment = tf.function(make_augmentation(AUGMENTATIONS, SHAPE, FILL))
    keys = seeds(64)
    together = augment(tf.constant(images[:64]), keys).numpy()
    backwards = augment(tf.constant(images[:64][::-1]), keys[::-1]).numpy()[::-1]
    alone = augment(tf.constant(images[40:41]), keys[40:41]).numpy()[0]
    assert together.tobytes() == np.ascontiguousarray(backwards).tobytes()
    np.testing.assert_allclose(together[40], alone, atol=1e-3)  # Of 255 levels; a batch of another size may round anew.


@pytest.mark.parametrize(
    ("names", "share"),
    [(("affine",), 0.99), (("elastic",), 0.99), (("crop", "flip", "erase"), 0.9), (("cutout",), 0.95)],
)
def test_other_seeds_give_other_images(images, names, share):
    first, other = (augmented(images[:64], *names, key=key) for key in (5, 6))
    assert (first != other).any(axis=(1, 2, 3)).mean() > share


def test_stays_float32_under_mixed_precision(images):
    # In bfloat16, 8 bits of mantissa would round most grey levels.
    plain = augmented(images[:8], *AUGMENTATIONS)
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        mixed = augmented(images[:8], *AUGMENTATIONS)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert mixed.dtype == np.float32
    assert (mixed == plain).all()


def test_leaves_the_global_random_generators_alone(images):
    random_state, numpy_state = random.getstate(), np.random.get_state(legacy=False)["state"]["key"].tolist()
    augmented(images[:4], *AUGMENTATIONS)
    assert random.getstate() == random_state
    assert np.random.get_state(legacy=False)["state"]["key"].tolist() == numpy_state


def test_no_names_leave_images_as_they_are(images):
    assert (augmented(images) == images).all()
