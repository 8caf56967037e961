"""Drop path: whole operations of a cell are switched off at random while it trains."""

from typing import Any

import keras
import tensorflow as tf

from vinnas_tf import kernels
from vinnas_tf.errors import require


@keras.saving.register_keras_serializable(package="vinnas_tf")
class DropPath(keras.layers.Layer):
    """Zeroes each example with probability `rate` in training and divides the others by 1 - rate, as DARTS does.

    Larsson et al. 2017 (FractalNet). The expectation is the input; at evaluation the layer is the identity.

    Args:
        rate: probability, in [0, 1). It is kept in the variable `rate`, so that training can raise it as it goes on.
        seed: seed of the draws.

    Input and output [n, ...].
    """

    def __init__(self, rate: float, *, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        require(0 <= rate < 1, f"rate must lie in [0, 1), got {rate}.")
        self.initial_rate = rate
        self.seed = seed
        self.seed_generator = kernels.make_seed_generator(seed)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes the variable `rate`."""
        initializer = keras.initializers.Constant(self.initial_rate)
        self.rate = self.add_weight(name="rate", shape=(), initializer=initializer, trainable=False, autocast=False)

    def call(self, x: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Drops whole examples of `x` in training."""
        if not training:
            return x
        keep = 1.0 - self.rate.value
        shape = (tf.shape(x)[0], *[1] * (len(x.shape) - 1))
        kept = tf.random.stateless_uniform(shape, kernels.next_seed(self.seed_generator)) < keep
        return tf.where(kept, x / tf.cast(keep, x.dtype), tf.zeros_like(x))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Shape of the output."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The layer's arguments."""
        return {**super().get_config(), "rate": self.initial_rate, "seed": self.seed}
