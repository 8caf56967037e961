"""The bottleneck block of PyramidNet around a cell of the supergraph."""

from typing import Any

import keras
import tensorflow as tf

from vinnas_tf import kernels
from vinnas_tf.architecture.pyramid import BOTTLENECK, GROUPS
from vinnas_tf.architecture.space import SPACES, VINNAS
from vinnas_tf.config import LOCAL_REPARAMETRIZATION
from vinnas_tf.errors import require
from vinnas_tf.layers.arguments import one_of, whole
from vinnas_tf.layers.cell import MixedCell
from vinnas_tf.layers.convolution import Shape, VariationalConv2D


@keras.saving.register_keras_serializable(package="vinnas_tf")
class PyramidBlock(keras.layers.Layer):
    """A residual block whose middle is a searched cell (Han, Kim and Kim 2017, section 3; Zhou et al. 2019, 6.2).

    Batch normalisation, 1x1 convolution to the cell's width; for each input of the cell batch normalisation, ReLU and a
    grouped 3x3 convolution; the cell; batch normalisation, ReLU, 1x1 convolution to `BOTTLENECK` times the width, batch
    normalisation. The shortcut is padded with channels of zeros, and average-pooled where the block halves its images.

    Args:
        states: number of states of the cell.
        channels: of the cell; an even number.
        space: name of the search space.
        normalize_all: of the mixed ops.
        nonnegative: of the mixed ops.
        reduction: whether the grouped convolutions have stride 2.
        variational: Gaussian weights.
        estimator: of the outputs in training, one of config.ESTIMATORS.
        seed: seed of the initial weights.

    Attributes:
        cell: the searched cell.

    Inputs: as `MixedCell`'s, of which the first is not read; output [n, h', w', BOTTLENECK * channels].
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
        variational: bool = True,
        estimator: str = LOCAL_REPARAMETRIZATION,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(autocast=False, **kwargs)  # As of the mixed ops.
        self.channels = whole(channels, "channels")
        require(channels % GROUPS == 0, f"channels must be a multiple of {GROUPS}, got {channels}.")
        self.reduction = reduction
        self.inputs = SPACES[one_of(space, "space", SPACES)].inputs
        self.seed = seed
        shared: dict[str, Any] = {"variational": variational, "estimator": estimator, "dtype": self.dtype_policy}
        self.cell = MixedCell(
            states,
            channels,
            space=space,
            normalize_all=normalize_all,
            nonnegative=nonnegative,
            seed=seed,
            name="cell",
            **shared,
        )
        # The cell takes those before.
        seeds = iter(range(1000 * seed + 998 - GROUPS, 1000 * seed + 1000))
        self.narrowing = VariationalConv2D(channels, (1, 1), seed=next(seeds), name="first", **shared)
        # A group of channels at a time, for all inputs of the cell side by side.
        self.grouped = [
            VariationalConv2D(
                self.inputs * channels // GROUPS,
                (3, 3),
                strides=2 if reduction else 1,
                seed=next(seeds),
                name=f"group_{group}",
                **shared,
            )
            for group in range(GROUPS)
        ]
        self.widening = VariationalConv2D(BOTTLENECK * channels, (1, 1), seed=next(seeds), name="last", **shared)

    def build(self, first_shape: Shape, second_shape: Shape, *_: Any) -> None:
        """Builds the convolutions and the cell."""
        self.narrowing.build(second_shape)
        narrow = (*second_shape[:3], self.channels)
        for convolution in self.grouped:
            convolution.build((*narrow[:3], self.channels // GROUPS))
        of_cell = (*self.compute_output_shape(first_shape, second_shape)[:3], self.channels)
        self.cell.build(of_cell, of_cell)
        self.widening.build(of_cell)

    def compute_output_shape(self, first_shape: Shape, second_shape: Shape, *_: Any) -> Shape:
        """Shape of the output."""
        stride = 2 if self.reduction else 1
        height, width = (None if n is None else -(-n // stride) for n in second_shape[1:3])
        return (second_shape[0], height, width, BOTTLENECK * self.channels)

    def call(
        self,
        first: tf.Tensor,
        second: tf.Tensor,
        mixing: tf.Tensor,
        seed: tf.Tensor | None = None,
        freeze_weights: bool = False,
        statistics: kernels.Statistics | None = None,
    ) -> tf.Tensor:
        """The block's output.

        Args:
            first: not read.
            second: output of the block before.
            mixing: [edges, K] mixing weights.
            seed: int32 [2], seed of the weights' noise; None evaluates the mean weights.
            freeze_weights: gradients stop at the mixed ops' weights.
            statistics: of the normalisations; None for those of the batch, as in training.
        """
        second = tf.cast(second, self.compute_dtype)
        training = seed is not None
        own = [self.narrowing, *self.grouped, self.widening]
        *seeds, seed_cell = [None] * (len(own) + 1) if seed is None else kernels.split(seed, len(own) + 1)
        of = {id(convolution): each for convolution, each in zip(own, seeds, strict=True)}

        def convolve(convolution: VariationalConv2D, x: tf.Tensor) -> tf.Tensor:
            return convolution(x, training=training, seed=of[id(convolution)])

        x = convolve(self.narrowing, kernels.normalize(second, statistics=statistics))
        groups = tf.split(kernels.normalize_relu(x, statistics=statistics), GROUPS, axis=-1)
        halves = [
            tf.split(convolve(convolution, group), self.inputs, axis=-1)
            for convolution, group in zip(self.grouped, groups, strict=True)
        ]
        roots = [
            kernels.normalize(tf.concat(of_input, axis=-1), statistics=statistics)
            for of_input in zip(*halves, strict=True)
        ]
        x = self.cell(roots[0], roots[-1], mixing, seed=seed_cell, freeze_weights=freeze_weights, statistics=statistics)
        x = convolve(self.widening, kernels.normalize_relu(x, statistics=statistics))
        x = kernels.normalize(x, statistics=statistics)
        shortcut = tf.nn.avg_pool2d(second, 2, 2, "SAME") if self.reduction else second
        missing = x.shape[-1] - shortcut.shape[-1]
        return x + tf.pad(shortcut, [[0, 0], [0, 0], [0, 0], [0, missing]])

    def get_config(self) -> dict[str, Any]:
        """The layer's arguments."""
        of_cell = self.cell.get_config()
        shared = ("states", "space", "normalize_all", "nonnegative", "variational", "estimator")
        return {
            **super().get_config(),
            **{name: of_cell[name] for name in shared},
            "channels": self.channels,
            "reduction": self.reduction,
            "seed": self.seed,
        }
