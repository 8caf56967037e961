"""Batch normalisation as the search uses it: batch statistics only, no learnt scale or shift, then ReLU."""

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
