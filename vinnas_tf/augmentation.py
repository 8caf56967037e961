"""Random elastic and affine maps, crops, flips and erasing of training images, each image from a seed of its own."""

from collections.abc import Callable

import keras
import tensorflow as tf

ERASING_PROBABILITY = 0.5  # As in the paper of random erasing, arXiv 1708.04896.

# Bounds of a random affine map, small enough for a handwritten digit to stay what it is.
ROTATION = 0.15  # radians
SHEAR = 0.12  # columns a row
ZOOM = 0.08  # of each axis, on a logarithmic scale
TRANSLATION = 0.05  # of each side

# An elastic map moves the nodes of a grid over the image, and what lies between them smoothly along.
NODES = 5  # a side
DISPLACEMENT = 0.025  # standard deviation of a node's way, of each side

Augmentation = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


class FixedSeeds(keras.random.SeedGenerator):
    """Seeds folded from one given seed: the k-th draw depends on nothing but that seed and k.

    The generator that a Keras layer owns is a variable which every call moves on, so in a parallel `tf.data` pipeline
    an image's draws depend on which images came before it, and a resumed pipeline starts over.

    Args:
        seed: integer [2].
    """

    def __init__(self, seed: tf.Tensor) -> None:  # The parent's would make the variable.
        self._seed = seed
        self._draws = 0

    def next(self, ordered: bool = True) -> tf.Tensor:
        """The next seed, [2]."""
        self._draws += 1
        return tf.random.fold_in(self._seed, self._draws)


def crop_padding(size: int) -> int:
    """Zero pixels added on each side of `size` before a random crop: the customary 4 for 32, in proportion."""
    return max(1, (size + 4) // 8)


def make_augmentation(
    names: tuple[str, ...], image_shape: tuple[int, int, int], fill: tuple[float, ...]
) -> Augmentation:
    """A function of images and seeds that moves, crops, flips and erases each image from its own seed alone.

    Args:
        names: any of "affine" (rotated, sheared, zoomed and moved at once, uniformly within the bounds above),
            "elastic" (bent smoothly, by displacements drawn for NODES x NODES places of the image; Simard et al. 2003,
            here on a grid), "crop" (a window of the image's own size, from the image with zero padding), "flip"
            (left-right, with probability 1/2) and "erase" (a rectangle of 2 % to 33 % of the area, with
            ERASING_PROBABILITY); they are applied in this order, the first two as one map, interpolated once.
        image_shape: (height, width, channels).
        fill: value of erased pixels for each channel, in 0..255.

    Returns:
        A function of images, [b, h, w, c] in 0..255, and integer seeds, [b, 2], to float32 images of the same shape.
    """
    height, width, channels = image_shape
    # Seeds of the layers' own, unused generators keep Keras from drawing them from Python's global generator. The
    # dtype is float32 also under a mixed-precision policy.
    shared = {"seed": 0, "dtype": "float32", "data_format": "channels_last"}
    layers = []
    if "crop" in names:
        layers.append(keras.layers.RandomCrop(height, width, **shared))
    if "flip" in names:
        layers.append(keras.layers.RandomFlip("horizontal", **shared))
    if "erase" in names:
        value = fill[0] if channels == 1 else fill
        layers.append(keras.layers.RandomErasing((ERASING_PROBABILITY,) * 2, fill_value=value, **shared))

    def place_one(seed: tf.Tensor) -> tf.Tensor:
        return _random_places(names, height, width, seed)

    def transform_one(image_and_seed: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        image, seed = image_and_seed
        seeds = FixedSeeds(seed)
        batch = image[tf.newaxis]  # RandomCrop draws one window a batch.
        if "crop" in names:
            batch = tf.pad(batch, [(0, 0), *((crop_padding(size),) * 2 for size in (height, width)), (0, 0)])
        for layer in layers:
            drawn = layer.get_random_transformation(batch, training=True, seed=seeds)
            batch = layer.transform_images(batch, drawn, training=True)
        return tf.reshape(batch, image_shape)

    def augment(images: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
        if "affine" in names or "elastic" in names:
            places = tf.map_fn(place_one, seeds, fn_output_signature=tf.float32)
            images = _resample(images, places)
        return tf.map_fn(transform_one, (images, seeds), fn_output_signature=tf.float32) if layers else images

    return augment


def _random_places(names: tuple[str, ...], height: int, width: int, seed: tf.Tensor) -> tf.Tensor:
    """Where the pixels of a result come from: rows and columns, [2, h, w]."""
    rows, columns = tf.meshgrid(tf.range(float(height)), tf.range(float(width)), indexing="ij")
    places = tf.stack([rows, columns])
    if "affine" in names:
        moved = _random_affine(height, width, tf.random.fold_in(seed, 0))
        places = tf.tensordot(moved, tf.stack([rows, columns, tf.ones_like(rows)]), axes=1)
    if "elastic" in names:
        nodes = tf.random.stateless_normal([2, NODES, NODES], tf.random.fold_in(seed, -1))
        sizes = tf.constant([height, width], tf.float32)[:, tf.newaxis, tf.newaxis]
        places += DISPLACEMENT * sizes * (_between_nodes(height) @ nodes @ tf.transpose(_between_nodes(width)))
    return places


def _random_affine(height: int, width: int, seed: tf.Tensor) -> tf.Tensor:
    """The map from (row, column, 1) of a pixel of the result to the row and the column that it comes from, [2, 3]."""
    draw = tf.unstack(tf.random.stateless_uniform([6], seed, -1.0, 1.0))
    angle, shear = ROTATION * draw[0], SHEAR * draw[1]
    across, down = tf.exp(ZOOM * draw[2]), tf.exp(ZOOM * draw[3])
    cosine, sine = tf.cos(angle), tf.sin(angle)
    columns = (cosine * shear - sine) * across, cosine * across
    rows = (sine * shear + cosine) * down, sine * down
    middle_column, middle_row = (width - 1) / 2, (height - 1) / 2
    column = middle_column - columns[1] * middle_column - columns[0] * middle_row + TRANSLATION * width * draw[4]
    row = middle_row - rows[1] * middle_column - rows[0] * middle_row + TRANSLATION * height * draw[5]
    return tf.stack([tf.stack([*rows, row]), tf.stack([*columns, column])])


def _between_nodes(size: int) -> tf.Tensor:
    """The weights of the nodes at each of `size` pixels, by cubic interpolation, [size, NODES]."""
    return tf.image.resize(tf.eye(NODES)[..., tf.newaxis], (size, NODES), tf.image.ResizeMethod.BICUBIC)[..., 0]


def _resample(images: tf.Tensor, places: tf.Tensor) -> tf.Tensor:
    """Images with each pixel taken from its place, between pixels linearly, and zero outside.

    (`keras.ops.image.map_coordinates` takes no batch: image by image it takes several times as long.)

    Args:
        images: [b, h, w, c].
        places: rows and columns, [b, 2, h, w].

    Returns:
        float32 [b, h, w, c].
    """
    height, width = images.shape[1:3]
    # A frame of zeros, wide enough for the four neighbours of any place on it.
    framed = tf.pad(tf.cast(images, tf.float32), [(0, 0), (1, 2), (1, 2), (0, 0)])
    limits = tf.constant([height, width], tf.float32)[:, tf.newaxis, tf.newaxis]
    places = tf.clip_by_value(places, -1.0, limits) + 1
    corner = tf.floor(places)
    (down, across) = tf.unstack((places - corner)[..., tf.newaxis], axis=1)
    row, column = tf.unstack(tf.cast(corner, tf.int32), axis=1)

    def pixels(rows_on: int, columns_on: int) -> tf.Tensor:
        return tf.gather_nd(framed, tf.stack([row + rows_on, column + columns_on], axis=-1), batch_dims=1)

    above = pixels(0, 0) * (1 - across) + pixels(0, 1) * across
    below = pixels(1, 0) * (1 - across) + pixels(1, 1) * across
    return above * (1 - down) + below * down
