"""The parts that a found network is made of, as calls on Keras tensors."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from vinnas_tf.architecture.genotype import Edge
from vinnas_tf.architecture.primitives import PRIMITIVES, Convolution, convolutions
from vinnas_tf.architecture.space import SearchSpace
from vinnas_tf.layers.batch_normalization import BatchNormalization
from vinnas_tf.layers.convolution import VariationalConv2D, VariationalDepthwiseConv2D
from vinnas_tf.layers.drop_path import DropPath

# The auxiliary tower of DARTS: images of 8 x 8 are pooled to 2 x 2, then 128 and 768 features.
AUXILIARY_SIDE = 4
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

    def operation(self, x: keras.KerasTensor, primitive: str, stride: int, name: str) -> keras.KerasTensor:
        """One primitive; drop path follows it unless it is the identity."""
        chain = convolutions(primitive, stride)
        pool, layer = PRIMITIVES[primitive].pool, PRIMITIVES[primitive].layer
        if not chain and not pool and not layer:
            return x
        before = self.space.pre_activation
        if chain and before:
            x = self.activated(x, name)
        for position, (convolution, strides) in enumerate(chain):
            x = self.convolution(x, convolution, strides, x.shape[-1], f"{name}_conv_{position}")
        if layer:
            x = layer(x.shape[-1], stride, name=f"{name}_layer")(x)
        if pool:
            x = _POOLS[pool](3, strides=stride, padding="same", name=f"{name}_pool")(x)
        if primitive != "skip" and (chain or not before):
            x = self.normalized(x, name)
            x = x if before else self.activated(x, name)
        if self.drop_path:
            x = DropPath(self.drop_path, seed=self.seed(), name=f"{name}_drop_path")(x)
        return x

    def cell(
        self, inputs: Sequence[keras.KerasTensor], states: int, edges: Sequence[Edge], reduction: bool, name: str
    ) -> keras.KerasTensor:
        """A cell of these edges, each of which lies on a way from an input to the output."""
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
        if not self.space.concatenates:
            return nodes[-1]
        outputs = [node for node in nodes[len(inputs) :] if node is not None]
        if len(outputs) == 1:
            return outputs[0]
        return keras.layers.Concatenate(name=f"{name}_output")(outputs)


def auxiliary_logits(x: keras.KerasTensor, classes: int) -> keras.KerasTensor:
    """DARTS's auxiliary head; its 2x2 convolution of a 2x2 image is written as what it is, a linear layer."""
    narrow, wide = _AUXILIARY_FEATURES
    x = keras.layers.ReLU(name="auxiliary_relu_0")(x)
    window = (x.shape[1] - 3, x.shape[2] - 3)  # With stride 3 the pooled image is 2 x 2; 5 x 5 as in DARTS for 8 x 8.
    x = keras.layers.AveragePooling2D(window, strides=3, name="auxiliary_pool")(x)
    x = keras.layers.Conv2D(narrow, 1, use_bias=False, name="auxiliary_conv")(x)
    x = keras.layers.ReLU(name="auxiliary_relu_1")(keras.layers.BatchNormalization(name="auxiliary_bn_1")(x))
    x = keras.layers.Flatten(name="auxiliary_flatten")(x)
    x = keras.layers.Dense(wide, use_bias=False, name="auxiliary_dense")(x)
    x = keras.layers.ReLU(name="auxiliary_relu_2")(keras.layers.BatchNormalization(name="auxiliary_bn_2")(x))
    return keras.layers.Dense(classes, name="auxiliary_classifier")(x)
