"""Batch normalisation as the search uses it: batch statistics only, no learnt scale or shift, then ReLU."""

from collections.abc import Callable

import tensorflow as tf

EPSILON = 1e-3  # Keras's BatchNormalization default


def normalize(x: tf.Tensor, epsilon: float = EPSILON) -> tf.Tensor:
    """(x - mean) / sqrt(variance + epsilon), mean and variance per channel over the batch; x as in `normalize_relu`."""
    return _scaled(x, tf.ones([x.shape[-1]]), epsilon)


def normalize_relu(x: tf.Tensor, weight: tf.Tensor, epsilon: float = EPSILON) -> tf.Tensor:
    """Returns weight * relu((x - mean) / sqrt(variance + epsilon)), mean and variance per channel over the batch.

    Args:
        x: images [batch, height, width, channels].
        weight: a positive scalar: weight * relu(x) = relu(weight * x) lets it ride on the normalisation's scale.
        epsilon: keeps a channel without variance finite.
    """
    scale = tf.fill([x.shape[-1]], tf.cast(weight, tf.float32))
    return tf.nn.relu(_scaled(x, scale, epsilon))


def _scaled(x: tf.Tensor, scale: tf.Tensor, epsilon: float) -> tf.Tensor:
    y, *_ = tf.compat.v1.nn.fused_batch_norm(x, scale, tf.zeros_like(scale), epsilon=epsilon)
    return y


def mix(terms: list[tf.Tensor], plain_terms: list[tf.Tensor], strengths: tf.Tensor) -> tf.Tensor:
    """Sums strength * relu(normalize(x)) over `terms`, and strength * x over `plain_terms`: the output of a mixed op.

    For the gradient it keeps the terms and their statistics, and neither what they normalise to nor what ReLU leaves.

    Args:
        terms: at least one image batch [batch, height, width, channels].
        plain_terms: further ones of the same shape.
        strengths: [terms + plain terms] float32, in their order; of any sign.
    """

    @tf.custom_gradient
    def mixed(strengths: tf.Tensor, *inputs: tf.Tensor) -> tuple[tf.Tensor, Callable[..., tuple]]:
        count = len(terms)
        held = [tf.stop_gradient(x) for x in (strengths, *inputs)]  # See `_by_rows` in noise.py.
        y, *statistics = _mix(held[0], held[1 : count + 1], held[count + 1 :])
        return y, lambda upstream: tuple(_mix_gradient(upstream, strengths, inputs[:count], inputs[count:], statistics))

    return mixed(strengths, *terms, *plain_terms)


@tf.function(jit_compile=True, autograph=False)
def _mix(strengths: tf.Tensor, terms: list[tf.Tensor], plain_terms: list[tf.Tensor]) -> list[tf.Tensor]:
    """The mixed sum, then mean and inverse deviation of each term."""
    strengths = tf.unstack(strengths)
    y = 0.0
    statistics = []
    for strength, x in zip(strengths, terms, strict=False):
        x = tf.cast(x, tf.float32)
        pixels = tf.cast(tf.size(x) // x.shape[-1], tf.float32)
        mean = _channel_sum(x) / pixels
        inverse_deviation = tf.sqrt(1.0 / (_channel_sum(tf.square(x - mean)) / pixels + EPSILON))
        y += strength * tf.nn.relu((x - mean) * inverse_deviation)
        statistics += [mean, inverse_deviation]
    for strength, x in zip(strengths[len(terms) :], plain_terms, strict=True):
        y += strength * tf.cast(x, tf.float32)
    return [tf.cast(y, (terms + plain_terms)[0].dtype), *statistics]


@tf.function(jit_compile=True, autograph=False)
def _mix_gradient(
    upstream: tf.Tensor,
    strengths: tf.Tensor,
    terms: list[tf.Tensor],
    plain_terms: list[tf.Tensor],
    statistics: list[tf.Tensor],
) -> list[tf.Tensor]:
    """The gradients of the strengths, of the terms and of the plain terms."""
    dtype = upstream.dtype
    upstream = tf.cast(upstream, tf.float32)
    strengths = tf.unstack(strengths)
    of_strengths, of_terms = [], []
    for index, (strength, x) in enumerate(zip(strengths, terms, strict=False)):
        mean, inverse_deviation = statistics[2 * index : 2 * index + 2]
        centred = tf.cast(x, tf.float32) - mean
        passed = tf.where(centred > 0, upstream, 0.0)
        projection = _channel_sum(passed * centred) * inverse_deviation
        pixels = tf.cast(tf.size(x) // x.shape[-1], tf.float32)
        shift, slope = _channel_sum(passed) / pixels, projection * inverse_deviation / pixels
        of_terms.append(tf.cast(strength * inverse_deviation * (passed - shift - centred * slope), dtype))
        of_strengths.append(tf.reduce_sum(projection))
    of_plain_terms = []
    for strength, x in zip(strengths[len(terms) :], plain_terms, strict=True):
        of_plain_terms.append(tf.cast(strength * upstream, dtype))
        of_strengths.append(tf.reduce_sum(_channel_sum(upstream * tf.cast(x, tf.float32))))
    return [tf.stack(of_strengths), *of_terms, *of_plain_terms]


def _channel_sum(x: tf.Tensor) -> tf.Tensor:
    """Sums over all axes but the last, 16 pixels abreast, for XLA adds along a wide row many times faster."""
    channels = x.shape[-1]
    abreast = tf.where(tf.size(x) % (16 * channels) == 0, 16, 1)
    rows = tf.reduce_sum(tf.reshape(x, [-1, abreast * channels]), axis=0)
    return tf.reduce_sum(tf.reshape(rows, [-1, channels]), axis=0)
