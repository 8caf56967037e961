"""Random maps, crops, flips, colours, erasing and cutout of training images, each from a seed of its own."""

from collections.abc import Callable

import keras
import tensorflow as tf

from vinnas_tf.data.photographs import random_colours, random_windows, resized

ERASING_PROBABILITY = 0.5  # As in the paper of random erasing, arXiv 1708.04896.

# Bounds of a random affine map, small enough for a handwritten digit to stay what it is.
ROTATION = 0.15  # radians
SHEAR = 0.12  # columns a row
ZOOM = 0.08  # of each axis, on a logarithmic scale
TRANSLATION = 0.05  # of each side

# An elastic map moves the nodes of a grid over the image, and what lies between them smoothly along. Values of this
# project's, under 1 pixel of 28. (Keras's RandomElasticTransform distorts a batch by one strength, which sets the
# smoothness too, and interpolates once more after the affine map.)
NODES = 5  # a side
DISPLACEMENT = 0.025  # standard deviation of a node's way, of each side

# What tells the draws of an image's seed apart; those of the layers have the keys from 1 on.
_AFFINE, _ELASTIC, _CUTOUT = 0, -1, -2

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
        names: any of "resized_crop" (one of `random_windows` of the image and its margin), "jitter" (`random_colours`),
            "affine" (rotated, sheared, zoomed and moved at once, uniformly within the bounds above), "elastic" (bent
            smoothly, by displacements drawn for NODES x NODES places of the image; Simard et al. 2003, here on a grid),
            "crop" (a window of the image's own size, from the image with zero padding), "flip" (left-right, with
            probability 1/2), "erase" (a rectangle of 2 % to 33 % of the area, with ERASING_PROBABILITY) and "cutout"
            (of every image a square of half its shorter side, around a pixel drawn uniformly, so that a part may fall
            off the image; DeVries and Taylor 2017, whose square has 16 pixels for 32); they are applied in this order,
            "affine" and "elastic" as one map, interpolated once.
        image_shape: (height, width, channels).
        fill: value of erased pixels for each channel, in 0..255.

    Returns:
        A function of images, [b, h, w, c] in 0..255, and integer seeds, [b, 2], to float32 images of the same shape;
        without names, the images themselves. With "resized_crop" it takes larger images too.
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
        if "resized_crop" in names:
            images = resized(images, *random_windows(seeds, tuple(images.shape[1:3])), (height, width))
        if "jitter" in names:
            images = random_colours(seeds, images)
        if "affine" in names or "elastic" in names:
            images = _resample(images, _random_places(names, height, width, seeds))
        if layers:
            images = tf.map_fn(transform_one, (images, seeds), fn_output_signature=tf.float32)
        return _cut_out(images, seeds, fill) if "cutout" in names else images

    return augment


def _draws(seeds: tf.Tensor, key: int, sample: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
    """What `sample` makes of each seed folded with `key`, [b, ...], float32."""
    return tf.map_fn(lambda seed: sample(tf.random.fold_in(seed, key)), seeds, fn_output_signature=tf.float32)


def _random_places(names: tuple[str, ...], height: int, width: int, seeds: tf.Tensor) -> tf.Tensor:
    """Where the pixels of each result come from: its row and column, in pixels, float32 [b, h, w, 2]."""
    sides = tf.constant([height, width], tf.float32)
    middle = (sides - 1) / 2
    pixels = tf.stack(tf.meshgrid(tf.range(float(height)), tf.range(float(width)), indexing="ij"), axis=-1)
    places = pixels[tf.newaxis]
    if "affine" in names:
        uniform = _draws(seeds, _AFFINE, lambda seed: tf.random.stateless_uniform([6], seed, -1.0, 1.0))
        moves = middle + TRANSLATION * sides * tf.gather(uniform, [5, 4], axis=1)
        places = tf.einsum("bij,hwj->bhwi", _linear_maps(uniform), pixels - middle) + moves[:, tf.newaxis, tf.newaxis]
    if "elastic" in names:
        nodes = _draws(seeds, _ELASTIC, lambda seed: tf.random.stateless_normal([2, NODES, NODES], seed))
        ways = tf.image.resize(tf.transpose(nodes, [0, 2, 3, 1]), (height, width), tf.image.ResizeMethod.BICUBIC)
        places += DISPLACEMENT * sides * ways
    return places


def _linear_maps(uniform: tf.Tensor) -> tf.Tensor:
    """Shear, then rotation, then zoom, of (row, column), [b, 2, 2], from draws in -1..1, [b, 4 or more]."""
    draw = tf.unstack(uniform, axis=1)
    angle, shear = ROTATION * draw[0], SHEAR * draw[1]
    across, down = tf.exp(ZOOM * draw[2]), tf.exp(ZOOM * draw[3])
    cosine, sine = tf.cos(angle), tf.sin(angle)
    rows = [(sine * shear + cosine) * down, sine * down]
    columns = [(cosine * shear - sine) * across, cosine * across]
    return tf.stack([tf.stack(rows, axis=1), tf.stack(columns, axis=1)], axis=1)


def _resample(images: tf.Tensor, places: tf.Tensor) -> tf.Tensor:
    """Images with each pixel taken from its place, between pixels linearly, and zero outside.

    (`keras.ops.image.map_coordinates` takes no batch: image by image it takes several times as long.)

    Args:
        images: [b, h, w, c].
        places: rows and columns, in pixels, [b, h, w, 2].

    Returns:
        float32 [b, h, w, c].
    """
    height, width, channels = images.shape[1:]
    # A frame of zeros, wide enough for the four neighbours of any place on it.
    framed = tf.pad(tf.cast(images, tf.float32), [(0, 0), (1, 2), (1, 2), (0, 0)])
    below = width + 3
    pixels = tf.reshape(framed, [-1, (height + 3) * below, channels])
    places = tf.clip_by_value(places, -1.0, [float(height), float(width)]) + 1
    corner = tf.floor(places)
    down, across = tf.split(places - corner, 2, axis=-1)
    row, column = tf.unstack(tf.cast(corner, tf.int32), axis=-1)
    index = row * below + column

    def between_columns(first: tf.Tensor) -> tf.Tensor:
        left, right = (tf.gather(pixels, first + side, batch_dims=1) for side in (0, 1))
        return left * (1 - across) + right * across

    return between_columns(index) * (1 - down) + between_columns(index + below) * down


def _cut_out(images: tf.Tensor, seeds: tf.Tensor, fill: tuple[float, ...]) -> tf.Tensor:
    """Images, [b, h, w, c], of each of which a square has the values `fill`; float32."""
    height, width = images.shape[1:3]
    uniform = _draws(seeds, _CUTOUT, lambda seed: tf.random.stateless_uniform([2], seed))
    reach = min(height, width) // 4  # Half a side of the square.

    def inside(size: int, share: tf.Tensor) -> tf.Tensor:
        """Which pixels of a side the square covers, [b, size]."""
        away = tf.range(float(size)) - tf.floor(size * share)[:, tf.newaxis]
        return (-reach <= away) & (away < reach)

    square = inside(height, uniform[:, 0])[:, :, tf.newaxis] & inside(width, uniform[:, 1])[:, tf.newaxis]
    return tf.where(square[..., tf.newaxis], tf.constant(fill, tf.float32), tf.cast(images, tf.float32))
