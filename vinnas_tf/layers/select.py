"""The layer that picks channels."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="vinnas_tf")
class Select(keras.layers.Layer):
    """Some channels of an image or a vector, in a given order: a stripped network's `keras.ops.take`, as a layer.

    Args:
        channels: their numbers; one may come twice.

    Input [n, ..., c], output [n, ..., len(channels)].
    """

    def __init__(self, channels: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.channels = [int(channel) for channel in channels]

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Picks the channels of `x`."""
        return tf.gather(x, self.channels, axis=-1)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Shape of the output."""
        return (*input_shape[:-1], len(self.channels))

    def get_config(self) -> dict[str, Any]:
        """The layer's arguments."""
        return {**super().get_config(), "channels": self.channels}
