"""The residual block that halves images between the stages of NAS-Bench-201."""

from typing import Any

import keras
import tensorflow as tf

from vinnas_tf import kernels
from vinnas_tf.config import LOCAL_REPARAMETRIZATION
from vinnas_tf.layers.arguments import whole
from vinnas_tf.layers.convolution import Shape, VariationalConv2D


@keras.saving.register_keras_serializable(package="vinnas_tf")
class ResidualBlock(keras.layers.Layer):
    """Two 3x3 convolutions beside a shortcut of a 2x2 average pool and a 1x1 convolution (He et al. 2016).

    As in NAS-Bench-201 (Dong and Yang 2020, section 2.1): ReLU before and batch normalisation after each 3x3
    convolution, the first of which has stride 2; the shortcut is neither activated nor normalised.

    Args:
        channels: output channels.
        variational: Gaussian weights.
        estimator: of the outputs in training, one of config.ESTIMATORS.
        seed: seed of the initial weights.

    Input [n, h, w, c]; output [n, ceil(h / 2), ceil(w / 2), channels].
    """

    def __init__(
        self,
        channels: int,
        *,
        variational: bool = True,
        estimator: str = LOCAL_REPARAMETRIZATION,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.channels = whole(channels, "channels")
        self.variational = variational
        self.estimator = estimator
        self.seed = seed
        shared: dict[str, Any] = {"variational": variational, "estimator": estimator, "dtype": self.dtype_policy}
        seeds = iter(range(1000 * seed, 1000 * seed + 3))
        self.first = VariationalConv2D(channels, (3, 3), strides=(2, 2), seed=next(seeds), name="first", **shared)
        self.second = VariationalConv2D(channels, (3, 3), seed=next(seeds), name="second", **shared)
        self.shortcut = VariationalConv2D(channels, (1, 1), seed=next(seeds), name="shortcut", **shared)

    def build(self, input_shape: Shape) -> None:
        """Builds the three convolutions."""
        self.first.build(input_shape)
        halved = self.first.compute_output_shape(input_shape)
        self.second.build(halved)
        self.shortcut.build((*halved[:3], input_shape[-1]))

    def call(
        self,
        x: tf.Tensor,
        training: bool | None = None,
        seed: tf.Tensor | None = None,
        statistics: kernels.Statistics | None = None,
    ) -> tf.Tensor:
        """Maps `x`; in training with noise from `seed` (int32 [2]), or from the convolutions' own generators.

        `statistics` are those to normalise by; None for those of the batch, as in training.
        """
        seeds = [None] * 3 if seed is None else kernels.split(seed, 3)
        y = kernels.normalize(self.first(tf.nn.relu(x), training=training, seed=seeds[0]), statistics=statistics)
        y = kernels.normalize(self.second(tf.nn.relu(y), training=training, seed=seeds[1]), statistics=statistics)
        pooled = tf.nn.avg_pool2d(x, 2, 2, "SAME")
        return y + self.shortcut(pooled, training=training, seed=seeds[2])

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Shape of the output."""
        return self.first.compute_output_shape(input_shape)

    def get_config(self) -> dict[str, Any]:
        """The layer's arguments."""
        return {
            **super().get_config(),
            "channels": self.channels,
            "variational": self.variational,
            "estimator": self.estimator,
            "seed": self.seed,
        }
