"""The parts that a found network is made of, as calls on Keras tensors."""

import itertools
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from vinnas_tf.architecture.genotype import Edge
from vinnas_tf.architecture.primitives import PRIMITIVES, Block, Convolution
from vinnas_tf.architecture.space import SearchSpace
from vinnas_tf.architecture.stem import Stem
from vinnas_tf.layers.batch_normalization import BatchNormalization
from vinnas_tf.layers.convolution import VariationalConv2D, VariationalDepthwiseConv2D
from vinnas_tf.layers.drop_path import DropPath

# The auxiliary tower of DARTS: images are pooled to 2 x 2, then 128 and 768 features.
_AUXILIARY_FEATURES = (128, 768)

_POOLS = {"max": keras.layers.MaxPooling2D, "average": keras.layers.AveragePooling2D}


class NetworkParts:
    """Makes the parts of one network.

    What they share stands here once.

    Args:
        space: the search space of the cells.
        variational: Gaussian weights, or deterministic ones.
        estimator: of the outputs in training, one of config.ESTIMATORS.
        drop_path: probability of dropping an operation.
        seed: of the initial weights, the weights' noise and drop path, drawn part by part.
    """

    def __init__(self, space: SearchSpace, *, variational: bool, estimator: str, drop_path: float, seed: int) -> None:
        self.space = space
        self.weights = {"variational": variational, "estimator": estimator}
        self.drop_path = drop_path
        self.seeds = np.random.default_rng(seed)

    def seed(self) -> int:
        """The next seed."""
        return int(self.seeds.integers(2**31))

    def gaussian(self, name: str) -> dict[str, Any]:
        """What every layer with Gaussian weights is given."""
        return {**self.weights, "seed": self.seed(), "name": name}

    def convolution(
        self, x: keras.KerasTensor, convolution: Convolution, strides: tuple[int, int], channels: int, name: str
    ) -> keras.KerasTensor:
        """A convolution alone, to `channels` channels."""
        if convolution.depthwise:
            return VariationalDepthwiseConv2D(
                convolution.kernel_size, strides=strides, dilation_rate=convolution.dilation, **self.gaussian(name)
            )(x)
        return VariationalConv2D(channels, convolution.kernel_size, strides=strides, **self.gaussian(name))(x)

    def normalized(self, x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        """Batch normalisation."""
        return BatchNormalization(name=f"{name}_bn")(x)

    def activated(self, x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        """ReLU."""
        return keras.layers.ReLU(name=f"{name}_relu")(x)

    def stem(self, images: keras.KerasTensor, stem: Stem, channels: int, stride: int) -> list[keras.KerasTensor]:
        """The first cell's two inputs; `stride` is beside those that the stem has."""
        x, outputs = images, []
        for convolution, width, name in zip(stem.convolutions, stem.widths(channels), stem.names, strict=True):
            if convolution.activated:
                x = self.activated(x, name)
            strides = (stride * convolution.stride,) * 2
            x = self.normalized(self.convolution(x, Convolution((3, 3)), strides, width, f"{name}_conv"), name)
            outputs.append(x)
        return [outputs[stem.first], outputs[-1]]

    def preactivated(
        self, x: keras.KerasTensor, kernel_size: tuple[int, int], stride: int, channels: int, name: str
    ) -> keras.KerasTensor:
        """ReLU, convolution, batch normalisation."""
        x = self.convolution(
            self.activated(x, name), Convolution(kernel_size), (stride, stride), channels, f"{name}_conv"
        )
        return self.normalized(x, name)

    def residual_block(self, x: keras.KerasTensor, channels: int, name: str) -> keras.KerasTensor:
        """The block between the stages of NAS-Bench-201, as `layers/residual_block.py` has it for the search."""
        y = self.preactivated(x, (3, 3), 2, channels, f"{name}_first")
        y = self.preactivated(y, (3, 3), 1, channels, f"{name}_second")
        pooled = keras.layers.AveragePooling2D(2, padding="same", name=f"{name}_pool")(x)
        shortcut = self.convolution(pooled, Convolution((1, 1)), (1, 1), channels, f"{name}_shortcut_conv")
        return keras.layers.Add(name=f"{name}_output")([y, shortcut])

    def preprocessed(self, x: keras.KerasTensor, stride: int, channels: int, name: str) -> keras.KerasTensor:
        """A cell's input at the cell's width, and at its size."""
        if self.space.pointwise(stride).factorized:
            return self.factorized(x, channels, name)
        return self.preactivated(x, (1, 1), stride, channels, name)

    def factorized(self, x: keras.KerasTensor, channels: int, name: str) -> keras.KerasTensor:
        """ReLU, and DARTS's factorised reduction: two strided 1x1 convolutions, one of the image moved by a pixel.

        Each half is normalised before they are joined, which is the same as behind it and lets stripping fold it.
        """
        x = self.activated(x, name)
        halves = []
        for place, image in enumerate((x, moved_by_a_pixel(x, 2, name))):
            half = self.convolution(image, Convolution((1, 1)), (2, 2), channels // 2, f"{name}_conv_{place}")
            halves.append(self.normalized(half, f"{name}_{place}"))
        return keras.layers.Concatenate(name=f"{name}_halves")(halves)

    def operation(self, x: keras.KerasTensor, primitive: str, stride: int, name: str) -> keras.KerasTensor:
        """One primitive; drop path follows it unless it is the identity."""
        blocks = self.space.blocks(primitive, stride)
        pool, layer = PRIMITIVES[primitive].pool, PRIMITIVES[primitive].layer
        if not blocks and not pool and not layer:
            return x
        if blocks and blocks[0][0][0].factorized:
            x = self.factorized(x, x.shape[-1], name)
        else:
            x = self.chained(x, blocks, name, normalized=primitive != "skip" or self.space.pre_activation)
        if layer:
            x = layer(x.shape[-1], stride, name=f"{name}_layer")(x)
        if pool:
            x = _POOLS[pool](3, strides=stride, padding="same", name=f"{name}_pool")(x)
        if not blocks and not self.space.pre_activation:
            x = self.activated(self.normalized(x, name), name)
        if self.drop_path:
            x = DropPath(self.drop_path, seed=self.seed(), name=f"{name}_drop_path")(x)
        return x

    def chained(
        self, x: keras.KerasTensor, blocks: Sequence[Block], name: str, *, normalized: bool
    ) -> keras.KerasTensor:
        """Blocks of convolutions, each normalised or not, with ReLU where the space has it."""
        names = (f"{name}_conv_{position}" for position in itertools.count())
        for place, block in enumerate(blocks):
            part = f"{name}_{place}" if len(blocks) > 1 else name
            if self.space.pyramid:
                x = self.normalized(x, part)
            if self.space.pre_activation:
                x = self.activated(x, part)
            for convolution, strides in block:
                x = self.convolution(x, convolution, strides, x.shape[-1], next(names))
            if normalized and not self.space.pyramid:
                x = self.normalized(x, part)
                x = x if self.space.pre_activation else self.activated(x, part)
        return x

    def cell(
        self, inputs: Sequence[keras.KerasTensor | None], states: int, edges: Sequence[Edge], reduction: bool, name: str
    ) -> keras.KerasTensor:
        """A cell of these edges, each of which lies on a way from an input to the output; None: an input not read."""
        nodes: list[keras.KerasTensor | None] = list(inputs)
        for state in range(len(inputs), len(inputs) + states):
            terms = []
            for edge in edges:
                if edge.target == state:
                    stride = 2 if reduction and edge.source < len(inputs) else 1
                    place = f"{name}_{edge.source}to{edge.target}_{edge.primitive}"
                    terms.append(self.operation(nodes[edge.source], edge.primitive, stride, place))
            if len(terms) > 1:
                terms = [keras.layers.Add(name=f"{name}_state_{state}")(terms)]
            nodes.append(terms[0] if terms else None)  # None: nothing leads there, and from there.
        outputs = [nodes[state] for state in self.space.outputs(states) if nodes[state] is not None]
        if len(outputs) == 1:
            return outputs[0]
        joined = keras.layers.Concatenate if self.space.concatenates else keras.layers.Add
        return joined(name=f"{name}_output")(outputs)


def moved_by_a_pixel(x: keras.KerasTensor, stride: int, name: str) -> keras.KerasTensor:
    """Images without their first row and column, from which a convolution of `stride` makes as many pixels as of `x`.

    Zeros are read beyond the border where a row or column would be missing.
    """
    x = keras.layers.Cropping2D(((1, 0), (1, 0)), name=f"{name}_moved")(x)
    missing = tuple((0, int(side % stride == 0)) for side in x.shape[1:3])
    return keras.layers.ZeroPadding2D(missing, name=f"{name}_padding")(x) if any(map(any, missing)) else x


def auxiliary_logits(x: keras.KerasTensor, classes: int, stride: int) -> keras.KerasTensor:
    """DARTS's auxiliary head; its 2x2 convolution of a 2x2 image is written as what it is, a linear layer.

    Args:
        x: images of more than `stride` pixels a side.
        classes: number of classes.
        stride: of the pool, whose window is what leaves 2 x 2 pixels.
    """
    narrow, wide = _AUXILIARY_FEATURES
    x = keras.layers.ReLU(name="auxiliary_relu_0")(x)
    window = (x.shape[1] - stride, x.shape[2] - stride)
    x = keras.layers.AveragePooling2D(window, strides=stride, name="auxiliary_pool")(x)
    x = keras.layers.Conv2D(narrow, 1, use_bias=False, name="auxiliary_conv")(x)
    x = keras.layers.ReLU(name="auxiliary_relu_1")(keras.layers.BatchNormalization(name="auxiliary_bn_1")(x))
    x = keras.layers.Flatten(name="auxiliary_flatten")(x)
    x = keras.layers.Dense(wide, use_bias=False, name="auxiliary_dense")(x)
    x = keras.layers.ReLU(name="auxiliary_relu_2")(keras.layers.BatchNormalization(name="auxiliary_bn_2")(x))
    return keras.layers.Dense(classes, name="auxiliary_classifier")(x)
