"""The random windows and colours that photographs are trained with, each image's from a seed of its own.

As the Inception networks were trained (Szegedy et al. 2015, section 6), with the bounds that are customary since.
"""

import math

import tensorflow as tf

LEAST_AREA = 0.08  # Of a window, of the frame's; the largest is all of it.
LARGEST_ASPECT = 4 / 3  # Of width to height, or of height to width.
COLOUR_RANGE = 0.4  # Brightness, contrast and saturation are multiplied by 1 - this to 1 + this, as DARTS does it.
HUE_RANGE = 0.2  # Of the whole circle, to either side, as DARTS does it.
_TRIES = 10
# Folded into an image's seed; `augmentation` folds in 1 and on for its layers, 0 for affine and -1 for elastic maps.
_WINDOW_KEY, _COLOUR_KEY = -11, -12
_LUMA = (0.299, 0.587, 0.114)  # ITU-R 601, as Pillow has it.


def random_windows(seeds: tf.Tensor, sides: tuple[int, int]) -> tuple[tf.Tensor, tf.Tensor]:
    """Random windows of frames with these sides: where they begin, and their sides, in pixels, float32 [b, 2] each.

    Area and logarithm of the aspect are uniform; of ten draws the first that fits into the frame is taken, and where
    none does the largest window in the frame's middle that keeps to LARGEST_ASPECT.

    Args:
        seeds: integer [b, 2].
        sides: height and width of a frame.
    """
    share, turn, down, right = tf.unstack(_uniform(seeds, _WINDOW_KEY, [_TRIES, 4]), axis=-1)
    frame = tf.constant(sides, tf.float32)
    area = (LEAST_AREA + (1 - LEAST_AREA) * share) * (sides[0] * sides[1])
    aspect = tf.exp(math.log(LARGEST_ASPECT) * (2 * turn - 1))
    drawn = tf.stack([tf.sqrt(area / aspect), tf.sqrt(area * aspect)], axis=-1)  # [b, tries, 2]
    fits = tf.reduce_all(drawn <= frame, axis=-1)
    first = tf.argmax(fits, axis=1)
    found = tf.reduce_any(fits, axis=1)[:, tf.newaxis]
    window = tf.where(
        found, tf.gather(drawn, first, batch_dims=1), tf.minimum(frame, LARGEST_ASPECT * tf.reverse(frame, [0]))
    )
    place = tf.where(found, tf.gather(tf.stack([down, right], axis=-1), first, batch_dims=1), 0.5)
    return place * (frame - window), window


def resized(images: tf.Tensor, begin: tf.Tensor, window: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Windows of images, each brought to `size`; between pixels linearly, without a filter where that shrinks.

    Args:
        images: [b, h, w, c].
        begin: row and column where the window of each begins, in pixels, [b, 2].
        window: its height and width, [b, 2].
        size: height and width of the results.

    Returns:
        float32 [b, *size, c].
    """
    # The border is repeated once, for the middle of a result's first pixel may lie before that of a frame's.
    framed = tf.pad(images, [(0, 0), (1, 1), (1, 1), (0, 0)], "SYMMETRIC")
    step = window / tf.constant(size, tf.float32)
    first = begin + step / 2 + 0.5
    last = first + window - step
    scale = tf.constant([side - 1 for side in framed.shape[1:3]], tf.float32)
    boxes = tf.concat([first / scale, last / scale], axis=1)
    return tf.image.crop_and_resize(framed, boxes, tf.range(tf.shape(images)[0]), size)


def random_colours(seeds: tf.Tensor, images: tf.Tensor) -> tf.Tensor:
    """Images [b, h, w, c] in 0..255 with brightness, contrast, saturation and hue changed at random, float32.

    Args:
        seeds: integer [b, 2].
        images: c is 3 (RGB), or 1 (grey), which has neither saturation nor hue.
    """
    draws = 2 * _uniform(seeds, _COLOUR_KEY, [4]) - 1
    return with_colours(images, 1 + COLOUR_RANGE * draws[:, :3], HUE_RANGE * draws[:, 3])


def with_colours(images: tf.Tensor, factors: tf.Tensor, turns: tf.Tensor) -> tf.Tensor:
    """Images [b, h, w, 1 or 3] in 0..255 with other colours, one change after another, float32.

    Args:
        images: what is changed.
        factors: of brightness, of contrast (the distance to the image's mean luma) and of saturation (the distance to
            a pixel's luma), [b, 3]; what leaves 0..255 is cut off.
        turns: what is added to the hue, of the whole circle, [b].
    """
    images = tf.cast(images, tf.float32)
    brightness, contrast, saturation = (factors[:, kind, tf.newaxis, tf.newaxis, tf.newaxis] for kind in range(3))
    images = tf.clip_by_value(images * brightness, 0.0, 255.0)
    mean = tf.reduce_mean(_luma(images), axis=(1, 2), keepdims=True)
    images = tf.clip_by_value(mean + contrast * (images - mean), 0.0, 255.0)
    if images.shape[-1] == 1:
        return images
    luma = _luma(images)
    images = tf.clip_by_value(luma + saturation * (images - luma), 0.0, 255.0)
    return tf.map_fn(lambda pair: tf.image.adjust_hue(*pair), (images, turns), fn_output_signature=tf.float32)


def _uniform(seeds: tf.Tensor, key: int, shape: list[int]) -> tf.Tensor:
    """Draws in 0..1 for each of [b, 2] seeds, float32 [b, *shape]; those of other keys do not depend on them."""

    def draw(seed: tf.Tensor) -> tf.Tensor:
        return tf.random.stateless_uniform(shape, tf.random.fold_in(seed, key))

    return tf.map_fn(draw, seeds, fn_output_signature=tf.float32)


def _luma(images: tf.Tensor) -> tf.Tensor:
    """[b, h, w, c] to [b, h, w, 1]."""
    return images if images.shape[-1] == 1 else tf.reduce_sum(images * _LUMA, axis=-1, keepdims=True)
