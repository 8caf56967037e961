"""Convolutions and a classifier whose weights are Gaussian or deterministic; `sampling` says how they are sampled."""

from typing import Any

import keras
import tensorflow as tf

from vinnas_tf import kernels
from vinnas_tf.architecture.primitives import Convolution
from vinnas_tf.config import ESTIMATORS, LOCAL_REPARAMETRIZATION
from vinnas_tf.errors import require
from vinnas_tf.layers.arguments import one_of, pair, whole
from vinnas_tf.layers.sampling import Linear, apply_linear, linear_map
from vinnas_tf.variational import INITIAL_LOG_VARIANCE

Shape = tuple[Any, ...]  # A tensor's sizes, None for one that is not known.


class _GaussianWeights(keras.layers.Layer):
    """What the layers below share: the posterior's variables, the noise and their part of the config.

    Args:
        variational: Gaussian weights; False makes plain deterministic weights.
        estimator: of the outputs in training, one of config.ESTIMATORS.
        use_bias: adds a point bias per output channel.
        seed: seed of the noise that the layer draws when `call` gets none.
    """

    def __init__(
        self,
        *,
        variational: bool = True,
        estimator: str = LOCAL_REPARAMETRIZATION,
        use_bias: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.variational = variational
        self.estimator = one_of(estimator, "estimator", ESTIMATORS)
        self.use_bias = use_bias
        self.seed = seed
        self.seed_generator = kernels.make_seed_generator(seed) if variational else None
        self.mean: keras.Variable
        self.log_variance: keras.Variable | None = None
        self.bias: keras.Variable | None = None

    def add_posterior(self, shape: tuple[int, ...], inputs: int | None, outputs: int) -> None:
        """Makes `mean` (Glorot uniform), `log_variance` (-10 everywhere) and `bias` (zeros)."""
        require(inputs is not None, f"{self.name} must know how many channels its input has, got None.")
        self.input_spec.axes = {-1: inputs}
        initializer = keras.initializers.GlorotUniform(seed=self.seed)
        self.mean = self.add_weight(name="mean", shape=shape, initializer=initializer)
        if self.variational:
            constant = keras.initializers.Constant(INITIAL_LOG_VARIANCE)
            self.log_variance = self.add_weight(name="log_variance", shape=shape, initializer=constant, autocast=False)
        if self.use_bias:
            self.bias = self.add_weight(name="bias", shape=(outputs,), initializer="zeros")

    def sample(
        self,
        linear: Linear,
        x: tf.Tensor,
        training: bool | None,
        seed: tf.Tensor | None,
    ) -> tf.Tensor:
        """The layer's output: sampled in training, with the mean weights otherwise."""
        y = apply_linear(linear, x, *self.noisy_weights(training, seed), self.estimator)
        return y if self.bias is None else tf.nn.bias_add(y, tf.convert_to_tensor(self.bias))

    def noisy_weights(
        self, training: bool | None, seed: tf.Tensor | None
    ) -> tuple[tf.Tensor, tf.Tensor | None, tf.Tensor | None]:
        """Mean, log-variance and seed of the noise; the last two are None where the mean weights are to be used."""
        mean = tf.convert_to_tensor(self.mean)
        if not training or self.log_variance is None or self.seed_generator is None:
            return mean, None, None
        seed = kernels.next_seed(self.seed_generator) if seed is None else seed
        return mean, tf.convert_to_tensor(self.log_variance), seed

    def get_config(self) -> dict[str, Any]:
        """The layer's arguments."""
        return {
            **super().get_config(),
            "variational": self.variational,
            "estimator": self.estimator,
            "use_bias": self.use_bias,
            "seed": self.seed,
        }


@keras.saving.register_keras_serializable(package="vinnas_tf")
class VariationalConv2D(_GaussianWeights):
    """2-D convolution with Gaussian weights and "same" padding.

    Args:
        filters: output channels.
        kernel_size: height and width, or one number for both.
        strides: of the two axes, or one number for both.
        **kwargs: `variational`, `estimator`, `use_bias`, `seed` and those of `keras.layers.Layer`.

    Input [n, h, w, c], output [n, ceil(h / strides), ceil(w / strides), filters].
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int | tuple[int, int],
        *,
        strides: int | tuple[int, int] = (1, 1),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.filters = whole(filters, "filters")
        self.kernel_size = pair(kernel_size, "kernel_size")
        self.strides = pair(strides, "strides")
        self.input_spec = keras.InputSpec(ndim=4)

    def build(self, input_shape: Shape) -> None:
        """Makes the kernel's posterior for inputs with `input_shape[-1]` channels."""
        self.add_posterior((*self.kernel_size, input_shape[-1], self.filters), input_shape[-1], self.filters)

    def call(self, x: tf.Tensor, training: bool | None = None, seed: tf.Tensor | None = None) -> tf.Tensor:
        """Convolves `x`; in training with noise from `seed` (int32 [2]), or from the layer's own generator."""
        convolution = Convolution(self.kernel_size)
        return self.sample(*linear_map(x, convolution, self.strides), training, seed)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Shape of the output."""
        return (*_shrink(input_shape, self.strides), self.filters)

    def get_config(self) -> dict[str, Any]:
        """The layer's arguments."""
        config = {"filters": self.filters, "kernel_size": self.kernel_size, "strides": self.strides}
        return {**super().get_config(), **config}


@keras.saving.register_keras_serializable(package="vinnas_tf")
class VariationalDepthwiseConv2D(_GaussianWeights):
    """Depthwise 2-D convolution (multiplier 1) with Gaussian weights and "same" padding.

    Args:
        kernel_size: height and width, or one number for both.
        strides: of the two axes, which are equal, or one number for both.
        dilation_rate: the same; with a rate above 1 the kernel has odd sides, strides are 1 or equal to the rate, and
            the convolution is dilated and then subsampled.
        **kwargs: `variational`, `estimator`, `use_bias`, `seed` and those of `keras.layers.Layer`.

    Input [n, h, w, c], output [n, ceil(h / strides), ceil(w / strides), c].
    """

    def __init__(
        self,
        kernel_size: int | tuple[int, int],
        *,
        strides: int | tuple[int, int] = (1, 1),
        dilation_rate: int | tuple[int, int] = (1, 1),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.kernel_size = pair(kernel_size, "kernel_size")
        self.strides = pair(strides, "strides")
        self.dilation_rate = pair(dilation_rate, "dilation_rate")
        for name, (rows, columns) in (("strides", self.strides), ("dilation_rate", self.dilation_rate)):
            require(rows == columns, f"{name} must be equal on both axes, got {(rows, columns)}.")
        odd = all(size % 2 for size in self.kernel_size)
        require(
            self.dilation_rate == (1, 1) or odd and self.strides in ((1, 1), self.dilation_rate),
            "a dilated convolution takes a kernel of odd sides and strides of 1 or of its dilation, "
            f"got {self.kernel_size}, {self.strides} and {self.dilation_rate}.",
        )
        self.input_spec = keras.InputSpec(ndim=4)

    def build(self, input_shape: Shape) -> None:
        """Makes the kernel's posterior for inputs with `input_shape[-1]` channels."""
        self.add_posterior((*self.kernel_size, input_shape[-1], 1), input_shape[-1], input_shape[-1])

    def call(self, x: tf.Tensor, training: bool | None = None, seed: tf.Tensor | None = None) -> tf.Tensor:
        """Convolves `x`; in training with noise from `seed` (int32 [2]), or from the layer's own generator."""
        convolution = Convolution(self.kernel_size, depthwise=True, dilation=self.dilation_rate[0])
        return self.sample(*linear_map(x, convolution, self.strides), training, seed)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Shape of the output."""
        return (*_shrink(input_shape, self.strides), input_shape[-1])

    def get_config(self) -> dict[str, Any]:
        """The layer's arguments."""
        config = {"kernel_size": self.kernel_size, "strides": self.strides, "dilation_rate": self.dilation_rate}
        return {**super().get_config(), **config}


@keras.saving.register_keras_serializable(package="vinnas_tf")
class VariationalDense(_GaussianWeights):
    """Linear layer with Gaussian weights, over the last axis: [n, ..., c] to [n, ..., units].

    Args:
        units: outputs.
        **kwargs: `variational`, `estimator`, `use_bias`, `seed` and those of `keras.layers.Layer`.
    """

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = whole(units, "units")
        self.input_spec = keras.InputSpec(min_ndim=2)

    def build(self, input_shape: Shape) -> None:
        """Makes the weights' posterior for `input_shape[-1]` inputs."""
        self.add_posterior((input_shape[-1], self.units), input_shape[-1], self.units)

    def call(self, x: tf.Tensor, training: bool | None = None, seed: tf.Tensor | None = None) -> tf.Tensor:
        """Maps `x`; in training with noise from `seed` (int32 [2]), or from the layer's own generator."""
        return self.sample(tf.matmul, x, training, seed)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Shape of the output."""
        return (*input_shape[:-1], self.units)

    def get_config(self) -> dict[str, Any]:
        """The layer's arguments."""
        return {**super().get_config(), "units": self.units}


def _shrink(input_shape: Shape, strides: tuple[int, int]) -> Shape:
    sides = (None if n is None else -(-n // s) for n, s in zip(input_shape[1:3], strides, strict=True))
    return (input_shape[0], *sides)
