"""Mixed operations: all candidate primitives of an edge at once, each times its mixing weight."""

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf

from vinnas_tf import kernels
from vinnas_tf.architecture.primitives import PRIMITIVES
from vinnas_tf.architecture.space import SPACES, VINNAS, SearchSpace
from vinnas_tf.config import ESTIMATORS, LOCAL_REPARAMETRIZATION
from vinnas_tf.errors import require
from vinnas_tf.kernels.private import called_not_inlined
from vinnas_tf.layers.arguments import one_of, whole
from vinnas_tf.layers.blocks import Weights, primitive_outputs
from vinnas_tf.layers.convolution import Shape
from vinnas_tf.layers.kernel_layout import edge_axis, kernel_shapes, links, links_of, rounds
from vinnas_tf.variational import INITIAL_LOG_VARIANCE

Weigh: TypeAlias = Callable[[tf.Tensor, tf.Tensor, kernels.Statistics | None], tf.Tensor]


@keras.saving.register_keras_serializable(package="vinnas_tf")
class MixedOp(keras.layers.Layer):
    """The mixed operations of the edges that leave one node.

    Each is the sum over all primitives of mixing weight times primitive(x) (VINNAS, eq. 3), with its own weights. All
    edges are computed side by side, each on a group of channels: what they read is prepared once for all of them, and a
    supergraph has a third as many operations. Their kernels lie end to end in one vector of means and one of
    log-variances: a supergraph has a hundred variables and not thousands, and its KL term and its optimizer's step few
    large kernels.

    Args:
        edges: how many.
        stride: 1, or 2 on the edges that leave the inputs of a reduction cell.
        space: name of the search space.
        normalize_all: batch normalisation, without parameters, also of skip and of bare pools; the output of every
            primitive then has the same variance, and its mixing weight says how much it counts.
        nonnegative: whether all mixing weights are promised to be at least 0; then ReLU and weight trade places, which
            saves a pass.
        variational: Gaussian weights; False makes plain deterministic weights.
        estimator: of the outputs in training, one of config.ESTIMATORS.
        seed: seed of the means' initial values.

    Inputs [n, h, w, c], mixing weights [edges, K]; output [n, ceil(h / stride), ceil(w / stride), edges * c], edge by
    edge.
    """

    def __init__(
        self,
        *,
        edges: int = 1,
        stride: int = 1,
        space: str = VINNAS.name,
        normalize_all: bool = False,
        nonnegative: bool = False,
        variational: bool = True,
        estimator: str = LOCAL_REPARAMETRIZATION,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(autocast=False, **kwargs)  # Or mixing weights would lose their last bits.
        require(stride in (1, 2), f"stride must be 1 or 2, got {stride!r}.")
        self.edges = whole(edges, "edges")
        self.stride = stride
        self.space = SPACES[one_of(space, "space", SPACES)]
        self.normalize_all = normalize_all
        self.nonnegative = nonnegative
        self.variational = variational
        self.estimator = one_of(estimator, "estimator", ESTIMATORS)
        self.seed = seed
        self.log_variance: keras.Variable | None = None

    def build(self, input_shape: Shape, *_: Any) -> None:
        """Makes the flat `mean` (Glorot uniform by kernel) and `log_variance` (-10) for `input_shape[-1]` channels."""
        self.channels = input_shape[-1]
        halves = self.stride > 1 and self.space.factorizes and "skip" in self.space.primitives
        require(
            not halves or self.channels % 2 == 0,
            f"a factorised reduction has an even number of channels, got {self.channels}.",
        )
        convolving = links(self.space, self.stride)
        seeds = iter(np.random.SeedSequence(self.seed).generate_state(len(convolving) * self.edges))
        kernel_values = []
        for link in convolving:
            shape = link.kernel_shape(self.channels)
            own = [keras.initializers.GlorotUniform(seed=int(next(seeds)))(shape) for _ in range(self.edges)]
            kernel_values.append(keras.ops.reshape(keras.ops.concatenate(own, edge_axis(link)), (-1,)))
        size = sum(math.prod(value.shape) for value in kernel_values)
        # By their place among the outputs of `_outputs`: for each edge a layer of its own.
        self.registered = {
            place: [layer(self.channels, self.stride, name=f"{name}_{edge}") for edge in range(self.edges)]
            for place, name in enumerate(name for name in self.space.primitives if name != "zero")
            if (layer := PRIMITIVES[name].layer)
        }
        for of_edges in self.registered.values():
            for layer in of_edges:
                layer.build((*input_shape[:3], self.channels))
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
        self,
        x: tf.Tensor,
        mixing: tf.Tensor,
        seed: tf.Tensor | None = None,
        freeze_weights: bool = False,
        statistics: kernels.Statistics | None = None,
    ) -> tf.Tensor:
        """Mixes the primitives of `x`.

        Args:
            x: [n, h, w, c].
            mixing: [edges, K], of any sign unless promised to be `nonnegative`, in the order of the space's
                primitives.
            seed: int32 [2], seed of the weights' noise; None evaluates the mean weights.
            freeze_weights: gradients stop at the weights, which spares computing them in an alpha step.
            statistics: of the normalisations; None for those of the batch, as in training.
        """
        x = tf.cast(x, self.compute_dtype)
        variables = [self.mean, self.log_variance if seed is not None else None]
        # Outside of the graph function: its gradient is then traced once, and TensorFlow drops what nobody asks of it.
        stop = tf.stop_gradient if freeze_weights else tf.convert_to_tensor
        mixing = tf.cast(mixing, tf.float32)
        mean, log_variance = (None if variable is None else stop(variable.value) for variable in variables)
        kind = {"stride": self.stride, "space": self.space.name, "estimator": self.estimator}
        shape = self.compute_output_shape(x.shape)
        weights = self._by_round(mean, log_variance, seed)
        of_layers = {
            place: tf.cast(tf.concat([layer(x) for layer in of_edges], axis=-1), x.dtype)
            for place, of_edges in self.registered.items()
        }
        outputs = primitive_outputs(x, weights, of_layers, mixing, shape, statistics, **kind)
        weighing = _weighing(self.space, self.stride, self.normalize_all, self.nonnegative)
        if statistics is not None:  # They are of this node alone, which has no function to share with others.
            return _mix.python_function(mixing, *outputs, weighing=weighing, statistics=statistics)
        y = kernels.call_for_any_size(
            _mix, (mixing, (1,)), *((output, (3,)) for output in outputs), weighing=weighing, statistics=None
        )
        y.set_shape(shape)
        return y

    def _by_round(self, mean: tf.Tensor, log_variance: tf.Tensor | None, seed: tf.Tensor | None) -> list[Weights]:
        """The weights of each round of blocks."""
        of_rounds = [links_of(blocks) for blocks in rounds(self.space, self.stride)]
        if len(of_rounds) == 1:
            return [Weights(mean, log_variance, seed)]
        sizes = [sum(map(math.prod, kernel_shapes(each, self.channels, self.edges))) for each in of_rounds]
        means, log_variances = (
            [None] * len(sizes) if flat is None else tf.split(flat, sizes) for flat in (mean, log_variance)
        )
        seeds = [None] * len(sizes) if seed is None else kernels.split(seed, len(sizes))
        return [Weights(*each) for each in zip(means, log_variances, seeds, strict=True)]

    def cut(self, flat: np.ndarray) -> list[list[np.ndarray]]:
        """The kernels of each edge out of a flat vector such as `mean`, in the order of `kernel_layout.links`."""
        kernels_of: list[list[np.ndarray]] = [[] for _ in range(self.edges)]
        convolutions = links(self.space, self.stride)
        for link, shape in zip(convolutions, kernel_shapes(convolutions, self.channels, self.edges), strict=True):
            size = math.prod(shape)
            for edge, kernel in enumerate(np.split(flat[:size].reshape(shape), self.edges, edge_axis(link))):
                kernels_of[edge].append(kernel)
            flat = flat[size:]
        return kernels_of

    def compute_output_shape(self, input_shape: Shape, *_: Any) -> Shape:
        """Shape of the output."""
        height, width = (None if n is None else -(-n // self.stride) for n in input_shape[1:3])
        return (input_shape[0], height, width, self.edges * input_shape[3])

    def get_config(self) -> dict[str, Any]:
        """The layer's arguments."""
        return {
            **super().get_config(),
            "edges": self.edges,
            "stride": self.stride,
            "space": self.space.name,
            "normalize_all": self.normalize_all,
            "nonnegative": self.nonnegative,
            "variational": self.variational,
            "estimator": self.estimator,
            "seed": self.seed,
        }


# Apart from what makes the outputs, because a normalisation has to know its channels.
@called_not_inlined
def _mix(
    mixing: tf.Tensor,
    *outputs: tf.Tensor,
    weighing: tuple[Weigh | None, ...],
    statistics: kernels.Statistics | None,
) -> tf.Tensor:
    """The sum of the outputs, each times its mixing weight (VINNAS, eq. 3), by `_weighing`."""
    channels = outputs[0].shape[-1] // kernels.sizes(mixing)[0]
    of_channels = tf.unstack(tf.repeat(mixing, channels, axis=0), axis=1)
    kept = [(weigh, weight) for weigh, weight in zip(weighing, of_channels, strict=True) if weigh]
    return tf.add_n([weigh(y, weight, statistics) for y, (weigh, weight) in zip(outputs, kept, strict=True)])


def _weighing(space: SearchSpace, stride: int, normalize_all: bool, nonnegative: bool) -> tuple[Weigh | None, ...]:
    """How the output of each primitive is normalised and multiplied by its mixing weight; None for zero."""
    each: list[Weigh | None] = []
    for name in space.primitives:
        if name == "zero":
            each.append(None)
        elif space.normalizes(name, stride) and not space.pre_activation:
            each.append(kernels.normalize_relu if nonnegative else _normalize_relu_multiply)
        elif normalize_all or space.normalizes(name, stride):
            each.append(kernels.normalize)
        else:
            each.append(_multiply)
    return tuple(each)


def _normalize_relu_multiply(y: tf.Tensor, weight: tf.Tensor, statistics: kernels.Statistics | None) -> tf.Tensor:
    return tf.cast(weight, y.dtype) * kernels.normalize_relu(y, statistics=statistics)


def _multiply(y: tf.Tensor, weight: tf.Tensor, _: kernels.Statistics | None) -> tf.Tensor:
    return tf.cast(weight, y.dtype) * y
