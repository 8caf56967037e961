"""Batch normalisation as the search uses it: batch statistics only, no learnt scale or shift, then ReLU."""

from collections.abc import Callable

import tensorflow as tf

EPSILON = 1e-3  # Keras's BatchNormalization default


def normalize(x: tf.Tensor, weight: tf.Tensor | None = None) -> tf.Tensor:
    """Returns weight * (x - mean) / sqrt(variance + 1e-3), mean and variance per channel over the batch.

    Args:
        x: images [batch, height, width, channels]; in a graph the number of channels must be known.
        weight: one for each channel, on the normalisation's scale at no cost; None for ones.

    Raises:
        ValueError: if the number of channels is unknown.
    """
    return _normalize(x, weight, relu=False)


def normalize_relu(x: tf.Tensor, weight: tf.Tensor | None = None) -> tf.Tensor:
    """Returns weight * relu(normalize(x)); `weight` must be positive: then it is relu(weight * normalize(x)) too."""
    return _normalize(x, weight, relu=True)


def _normalize(x: tf.Tensor, weight: tf.Tensor | None, *, relu: bool) -> tf.Tensor:
    """Normalisation and ReLU side by side, which TensorFlow then computes as one on a CPU, and their gradient."""
    channels = x.shape[-1:]
    if not channels.is_fully_defined():
        # The gradient's CPU kernel (TensorFlow 2.21) keeps in itself the channels of the call at hand: run by two
        # threads at once on different numbers of them, it writes past the end of its results.
        raise ValueError(f"the number of channels must be known, got images {x.shape}.")
    scale = tf.constant(1.0, shape=channels) if weight is None else tf.cast(weight, tf.float32)
    no_shift, no_statistics = tf.constant(0.0, shape=channels), tf.constant([], tf.float32)

    @tf.custom_gradient
    def normalized(x_copy: tf.Tensor, scale_copy: tf.Tensor) -> tuple[tf.Tensor, Callable[..., tuple]]:
        forward = tf.raw_ops.FusedBatchNormV3(
            x=x_copy, scale=scale_copy, offset=no_shift, mean=no_statistics, variance=no_statistics, epsilon=EPSILON
        )
        y = tf.nn.relu(forward.y) if relu else forward.y

        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            backward = tf.raw_ops.FusedBatchNormGradV3(
                y_backprop=tf.raw_ops.ReluGrad(gradients=upstream, features=y) if relu else upstream,
                x=x,
                scale=scale,
                reserve_space_1=forward.reserve_space_1,
                reserve_space_2=forward.reserve_space_2,
                reserve_space_3=forward.reserve_space_3,
                epsilon=EPSILON,
            )
            return backward.x_backprop, backward.scale_backprop

        return y, gradient

    return normalized(x, scale)
