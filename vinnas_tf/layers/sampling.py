"""Linear maps whose weights are Gaussian: pure functions, which the layers apply.

At evaluation y = conv(x, mean). In training there are two estimators (both in Kingma et al. 2015, Variational Dropout
and the Local Reparameterization Trick). Local reparametrisation, as VINNAS has it, samples the pre-activation:
y = conv(x, mean) + sqrt(conv(x^2, variance)) * noise. Weight sampling samples the weights: y = conv(x, mean +
sqrt(variance) * noise). Each output has the same distribution under both; under the second, all outputs of a batch
share their noise, which costs half the arithmetic and makes gradients vary more.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence

import tensorflow as tf

from vinnas_tf import kernels
from vinnas_tf.architecture.primitives import Convolution
from vinnas_tf.config import WEIGHT_SAMPLING

Linear = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
Phases = Callable[[tf.Tensor, int], tuple[tf.Tensor, kernels.Map]]


def linear_map(
    x: tf.Tensor,
    convolution: Convolution,
    strides: tuple[int, int],
    phases: Phases = kernels.phases,
    edges: kernels.Size = 1,
) -> tuple[Linear, tf.Tensor]:
    """What a convolution with "same" padding reads of `x` [n, h, w, c], and its map of that and its kernel.

    The map returns [n, h', w', c']. A convolution that skips pixels gets only those that it reads, and a dilated one
    the phases of the image, so that both maps of the local reparametrisation, and their gradients, find them prepared;
    any other one reads `x` itself. `phases` stands for `kernels.phases`. `edges` tells how many share the output
    channels, where each has halves of its own.
    """
    if convolution.factorized:
        return lambda x, kernel: kernels.factorized_conv(x, kernel, edges), kernels.factorized_phases(x)
    size, dilation, padding = convolution.kernel_size, convolution.dilation, "SAME"
    stride = strides[0]
    join: kernels.Map = tf.convert_to_tensor
    if stride > 1 and strides == (stride, stride) and (size == (1, 1) or convolution.depthwise and dilation == stride):
        x, strides, padding = kernels.one_phase(x, size, stride), (1, 1), "VALID"
    elif dilation > 1:
        x, join = phases(x, dilation)

    def linear(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        if convolution.depthwise:
            y = kernels.depthwise_conv(x, kernel, strides[0], padding)
        elif size == strides == (1, 1):
            y = kernels.pointwise_conv(x, kernel)
        else:
            y = kernels.conv(x, kernel, strides)
        return join(y)

    return linear, x


def apply_linear(
    linear: Linear,
    x: tf.Tensor,
    mean: tf.Tensor,
    log_variance: tf.Tensor | None,
    seed: tf.Tensor | None,
    estimator: str,
) -> tf.Tensor:
    """Applies one linear map with Gaussian weights, its outputs sampled by `estimator`.

    Args:
        linear: `(input, weights)` to output, linear in the weights.
        x: its input.
        mean: means of the weights.
        log_variance: their log-variances; None for the mean weights.
        seed: int32 [2], the seed of the noise; None for the mean weights.
        estimator: one of config.ESTIMATORS.
    """
    if log_variance is None:
        return linear(x, mean)
    variance = tf.cast(tf.exp(log_variance), x.dtype)
    if estimator == WEIGHT_SAMPLING:
        return linear(x, kernels.add_noise(mean, variance, seed))
    (y,) = sample_linear([linear], [x], [mean], [variance], [seed])
    return y


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
        variance: variances of the weights of each; None for deterministic weights.
        seed: int32 [2], the seed of the noise of each; None for the maps with the mean weights.
    """
    if variance is None or seed is None:
        return [one(*arguments) for one, *arguments in zip(linear, x, mean, strict=True)]
    readers: dict[int, list[int]] = defaultdict(list)
    for place, read in enumerate(x):
        readers[id(read)].append(place)
    sampled: dict[int, tf.Tensor] = {}
    for places in readers.values():
        chosen = [[values[place] for place in places] for values in (linear, mean, variance, seed)]
        sampled.update(zip(places, _sample_linear_of(x[places[0]], *chosen), strict=True))
    return [sampled[place] for place in range(len(x))]


def _sample_linear_of(
    x: tf.Tensor,
    linear: Sequence[Linear],
    mean: Sequence[tf.Tensor],
    variance: Sequence[tf.Tensor],
    seed: Sequence[tf.Tensor],
) -> list[tf.Tensor]:
    """Samples each map of one `x`; keeps for the gradient `x`, and not x^2 too, and one tensor for each output."""

    def apply(x: tf.Tensor, weights: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        return [one(x, own) for one, own in zip(linear, weights, strict=True)]

    def gradients(x: tf.Tensor, weights: Sequence[tf.Tensor], upstream: Sequence[tf.Tensor]) -> list:
        with tf.GradientTape() as tape:
            tape.watch([x, weights])
            y = apply(x, weights)  # In a graph it is never computed: nothing asks for its value.
        return tape.gradient(y, [x, weights], upstream)

    # One custom gradient for all that `x` goes through: it keeps what it is given until the backward pass, and each
    # of mean, variance and noise would be as large as the output.
    @tf.custom_gradient
    def sample(x: tf.Tensor, *weights: tf.Tensor) -> tuple[list[tf.Tensor], Callable[..., tuple]]:
        mean, variance = weights[: len(linear)], weights[len(linear) :]
        moments = zip(apply(x, mean), apply(tf.square(x), variance), seed, strict=True)
        y, slopes = zip(*(kernels.sample_normal(*of_one) for of_one in moments), strict=True)

        def gradient(*upstream: tf.Tensor) -> tuple[tf.Tensor, ...]:
            of_x, of_mean = gradients(x, mean, upstream)
            # A map is linear in either argument. So its gradient in the weights does not depend on them, and the 2 of
            # d(x^2) = 2 x dx can ride on the few weights instead of taking another pass over the image.
            of_square, of_variance = gradients(
                tf.square(x),
                [2.0 * one for one in variance],
                [one * slope for one, slope in zip(upstream, slopes, strict=True)],
            )
            return of_x + x * of_square, *of_mean, *of_variance

        return list(y), gradient

    return sample(x, *mean, *variance)
