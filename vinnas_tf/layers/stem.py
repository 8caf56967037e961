"""What stands between the images and the first cell of a supergraph."""

from typing import Any

import keras
import tensorflow as tf

from vinnas_tf import kernels
from vinnas_tf.architecture.stem import PLAIN, STEMS
from vinnas_tf.config import LOCAL_REPARAMETRIZATION
from vinnas_tf.layers.arguments import one_of, whole
from vinnas_tf.layers.convolution import Shape, VariationalConv2D


@keras.saving.register_keras_serializable(package="vinnas_tf")
class SearchStem(keras.layers.Layer):
    """3x3 convolutions with batch normalisation, as `architecture.stem` describes them.

    Args:
        channels: of the first cell's states.
        stem: name of the stem.
        variational: Gaussian weights.
        estimator: of the outputs in training, one of config.ESTIMATORS.
        seed: seed of the initial weights; the convolutions take every second number from it on.

    Input: images [n, h, w, c]; outputs: what the first cell takes for the outputs of the two cells before it.

    Raises:
        SettingError: the channels don't fit the stem.
    """

    def __init__(
        self,
        channels: int,
        *,
        stem: str = PLAIN.name,
        variational: bool = True,
        estimator: str = LOCAL_REPARAMETRIZATION,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.channels = whole(channels, "channels")
        self.stem = STEMS[one_of(stem, "stem", STEMS)]
        self.variational = variational
        self.estimator = estimator
        self.seed = seed
        shared: dict[str, Any] = {"variational": variational, "estimator": estimator, "dtype": self.dtype_policy}
        each = zip(self.stem.convolutions, self.stem.widths(channels), self.stem.names, strict=True)
        self.convolutions = [
            VariationalConv2D(width, (3, 3), strides=one.stride, seed=seed + 2 * place, name=name, **shared)
            for place, (one, width, name) in enumerate(each)
        ]
        self.scales: list[keras.Variable] = []
        self.shifts: list[keras.Variable] = []

    def build(self, input_shape: Shape) -> None:
        """Builds the convolutions, and the scales and shifts if the stem learns them."""
        for convolution in self.convolutions:
            convolution.build(input_shape)
            input_shape = convolution.compute_output_shape(input_shape)
            if self.stem.learns_scale:
                shape = (convolution.filters,)
                for variables, name, start in ((self.scales, "scale", "ones"), (self.shifts, "shift", "zeros")):
                    name = f"{convolution.name}_{name}"
                    variables.append(self.add_weight(name=name, shape=shape, initializer=start, autocast=False))

    def call(
        self,
        images: tf.Tensor,
        training: bool | None = None,
        seed: tf.Tensor | None = None,
        statistics: kernels.Statistics | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Maps `images`; in training with noise from `seed` (int32 [2]), or from the convolutions' own generators.

        `statistics` are those to normalise by; None for those of the batch, as in training.
        """
        count = len(self.convolutions)
        seeds = [seed] * count if seed is None or count == 1 else kernels.split(seed, count)
        x, outputs = images, []
        for place, (convolution, own_seed) in enumerate(zip(self.convolutions, seeds, strict=True)):
            if self.stem.convolutions[place].activated:
                x = tf.nn.relu(x)
            x = convolution(x, training=training, seed=own_seed)
            x = kernels.normalize(x, self.scales[place].value if self.scales else None, statistics)
            if self.shifts:
                x = tf.nn.bias_add(x, tf.cast(self.shifts[place].value, x.dtype))
            outputs.append(x)
        return outputs[self.stem.first], outputs[-1]

    def compute_output_shape(self, input_shape: Shape) -> tuple[Shape, Shape]:
        """Shapes of the two outputs."""
        shapes = []
        for convolution in self.convolutions:
            input_shape = convolution.compute_output_shape(input_shape)
            shapes.append(input_shape)
        return shapes[self.stem.first], shapes[-1]

    def get_config(self) -> dict[str, Any]:
        """The layer's arguments."""
        return {
            **super().get_config(),
            "channels": self.channels,
            "stem": self.stem.name,
            "variational": self.variational,
            "estimator": self.estimator,
            "seed": self.seed,
        }
