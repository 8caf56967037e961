"""Convolutions and a classifier whose weights are Gaussian.

At evaluation y = conv(x, mean). In training there are two estimators (both in Kingma et al. 2015, Variational Dropout
and the Local Reparameterization Trick). Local reparametrisation, as VINNAS has it, samples the pre-activation:
y = conv(x, mean) + sqrt(conv(x^2, variance)) * noise. Weight sampling samples the weights: y = conv(x, mean +
sqrt(variance) * noise). Each output has the same distribution under both; under the second, all outputs of a batch
share their noise, which costs half the arithmetic and makes gradients vary more.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from vinnas_tf import kernels
from vinnas_tf.config import LOCAL_REPARAMETRIZATION, WEIGHT_SAMPLING
from vinnas_tf.primitives import Convolution
from vinnas_tf.variational import INITIAL_LOG_VARIANCE

Shape = tuple[Any, ...]  # A tensor's sizes, None for one that is not known.
Linear = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def linear_map(x: tf.Tensor, convolution: Convolution, strides: tuple[int, int]) -> tuple[Linear, tf.Tensor]:
    """What a convolution with "same" padding reads of `x` [n, h, w, c], and its map of that and its kernel.

    The map returns [n, h', w', c']. A convolution that skips pixels gets only those that it reads, so that both maps of
    the local reparametrisation, and their gradients, pass over no others; any other one reads `x` itself.
    """
    size, dilation, padding = convolution.kernel_size, convolution.dilation, "SAME"
    stride = strides[0]
    if stride > 1 and strides == (stride, stride) and (size == (1, 1) or convolution.depthwise and dilation == stride):
        x, strides, dilation, padding = kernels.one_phase(x, size, stride), (1, 1), 1, "VALID"

    def linear(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        if convolution.depthwise:
            return kernels.depthwise_conv(x, kernel, strides[0], dilation, padding)
        if size == strides == (1, 1):
            return kernels.pointwise_conv(x, kernel)
        return kernels.conv(x, kernel, strides)

    return linear, x


def sample_linear(
    linear: Sequence[Linear],
    x: Sequence[tf.Tensor],
    mean: Sequence[tf.Tensor],
    variance: Sequence[tf.Tensor] | None,
    seed: Sequence[tf.Tensor] | None,
) -> list[tf.Tensor]:
    """Applies linear maps with Gaussian weights, their outputs sampled by local reparametrisation.

    Maps that are given the same tensor `x` share its square.

    Args:
        linear: `(input, weights)` to output, linear in the weights; for each map.
        x: input of each.
        mean: means of the weights of each.
        variance: variances of the weights of each; None for point weights.
        seed: int32 [2], the seed of the noise of each; None for the maps with the mean weights.
    """
    y = [one(*arguments) for one, *arguments in zip(linear, x, mean, strict=True)]
    if variance is None or seed is None:
        return y
    readers: dict[int, list[int]] = defaultdict(list)
    for place, read in enumerate(x):
        readers[id(read)].append(place)
    variances: dict[int, tf.Tensor] = {}
    for places in readers.values():
        chosen = [[values[place] for place in places] for values in (linear, variance)]
        variances.update(zip(places, _linear_of_square(x[places[0]], *chosen), strict=True))
    return [kernels.add_noise(one, variances[place], seed[place]) for place, one in enumerate(y)]


def _linear_of_square(x: tf.Tensor, linear: Sequence[Linear], variance: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """linear(x^2, variance) of each map, which keeps `x` for its gradient, as the mean's map does, and not x^2 too."""

    def gradient(*upstream: tf.Tensor) -> tuple[tf.Tensor, ...]:
        # A map is linear in either argument. So its gradient in the weights does not depend on them, and the 2 of
        # d(x^2) = 2 x dx can ride on the few weights instead of taking another pass over the image.
        square, twice = tf.square(x), [2.0 * one for one in variance]
        with tf.GradientTape() as tape:
            tape.watch([square, twice])
            y = each(square, twice)  # In a graph it is never computed: nothing asks for its value.
        of_square, of_weights = tape.gradient(y, [square, twice], list(upstream))
        return x * of_square, *of_weights

    def each(square: tf.Tensor, weights: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        return [one(square, own) for one, own in zip(linear, weights, strict=True)]

    @tf.custom_gradient
    def recomputing(x: tf.Tensor, *variance: tf.Tensor) -> tuple[list[tf.Tensor], Callable[..., tuple]]:
        return each(tf.square(x), variance), gradient

    return recomputing(x, *variance)


class _GaussianWeights(keras.layers.Layer):
    """What the layers below share: the posterior's variables, the noise and their part of the config.

    Args:
        variational: Gaussian weights; False makes plain point weights.
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
        self.estimator = estimator
        self.use_bias = use_bias
        self.seed = seed
        self.seed_generator = kernels.make_seed_generator(seed) if variational else None
        self.mean: keras.Variable
        self.log_variance: keras.Variable | None = None
        self.bias: keras.Variable | None = None

    def add_posterior(self, shape: tuple[int, ...], outputs: int) -> None:
        """Makes `mean` (Glorot uniform), `log_variance` (-10 everywhere) and `bias` (zeros)."""
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
        mean, variances, seeds = tf.convert_to_tensor(self.mean), None, None
        if training and self.log_variance is not None and self.seed_generator is not None:
            variance = tf.cast(tf.exp(self.log_variance.value), x.dtype)
            seed = kernels.next_seed(self.seed_generator) if seed is None else seed
            if self.estimator == WEIGHT_SAMPLING:
                mean = kernels.add_noise(mean, variance, seed)
            else:
                variances, seeds = [variance], [seed]
        (y,) = sample_linear([linear], [x], [mean], variances, seeds)
        return y if self.bias is None else tf.nn.bias_add(y, tf.convert_to_tensor(self.bias))

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
        kernel_size: height and width.
        strides: of both axes.
        **kwargs: `variational`, `estimator`, `use_bias`, `seed` and those of `keras.layers.Layer`.

    Input [n, h, w, c], output [n, ceil(h / strides), ceil(w / strides), filters].
    """

    def __init__(
        self, filters: int, kernel_size: tuple[int, int], *, strides: tuple[int, int] = (1, 1), **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if filters < 1 or min(kernel_size) < 1 or min(strides) < 1:
            raise ValueError(
                f"filters, kernel_size and strides must be positive, got {filters}, {kernel_size} and {strides}."
            )
        self.filters = filters
        self.kernel_size = (kernel_size[0], kernel_size[1])
        self.strides = (strides[0], strides[1])

    def build(self, input_shape: Shape) -> None:
        """Makes the kernel's posterior for inputs with `input_shape[-1]` channels."""
        self.add_posterior((*self.kernel_size, input_shape[-1], self.filters), self.filters)

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
        kernel_size: height and width.
        strides: of both axes (equal).
        dilation_rate: of both axes, for kernels of odd sides; strides are then 1 or equal to it, and the convolution is
            dilated and then subsampled.
        **kwargs: `variational`, `estimator`, `use_bias`, `seed` and those of `keras.layers.Layer`.

    Input [n, h, w, c], output [n, ceil(h / strides), ceil(w / strides), c].
    """

    def __init__(
        self, kernel_size: tuple[int, int], *, strides: tuple[int, int] = (1, 1), dilation_rate: int = 1, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if min(kernel_size) < 1 or min(strides) < 1 or dilation_rate < 1 or strides[0] != strides[1]:
            raise ValueError(
                "kernel_size, dilation_rate and strides must be positive and strides equal, "
                f"got {kernel_size}, {dilation_rate} and {strides}."
            )
        odd = all(size % 2 for size in kernel_size)
        if dilation_rate > 1 and (strides[0] not in (1, dilation_rate) or not odd):
            raise ValueError(
                "a dilated convolution takes a kernel of odd sides and strides of 1 or of its dilation, "
                f"got {kernel_size}, {dilation_rate} and {strides}."
            )
        self.kernel_size = (kernel_size[0], kernel_size[1])
        self.strides = (strides[0], strides[1])
        self.dilation_rate = dilation_rate

    def build(self, input_shape: Shape) -> None:
        """Makes the kernel's posterior for inputs with `input_shape[-1]` channels."""
        self.add_posterior((*self.kernel_size, input_shape[-1], 1), input_shape[-1])

    def call(self, x: tf.Tensor, training: bool | None = None, seed: tf.Tensor | None = None) -> tf.Tensor:
        """Convolves `x`; in training with noise from `seed` (int32 [2]), or from the layer's own generator."""
        convolution = Convolution(self.kernel_size, depthwise=True, dilation=self.dilation_rate)
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
    """Linear layer with Gaussian weights: [n, c] to [n, units].

    Args:
        units: outputs.
        **kwargs: `variational`, `estimator`, `use_bias`, `seed` and those of `keras.layers.Layer`.
    """

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if units < 1:
            raise ValueError(f"units must be positive, got {units}.")
        self.units = units

    def build(self, input_shape: Shape) -> None:
        """Makes the weights' posterior for `input_shape[-1]` inputs."""
        self.add_posterior((input_shape[-1], self.units), self.units)

    def call(self, x: tf.Tensor, training: bool | None = None, seed: tf.Tensor | None = None) -> tf.Tensor:
        """Maps `x`; in training with noise from `seed` (int32 [2]), or from the layer's own generator."""
        return self.sample(tf.matmul, x, training, seed)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Shape of the output."""
        return (input_shape[0], self.units)

    def get_config(self) -> dict[str, Any]:
        """The layer's arguments."""
        return {**super().get_config(), "units": self.units}


def _shrink(input_shape: Shape, strides: tuple[int, int]) -> Shape:
    sides = (None if n is None else -(-n // s) for n, s in zip(input_shape[1:3], strides, strict=True))
    return (input_shape[0], *sides)
