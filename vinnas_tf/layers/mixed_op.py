"""The mixed operation of one edge: all candidate primitives at once, weighted by their strengths."""

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from vinnas_tf import kernels
from vinnas_tf.config import LOCAL_REPARAMETRIZATION, WEIGHT_SAMPLING
from vinnas_tf.layers.convolution import Shape, linear_map, sample_linear
from vinnas_tf.primitives import PRIMITIVES, convolutions
from vinnas_tf.space import SPACES, VINNAS, SearchSpace
from vinnas_tf.variational import INITIAL_LOG_VARIANCE


@keras.saving.register_keras_serializable(package="vinnas_tf")
class MixedOp(keras.layers.Layer):
    """The sum over all primitives of a space of strength times primitive(x) (VINNAS, eq. 3).

    The kernels of all its primitives lie end to end in one vector of means and one of log-variances: a supergraph then
    has hundreds of variables and not thousands, and its KL term and its optimizer's step few large kernels.

    Args:
        stride: 1, or 2 on the edges that leave the inputs of a reduction cell.
        space: name of the search space.
        normalize_all: batch normalisation, without parameters, also of skip and of bare pools; the output of every
            primitive then has the same variance, and its strength says how much it weighs.
        variational: Gaussian weights; False makes plain point weights.
        estimator: of the outputs in training, one of config.ESTIMATORS.
        seed: seed of the means' initial values.

    Inputs [n, h, w, c], strengths [K]; output [n, ceil(h / stride), ceil(w / stride), c].
    """

    def __init__(
        self,
        *,
        stride: int = 1,
        space: str = VINNAS.name,
        normalize_all: bool = False,
        variational: bool = True,
        estimator: str = LOCAL_REPARAMETRIZATION,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if stride not in (1, 2):
            raise ValueError(f"stride must be 1 or 2, got {stride}.")
        self.stride = stride
        self.space = SPACES[space]
        self.normalize_all = normalize_all
        self.variational = variational
        self.estimator = estimator
        self.seed = seed
        self.log_variance: keras.Variable | None = None

    def build(self, input_shape: Shape, *_: Any) -> None:
        """Makes the flat `mean` (Glorot uniform by kernel) and `log_variance` (-10) for `input_shape[-1]` channels."""
        shapes = kernel_shapes(self.space, self.stride, input_shape[-1])
        seeds = np.random.SeedSequence(self.seed).generate_state(len(shapes))
        kernel_values = [
            keras.ops.reshape(keras.initializers.GlorotUniform(seed=int(seed))(shape), (-1,))
            for shape, seed in zip(shapes, seeds, strict=True)
        ]
        size = sum(math.prod(shape) for shape in shapes)
        # Both stay float32 under mixed precision and are cast kernel by kernel: exp(log_variance) needs the range.
        self.mean = self.add_weight(
            name="mean",
            shape=(size,),
            initializer=lambda *_, **__: keras.ops.concatenate(kernel_values),
            autocast=False,
        )
        if self.variational:
            constant = keras.initializers.Constant(INITIAL_LOG_VARIANCE)
            self.log_variance = self.add_weight(
                name="log_variance", shape=(size,), initializer=constant, autocast=False
            )

    def call(
        self, x: tf.Tensor, strengths: tf.Tensor, seed: tf.Tensor | None = None, freeze_weights: bool = False
    ) -> tf.Tensor:
        """Mixes the primitives of `x`.

        Args:
            x: [n, h, w, c].
            strengths: [K], non-negative, in the order of the space's primitives.
            seed: int32 [2], seed of the weights' noise; None evaluates the mean weights.
            freeze_weights: gradients stop at the weights, which spares computing them in an alpha step.
        """
        return _mix(
            x,
            self.mean.value,
            self.log_variance.value if self.log_variance is not None and seed is not None else None,
            tf.cast(strengths, tf.float32),
            seed,
            stride=self.stride,
            space=self.space.name,
            normalize_all=self.normalize_all,
            estimator=self.estimator,
            freeze_weights=freeze_weights,
        )

    def compute_output_shape(self, input_shape: Shape, *_: Any) -> Shape:
        """Shape of the output."""
        height, width = (None if n is None else -(-n // self.stride) for n in input_shape[1:3])
        return (input_shape[0], height, width, input_shape[3])

    def get_config(self) -> dict[str, Any]:
        """The layer's arguments."""
        return {
            **super().get_config(),
            "stride": self.stride,
            "space": self.space.name,
            "normalize_all": self.normalize_all,
            "variational": self.variational,
            "estimator": self.estimator,
            "seed": self.seed,
        }


def kernel_shapes(space: SearchSpace, stride: int, channels: int) -> list[tuple[int, int, int, int]]:
    """Shapes of an edge's kernels, in the order in which they lie in its flat vectors."""
    return [
        convolution.kernel_shape(channels) for name in space.primitives for convolution, _ in convolutions(name, stride)
    ]


def _split(flat: tf.Tensor, shapes: list[tuple[int, int, int, int]]) -> list[tf.Tensor]:
    parts = tf.split(flat, [math.prod(shape) for shape in shapes])
    return [tf.reshape(part, shape) for part, shape in zip(parts, shapes, strict=True)]


# One graph function for all edges of one shape, called rather than inlined: a supergraph of 112 edges traces as fast as
# its five different ones.
@tf.function(autograph=False, experimental_attributes={"_noinline": True})
def _mix(
    x: tf.Tensor,
    mean: tf.Tensor,
    log_variance: tf.Tensor | None,
    strengths: tf.Tensor,
    seed: tf.Tensor | None,
    *,
    stride: int,
    space: str,
    normalize_all: bool,
    estimator: str,
    freeze_weights: bool,
) -> tf.Tensor:
    if freeze_weights:
        mean = tf.stop_gradient(mean)
        log_variance = None if log_variance is None else tf.stop_gradient(log_variance)
    if log_variance is not None and estimator == WEIGHT_SAMPLING:
        (mean,), log_variance = kernels.add_noise([mean], [tf.exp(log_variance)], [seed]), None
    names, pre_activation = SPACES[space].primitives, SPACES[space].pre_activation
    shapes = kernel_shapes(SPACES[space], stride, x.shape[-1])
    means = _split(tf.cast(mean, x.dtype), shapes)
    variances = None if log_variance is None else _split(tf.cast(tf.exp(log_variance), x.dtype), shapes)
    seeds = None if seed is None else kernels.split(seed, len(shapes))
    convolved = _convolve_all(tf.nn.relu(x) if pre_activation else x, names, stride, means, variances, seeds)
    terms = []
    for name, strength in zip(names, tf.unstack(strengths), strict=True):
        if name == "zero":
            continue
        y, pool = convolved.get(name, x), PRIMITIVES[name].pool
        if pool:
            y = kernels.max_pool(x, stride) if pool == "max" else kernels.avg_pool(x, stride)
        if name != "skip" and not pre_activation:
            terms.append(kernels.normalize_relu(y, strength))
        elif name in convolved and pre_activation or normalize_all:
            terms.append(kernels.normalize(y, strength))
        else:
            terms.append(tf.cast(strength, x.dtype) * y)
    return tf.add_n(terms)


def _convolve_all(
    x: tf.Tensor,
    names: tuple[str, ...],
    stride: int,
    means: list[tf.Tensor],
    variances: list[tf.Tensor] | None,
    seeds: list[tf.Tensor] | None,
) -> dict[str, tf.Tensor]:
    """The chains of convolutions of those primitives that have one; kernels and seeds as `kernel_shapes` orders them.

    First the first convolution of each, then the second: those side by side draw their noise together.
    """
    chains = {name: chain for name in names if (chain := convolutions(name, stride))}
    links = [(name, depth) for name, chain in chains.items() for depth in range(len(chain))]
    outputs = dict.fromkeys(chains, x)
    for depth in range(max(map(len, chains.values()))):
        here = [name for name, chain in chains.items() if depth < len(chain)]
        places = [links.index((name, depth)) for name in here]
        maps = [linear_map(outputs[name], *chains[name][depth]) for name in here]
        sampled = sample_linear(
            [linear for linear, _ in maps],
            [read for _, read in maps],
            [means[place] for place in places],
            variances and [variances[place] for place in places],
            seeds and [seeds[place] for place in places],
        )
        outputs.update(zip(here, sampled, strict=True))
    return outputs
