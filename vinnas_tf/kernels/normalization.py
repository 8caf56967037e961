"""Batch normalisation as the search uses it: no learnt scale or shift, then ReLU.

Training normalises a batch by its own statistics. A prediction must not depend on the other images of its batch: there
the statistics are those of the population (Ioffe and Szegedy 2015, Algorithm 2), measured on a fixed set of images.
"""

from collections.abc import Callable
from typing import TypeAlias

import tensorflow as tf

from vinnas_tf.kernels.device import plain

EPSILON = 1e-3  # Keras's BatchNormalization default

# Mean and variance, [channels] each, by which images [batch, height, width, channels] are normalised.
Statistics: TypeAlias = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]


def normalize(x: tf.Tensor, weight: tf.Tensor | None = None, statistics: Statistics | None = None) -> tf.Tensor:
    """Returns weight * (x - mean) / sqrt(variance + 1e-3).

    Args:
        x: images [batch, height, width, channels]; in a graph the number of channels must be known.
        weight: one for each channel, on the normalisation's scale at no cost; None for ones.
        statistics: gives mean and variance of each channel; None for those of the batch, as in training.

    Raises:
        ValueError: if the number of channels is unknown.
    """
    return _normalize(x, weight, statistics, relu=False)


def normalize_relu(x: tf.Tensor, weight: tf.Tensor | None = None, statistics: Statistics | None = None) -> tf.Tensor:
    """Returns weight * relu(normalize(x)); `weight` must be at least 0: then it is relu(weight * normalize(x)) too."""
    return _normalize(x, weight, statistics, relu=True)


class BatchStatistics:
    """Gives each normalisation the statistics of its batch, and keeps them in the order of the calls."""

    def __init__(self) -> None:
        self._kept: list[tf.Tensor] = []

    def __call__(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Mean and variance, [channels] each, of images [batch, height, width, channels]."""
        mean, variance = _batch_statistics(x)
        self._kept.append(tf.stack([mean, variance]))
        return mean, variance

    def kept(self) -> tf.Tensor:
        """The means and the variances so far, [2, channels of all normalisations]."""
        return tf.concat([tf.zeros((2, 0)), *self._kept], axis=1)  # A network may have none.


class PopulationStatistics:
    """Gives each normalisation statistics that were kept before, in the order in which they were.

    Args:
        kept: [2, channels of all normalisations], as `pool_statistics` makes them.
    """

    def __init__(self, kept: tf.Tensor) -> None:
        self._kept = kept
        self._used = 0

    def __call__(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Mean and variance, [channels] each, of the next normalisation; of `x` only the number of channels counts."""
        start, self._used = self._used, self._used + x.shape[-1]
        mean, variance = tf.unstack(self._kept[:, start : self._used])
        return mean, variance


def pool_statistics(batches: tf.Tensor) -> tf.Tensor:
    """Statistics of all images out of those of batches of equal size: [batches, 2, channels] to [2, channels].

    The mean is the mean of means, the variance the mean of variances plus the variance of means.
    """
    means, variances = tf.unstack(batches, axis=1)
    return tf.stack([tf.reduce_mean(means, 0), tf.reduce_mean(variances, 0) + tf.math.reduce_variance(means, 0)])


def _batch_statistics(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    return tf.nn.moments(tf.cast(x, tf.float32), [0, 1, 2])


def _normalize(x: tf.Tensor, weight: tf.Tensor | None, statistics: Statistics | None, *, relu: bool) -> tf.Tensor:
    """Normalisation and ReLU side by side, which TensorFlow then computes as one on a CPU, and their gradient."""
    channels = x.shape[-1:]
    if not channels.is_fully_defined():
        # The gradient's CPU kernel (TensorFlow 2.21) keeps in itself the channels of the call at hand: run by two
        # threads at once on different numbers of them, it writes past the end of its results.
        raise ValueError(f"the number of channels must be known, got images {x.shape}.")
    scale = tf.constant(1.0, shape=channels) if weight is None else tf.cast(weight, tf.float32)
    if plain():
        mean, variance = (statistics or _batch_statistics)(x)
        y = tf.nn.batch_normalization(tf.cast(x, tf.float32), mean, variance, None, scale, EPSILON)
        return tf.cast(tf.nn.relu(y) if relu else y, x.dtype)
    no_shift, no_statistics = tf.constant(0.0, shape=channels), tf.constant([], tf.float32)
    if statistics is not None:
        mean, variance = statistics(x)
        y = tf.raw_ops.FusedBatchNormV3(
            x=x, scale=scale, offset=no_shift, mean=mean, variance=variance, epsilon=EPSILON, is_training=False
        ).y
        return tf.nn.relu(y) if relu else y

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
