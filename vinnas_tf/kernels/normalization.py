"""Batch normalisation as the search uses it: batch statistics only, no learnt scale or shift, then ReLU."""

from collections.abc import Callable

import tensorflow as tf

EPSILON = 1e-3  # Keras's BatchNormalization default


def normalize(x: tf.Tensor, weight: tf.Tensor | float = 1.0, epsilon: float = EPSILON) -> tf.Tensor:
    """Returns weight * (x - mean) / sqrt(variance + epsilon), mean and variance per channel over the batch.

    Args:
        x: images [batch, height, width, channels].
        weight: a scalar, or one for each channel; it rides on the normalisation's scale.
        epsilon: keeps a channel without variance finite.
    """
    return _normalize(x, weight, epsilon, relu=False)


def normalize_relu(x: tf.Tensor, weight: tf.Tensor | float, epsilon: float = EPSILON) -> tf.Tensor:
    """Returns weight * relu(normalize(x)); `weight` must be positive: then it is relu(weight * normalize(x)) too."""
    return _normalize(x, weight, epsilon, relu=True)


def _normalize(x: tf.Tensor, weight: tf.Tensor | float, epsilon: float, *, relu: bool) -> tf.Tensor:
    """Normalisation and ReLU side by side, which TensorFlow then computes as one on a CPU, and their gradient."""
    scale = tf.broadcast_to(tf.cast(weight, tf.float32), [x.shape[-1]])

    @tf.custom_gradient
    def normalized(x_copy: tf.Tensor, scale_copy: tf.Tensor) -> tuple[tf.Tensor, Callable[..., tuple]]:
        forward = tf.raw_ops.FusedBatchNormV3(
            x=x_copy, scale=scale_copy, offset=tf.zeros(scale.shape), mean=[], variance=[], epsilon=epsilon
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
                epsilon=epsilon,
            )
            return backward.x_backprop, backward.scale_backprop

        return y, gradient

    return normalized(x, scale)
