"""Batch normalisation of the network that is trained from scratch: Keras's layer with TensorFlow's fused kernel."""

from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="vinnas_tf")
class BatchNormalization(keras.layers.BatchNormalization):
    """Keras's batch normalisation over the last axis of images, its training step in one kernel.

    Keras spells the training step out in eight operations, each of which reads the whole image; on a CPU they took a
    third of a training step. Outputs, running statistics and gradients are the same.

    Args:
        **kwargs: those of `keras.layers.Layer`.

    Input and output [n, h, w, c].
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def call(self, x: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Normalises by the batch's statistics in training, and by the running ones otherwise or when frozen."""
        if not (training and self.trainable):
            return super().call(x, training=False)
        y, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            x, tf.convert_to_tensor(self.gamma.value), tf.convert_to_tensor(self.beta.value), epsilon=self.epsilon
        )
        count = tf.cast(tf.size(x) / tf.shape(x)[-1], tf.float32)
        # The kernel reports the unbiased variance, Keras keeps the biased one.
        for running, now in ((self.moving_mean, mean), (self.moving_variance, variance * (count - 1) / count)):
            running.assign(running.value * self.momentum + now * (1 - self.momentum))
        return y

    def get_config(self) -> dict[str, Any]:
        """The layer's arguments."""
        return keras.layers.Layer.get_config(self)
