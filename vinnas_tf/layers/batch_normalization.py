"""Batch normalisation of the network that is trained from scratch: Keras's layer with TensorFlow's fused kernel."""

from typing import Any

import keras
import tensorflow as tf

from vinnas_tf.errors import require
from vinnas_tf.kernels.device import plain


@keras.saving.register_keras_serializable(package="vinnas_tf")
class BatchNormalization(keras.layers.BatchNormalization):
    """Keras's batch normalisation over the last axis of images, its training step in one kernel.

    Keras spells the training step out in eight operations, each of which reads the whole image; on a CPU they took a
    third of a training step. Outputs, running statistics and gradients are the same.

    Args:
        momentum: of the running statistics.
        epsilon: added to the variance.
        **kwargs: those of `keras.layers.BatchNormalization`, as far as the kernel has them: always over the last axis,
            with scale and centre, and each replica by itself.

    Input and output [n, h, w, c].
    """

    def __init__(self, *, momentum: float = 0.99, epsilon: float = 1e-3, **kwargs: Any) -> None:
        super().__init__(momentum=momentum, epsilon=epsilon, **kwargs)
        for name, only in (("axis", -1), ("center", True), ("scale", True), ("renorm", False), ("synchronized", False)):
            require(getattr(self, name) == only, f"{name} must be {only} here, got {getattr(self, name)!r}.")
        self.input_spec = keras.InputSpec(ndim=4)

    def call(self, x: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Normalises by the batch's statistics in training, and by the running ones otherwise or when frozen."""
        if not (training and self.trainable):
            return super().call(x, training=False)
        if plain():
            return super().call(x, training=True)
        y, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            x, tf.convert_to_tensor(self.gamma.value), tf.convert_to_tensor(self.beta.value), epsilon=self.epsilon
        )
        count = tf.cast(tf.size(x) / tf.shape(x)[-1], tf.float32)
        # The kernel reports the unbiased variance, Keras keeps the biased one.
        for running, now in ((self.moving_mean, mean), (self.moving_variance, variance * (count - 1) / count)):
            running.assign(running.value * self.momentum + now * (1 - self.momentum))
        return y
