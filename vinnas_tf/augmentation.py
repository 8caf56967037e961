"""Random affine maps, crops, flips and erasing of training images, each image from a seed of its own."""

from collections.abc import Callable

import keras
import tensorflow as tf

ERASING_PROBABILITY = 0.5  # As in the paper of random erasing, arXiv 1708.04896.

# Bounds of a random affine map, small enough for a handwritten digit to stay what it is.
ROTATION = 0.15  # radians
SHEAR = 0.12  # columns a row
ZOOM = 0.08  # of each axis, on a logarithmic scale
TRANSLATION = 0.05  # of each side

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
    """A function of images and seeds that crops, flips and erases each image from its own seed alone.

    Args:
        names: any of "affine" (rotated, sheared, zoomed and moved at once, uniformly within the bounds above), "crop"
            (a window of the image's own size, from the image with zero padding), "flip" (left-right, with probability
            1/2) and "erase" (a rectangle of 2 % to 33 % of the area, with ERASING_PROBABILITY); they are applied in
            this order.
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

    def augment_one(image_and_seed: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        image, seed = image_and_seed
        seeds = FixedSeeds(seed)
        batch = image[tf.newaxis]  # RandomCrop draws one window a batch.
        if "affine" in names:
            moved = _random_affine(image_shape, tf.random.fold_in(seed, 0))
            batch = keras.ops.image.affine_transform(tf.cast(batch, tf.float32), moved[tf.newaxis])
        if "crop" in names:
            batch = tf.pad(batch, [(0, 0), *((crop_padding(size),) * 2 for size in (height, width)), (0, 0)])
        for layer in layers:
            drawn = layer.get_random_transformation(batch, training=True, seed=seeds)
            batch = layer.transform_images(batch, drawn, training=True)
        return tf.reshape(batch, image_shape)

    def augment(images: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
        return tf.map_fn(augment_one, (images, seeds), fn_output_signature=tf.float32) if names else images

    return augment


def _random_affine(image_shape: tuple[int, int, int], seed: tf.Tensor) -> tf.Tensor:
    """The map from a pixel of the result to where it comes from, as Keras takes it: [a, b, c, d, e, f, 0, 0].

    (column, row) comes from (a column + b row + c, d column + e row + f).
    """
    height, width, _ = image_shape
    draw = tf.unstack(tf.random.stateless_uniform([6], seed, -1.0, 1.0))
    angle, shear = ROTATION * draw[0], SHEAR * draw[1]
    across, down = tf.exp(ZOOM * draw[2]), tf.exp(ZOOM * draw[3])
    cosine, sine = tf.cos(angle), tf.sin(angle)
    a, b = cosine * across, (cosine * shear - sine) * across
    d, e = sine * down, (sine * shear + cosine) * down
    middle_column, middle_row = (width - 1) / 2, (height - 1) / 2
    c = middle_column - a * middle_column - b * middle_row + TRANSLATION * width * draw[4]
    f = middle_row - d * middle_column - e * middle_row + TRANSLATION * height * draw[5]
    return tf.stack([a, b, c, d, e, f, tf.zeros([]), tf.zeros([])])
