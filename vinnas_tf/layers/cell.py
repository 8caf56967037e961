"""The cell of the supergraph: a directed acyclic graph of states, with a mixed operation on every edge."""

from typing import Any

import keras
import tensorflow as tf

from vinnas_tf import kernels
from vinnas_tf.architecture.primitives import Convolution
from vinnas_tf.architecture.space import SPACES, VINNAS
from vinnas_tf.config import LOCAL_REPARAMETRIZATION
from vinnas_tf.errors import require
from vinnas_tf.kernels.private import called_not_inlined
from vinnas_tf.layers.arguments import one_of, whole
from vinnas_tf.layers.convolution import Shape, VariationalConv2D
from vinnas_tf.layers.mixed_op import MixedOp
from vinnas_tf.layers.sampling import apply_linear, linear_map


@keras.saving.register_keras_serializable(package="vinnas_tf")
class Preprocess(keras.layers.Layer):
    """ReLU, 1x1 convolution, batch normalisation: brings an input of a cell to the cell's width and size.

    Batch normalisation as everywhere in the search: no learnt scale or shift (VINNAS, V-A), no running statistics.

    Args:
        channels: output channels.
        stride: 2 where the cell before the previous one has twice the resolution, else 1.
        factorized: at stride 2, DARTS's factorised reduction in the place of one strided convolution.
        variational: Gaussian weights.
        estimator: of the outputs in training, one of config.ESTIMATORS.
        seed: seed of the initial weights.

    Input [n, h, w, c]; output [n, ceil(h / stride), ceil(w / stride), channels].
    """

    def __init__(
        self,
        channels: int,
        *,
        stride: int = 1,
        factorized: bool = False,
        variational: bool = True,
        estimator: str = LOCAL_REPARAMETRIZATION,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.channels = whole(channels, "channels")
        self.stride = whole(stride, "stride")
        self.factorized = factorized
        if factorized and stride > 1:
            require(stride == 2, f"a factorised reduction has a stride of 2, got {stride}.")
            require(channels % 2 == 0, f"a factorised reduction has an even number of channels, got {channels}.")
        self.variational = variational
        self.estimator = estimator
        self.seed = seed
        self.convolution = VariationalConv2D(
            channels,
            (1, 1),
            strides=(stride, stride),
            variational=variational,
            estimator=estimator,
            seed=seed,
            dtype=self.dtype_policy,
        )

    def build(self, input_shape: Shape) -> None:
        """Builds the convolution."""
        self.convolution.build(input_shape)

    def call(
        self,
        x: tf.Tensor,
        training: bool | None = None,
        seed: tf.Tensor | None = None,
        statistics: kernels.Statistics | None = None,
    ) -> tf.Tensor:
        """Maps `x`; in training with noise from `seed` (int32 [2]), or from the convolution's own generator.

        `statistics` are those to normalise by; None for those of the batch, as in training.
        """
        mean, log_variance, seed = self.convolution.noisy_weights(training, seed)
        y = kernels.call_for_any_size(
            _activate_and_convolve,
            (x, ()),
            (mean, (0, 1)),
            (log_variance, (0, 1)),
            (seed, (0,)),
            stride=self.stride,
            factorized=self.factorized and self.stride > 1,
            estimator=self.estimator,
        )
        y.set_shape(self.compute_output_shape(x.shape))
        return kernels.normalize(y, statistics=statistics)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Shape of the output."""
        return self.convolution.compute_output_shape(input_shape)

    def get_config(self) -> dict[str, Any]:
        """The layer's arguments."""
        return {
            **super().get_config(),
            "channels": self.channels,
            "stride": self.stride,
            "factorized": self.factorized,
            "variational": self.variational,
            "estimator": self.estimator,
            "seed": self.seed,
        }


# Called rather than inlined and traced for any size, as the mixed op is.
@called_not_inlined
def _activate_and_convolve(
    x: tf.Tensor,
    mean: tf.Tensor,
    log_variance: tf.Tensor | None,
    seed: tf.Tensor | None,
    *,
    stride: int,
    factorized: bool,
    estimator: str,
) -> tf.Tensor:
    linear, read = linear_map(tf.nn.relu(x), Convolution((1, 1), factorized=factorized), (stride, stride))
    return apply_linear(linear, read, mean, log_variance, seed, estimator)


@keras.saving.register_keras_serializable(package="vinnas_tf")
class MixedCell(keras.layers.Layer):
    """A cell of the supergraph: every state takes a mixed op from each node that the space lets it read.

    Args:
        states: number of states I.
        channels: channels of each state.
        space: name of the search space.
        normalize_all: of the mixed ops.
        nonnegative: of the mixed ops.
        reduction: whether edges from the cell's inputs have stride 2.
        stride_first: stride of the preprocessing of the first input (2 after a reduction cell).
        variational: Gaussian weights.
        estimator: of the outputs in training, one of config.ESTIMATORS.
        seed: seed of the initial weights.

    Attributes:
        edges: (source, target) of each, in the order of the mixing weights.
        operations: the mixed ops of the edges out of each node but the last, by target.
        rows: the places of those edges in `edges`.
        operation_shapes: [height, width, channels] of each mixed op's input, once built.

    Inputs: the images of the last two cells (a space of one input reads the second) and mixing weights [edges, K];
    output [n, h', w', states * channels], or [n, h', w', channels] where the output is the last state or a sum.
    """

    def __init__(
        self,
        states: int,
        channels: int,
        *,
        space: str = VINNAS.name,
        normalize_all: bool = False,
        nonnegative: bool = False,
        reduction: bool = False,
        stride_first: int = 1,
        variational: bool = True,
        estimator: str = LOCAL_REPARAMETRIZATION,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(autocast=False, **kwargs)  # As of the mixed ops.
        self.states = whole(states, "states")
        self.channels = whole(channels, "channels")
        self.space = SPACES[one_of(space, "space", SPACES)]
        self.normalize_all = normalize_all
        self.nonnegative = nonnegative
        self.reduction = reduction
        self.stride_first = stride_first
        self.variational = variational
        self.estimator = estimator
        self.seed = seed
        shared: dict[str, Any] = {"variational": variational, "estimator": estimator, "dtype": self.dtype_policy}
        # Distinct for all parts of all cells while a cell has fewer than 998 edges.
        seeds = iter(range(1000 * seed, 1000 * seed + 1000))
        self.preprocessings = []
        if self.space.preprocesses:
            self.preprocessings = [
                Preprocess(
                    channels,
                    stride=stride_first,
                    factorized=self.space.factorizes,
                    seed=next(seeds),
                    name="first",
                    **shared,
                ),
                Preprocess(channels, seed=next(seeds), name="second", **shared),
            ]
        self.edges = self.space.edges(states)
        rows: dict[int, list[int]] = {}
        for row, (source, _) in enumerate(self.edges):
            rows.setdefault(source, []).append(row)
        self.rows = [rows[source] for source in sorted(rows)]
        self.operations = [
            MixedOp(
                edges=len(edges),
                stride=2 if reduction and source < self.space.inputs else 1,
                space=space,
                normalize_all=normalize_all,
                nonnegative=nonnegative,
                seed=next(seeds),
                name=f"edges_from_{source}",
                **shared,
            )
            for source, edges in enumerate(self.rows)
        ]

    def build(self, first_shape: Shape, second_shape: Shape, *_: Any) -> None:
        """Builds the preprocessings and all mixed ops."""
        for preprocessing, shape in zip(self.preprocessings, (first_shape, second_shape), strict=False):
            preprocessing.build(shape)
        before = (*second_shape[1:3], self.channels)
        after = (*self.compute_output_shape(first_shape, second_shape)[1:3], self.channels)
        self.operation_shapes = [before if source < self.space.inputs else after for source in range(len(self.rows))]
        for operation, shape in zip(self.operations, self.operation_shapes, strict=True):
            operation.build((None, *shape))

    def compute_output_shape(self, first_shape: Shape, second_shape: Shape, *_: Any) -> Shape:
        """Shape of the output."""
        stride = 2 if self.reduction else 1
        height, width = (None if n is None else -(-n // stride) for n in second_shape[1:3])
        channels = self.states * self.channels if self.space.concatenates else self.channels
        return (second_shape[0], height, width, channels)

    def call(
        self,
        first: tf.Tensor,
        second: tf.Tensor,
        mixing: tf.Tensor,
        seed: tf.Tensor | None = None,
        freeze_weights: bool = False,
        statistics: kernels.Statistics | None = None,
    ) -> tf.Tensor:
        """The cell's output.

        Args:
            first: output of cell c-2.
            second: output of cell c-1.
            mixing: [edges, K] mixing weights.
            seed: int32 [2], seed of the weights' noise; None evaluates the mean weights.
            freeze_weights: gradients stop at the mixed ops' weights.
            statistics: of the normalisations; None for those of the batch, as in training.
        """
        inputs = [tf.cast(x, self.compute_dtype) for x in (first, second)[-self.space.inputs :]]
        parts = len(self.preprocessings) + len(self.operations)
        seeds = iter([None] * parts if seed is None else kernels.split(seed, parts))
        for index, preprocessing in enumerate(self.preprocessings):
            inputs[index] = preprocessing(
                inputs[index], training=seed is not None, seed=next(seeds), statistics=statistics
            )
        per_edge = tf.unstack(mixing)
        operations = iter(zip(self.operations, self.rows, seeds, strict=True))

        # Side by side, the sums of states to come; by these states, the next one first.
        sums: dict[tuple[int, ...], tf.Tensor] = {}

        def add_terms(x: tf.Tensor) -> None:
            """Adds what a node gives to the states that read it."""
            operation, rows, own_seed = next(operations)
            of_edges = tf.stack([per_edge[row] for row in rows])
            terms = operation(x, of_edges, seed=own_seed, freeze_weights=freeze_weights, statistics=statistics)
            readers = tuple(self.edges[row][1] for row in rows)
            sums[readers] = tf.add_n([sums[readers], terms]) if readers in sums else terms

        def complete(node: int) -> tf.Tensor:
            """Cuts off a state to which nothing more is added."""
            nodes = next(nodes for nodes in sums if nodes[0] == node)
            state, rest = sums.pop(nodes), nodes[1:]
            if rest:
                state, sums[rest] = tf.split(state, [self.channels, len(rest) * self.channels], axis=-1)
            return state

        for x in inputs:
            add_terms(x)
        states = {}
        for node in range(len(inputs), len(inputs) + self.states):
            states[node] = complete(node)
            if node < len(self.operations):
                add_terms(states[node])
        outputs = [states[node] for node in self.space.outputs(self.states)]
        return tf.concat(outputs, axis=-1) if self.space.concatenates else tf.add_n(outputs)

    def get_config(self) -> dict[str, Any]:
        """The layer's arguments."""
        return {
            **super().get_config(),
            "states": self.states,
            "channels": self.channels,
            "space": self.space.name,
            "normalize_all": self.normalize_all,
            "nonnegative": self.nonnegative,
            "reduction": self.reduction,
            "stride_first": self.stride_first,
            "variational": self.variational,
            "estimator": self.estimator,
            "seed": self.seed,
        }
