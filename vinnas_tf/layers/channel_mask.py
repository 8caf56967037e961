"""Random masks of channels: which channels of an image a sub-network drops (PGNAS, Zhou et al. 2020, section 2.2).

A channel is dropped with probability p, whose logit is log(p / (1 - p)). A mask holds the factors of channels: 1 keeps
one, 0 drops it. There is no division by 1 - p, so that a mask of a channel is one of the kernel's slice that reads it.
"""

import tensorflow as tf

_EDGE = 1e-6  # Keeps the logarithms of a uniform number and of its complement finite.


def concrete_mask(logit: tf.Tensor, seed: tf.Tensor, images: tf.Tensor | int, temperature: float) -> tf.Tensor:
    """Draws a relaxed mask for each image, which is differentiable in the probabilities.

    PGNAS, eq. (16), the Concrete distribution of Maddison et al. 2017: a channel is dropped by
    sigmoid((logit p + log u - log(1 - u)) / temperature), u being uniform in (1e-6, 1 - 1e-6). That is above 1/2 with
    probability p, whatever the temperature.

    Args:
        logit: of the probability of being dropped, [channels].
        seed: int32 [2], of which the mask is a function, by the image's position and the channel's.
        images: how many.
        temperature: above 0; a lower one draws masks that are closer to 0 and 1.

    Returns:
        The factors, 1 less what is dropped: [images, channels].
    """
    u = _uniform(logit, seed, images)
    return tf.sigmoid(-(logit + tf.math.log(u) - tf.math.log1p(-u)) / temperature)


def bernoulli_mask(logit: tf.Tensor, seed: tf.Tensor, images: tf.Tensor | int) -> tf.Tensor:
    """Draws a mask of zeros and ones for each image: the limit of `concrete_mask`, which takes the same arguments."""
    u = _uniform(logit, seed, images)
    return tf.cast(logit + tf.math.log(u) - tf.math.log1p(-u) <= 0, logit.dtype)


def _uniform(logit: tf.Tensor, seed: tf.Tensor, images: tf.Tensor | int) -> tf.Tensor:
    shape = tf.stack([tf.convert_to_tensor(images), logit.shape[0]])
    return tf.clip_by_value(tf.random.stateless_uniform(shape, seed), _EDGE, 1.0 - _EDGE)
