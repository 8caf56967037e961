"""The found architecture as a Functional Keras model: the network that is trained from scratch, pruned and shipped."""

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from vinnas_tf.config import LOCAL_REPARAMETRIZATION, require, require_skeleton
from vinnas_tf.genotype import Edge, Genotype
from vinnas_tf.layers.batch_normalization import BatchNormalization
from vinnas_tf.layers.cell import walk_cell
from vinnas_tf.layers.convolution import VariationalConv2D, VariationalDense, VariationalDepthwiseConv2D
from vinnas_tf.layers.drop_path import DropPath
from vinnas_tf.primitives import PRIMITIVES, Convolution, convolutions
from vinnas_tf.skeleton import CELL_TYPE_OF, cell_places, require_fit
from vinnas_tf.variational import kl_divergence

# The auxiliary tower of DARTS: images of 8 x 8 are pooled to 2 x 2, then 128 and 768 features.
_AUXILIARY_SIDE = 4
_AUXILIARY_FEATURES = (128, 768)

_POOLS = {"max": keras.layers.MaxPooling2D, "average": keras.layers.AveragePooling2D}


def build_network(
    genotype: Genotype,
    *,
    cells: str,
    channels: int,
    image_shape: tuple[int, ...],
    classes: int,
    stem_stride: int = 1,
    drop_path: float = 0.0,
    auxiliary: bool = False,
    variational: bool = True,
    estimator: str = LOCAL_REPARAMETRIZATION,
    seed: int = 0,
) -> keras.Model:
    """The evaluation network (VINNAS, section V-A, b; skeleton as in the search): images [n, h, w, c] to logits.

    Stem (3x3 convolution, batch normalisation), cells, global average pooling, linear classifier. Each reduction cell
    doubles the channels. Layers are named by their place: `cell_0_1to2_sep_conv_3x3_conv_0` is the first convolution on
    the edge from node 1 to node 2 of the first cell.

    Args:
        genotype: the found cells.
        cells: skeleton, one letter a cell: N(ormal) or R(eduction).
        channels: channels of the stem and of the states before the first reduction.
        image_shape: [height, width, channels] of the images.
        classes: number of classes.
        stem_stride: of the stem's convolution; 2 quarters the cost of everything behind it.
        drop_path: probability with which an operation that is not the identity is dropped for an example in training.
        auxiliary: adds a second output for training only, the logits of a tower behind the last reduction cell. As it
            is never shipped, its weights are points. `evaluation_network` leaves it out.
        variational: Gaussian weights; False makes point weights.
        estimator: of the outputs in training, one of config.ESTIMATORS.
        seed: of the initial weights, the weights' noise and drop path.

    Raises:
        ConfigError: the genotype lacks a cell type of the skeleton, or the skeleton does not fit the images.
    """
    _check(genotype, cells, channels, image_shape, stem_stride, drop_path, auxiliary)
    make = _Layers(variational, estimator, drop_path, seed)
    images = keras.Input(image_shape, name="images")
    strides = (stem_stride, stem_stride)
    stem = make.convolution(images, Convolution((3, 3)), strides, channels, "stem_conv")
    first = second = make.normalized(stem, "stem")
    auxiliary_position = cells.rfind("R") if auxiliary else None
    for place in cell_places(cells, channels):
        name = f"cell_{place.position}"
        inputs = (
            make.preprocessed(first, place.channels, place.stride_first, f"{name}_first"),
            make.preprocessed(second, place.channels, 1, f"{name}_second"),
        )
        edges = genotype.cells[place.cell_type]
        first, second = second, make.cell(*inputs, genotype.states, edges, place.reduction, name)
        if place.position == auxiliary_position:
            tower = _auxiliary_logits(second, classes)
    pooled = keras.layers.GlobalAveragePooling2D(name="pool")(second)
    logits = VariationalDense(classes, use_bias=True, **make.gaussian("classifier"))(pooled)
    return keras.Model(images, [logits, tower] if auxiliary else logits, name="network")


def evaluation_network(network: keras.Model) -> keras.Model:
    """The same layers and weights, without the auxiliary tower: images to logits alone."""
    return keras.Model(network.input, network.get_layer("classifier").output, name=network.name)


def point_network(network: keras.Model) -> keras.Model:
    """A copy for evaluation with the mean weights as point weights: no noise, no drop path, no auxiliary tower."""

    def without_noise(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = layer.get_config()
        if "variational" in config:
            config["variational"] = False
        if isinstance(layer, DropPath):
            config["rate"] = 0.0
        return type(layer).from_config(config)

    original = evaluation_network(network)
    copy = keras.models.clone_model(original, clone_function=without_noise)
    copy_weights(original, copy)
    return copy


def copy_weights(source: keras.Model, target: keras.Model) -> None:
    """Gives the layers of `target` the weights of the layers of the same names in `source`, but no drop path's rate."""
    for layer in target.layers:
        if not isinstance(layer, DropPath):
            values = {variable.name: variable for variable in source.get_layer(layer.name).weights}
            for variable in layer.weights:
                variable.assign(values[variable.name])


def gaussian_layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """The layers that hold a posterior, `mean` and `log_variance`, in the order of the model."""
    return (layer for layer in model.layers if getattr(layer, "log_variance", None) is not None)


def weight_kl_divergence(model: keras.Model) -> tf.Tensor:
    """The sum of KL(w) over all Gaussian weights: the second term of VINNAS's objective (8), before gamma 1 / N."""
    means, log_variances = [], []
    for layer in gaussian_layers(model):
        means.append(tf.reshape(layer.mean.value, [-1]))
        log_variances.append(tf.reshape(layer.log_variance.value, [-1]))
    if not means:
        return tf.constant(0.0)
    return tf.reduce_sum(kl_divergence(tf.concat(means, axis=0), tf.concat(log_variances, axis=0)))


class _Layers:
    """Makes the layers of one network; what they share, kind of weights, drop path and seeds, stands here once."""

    def __init__(self, variational: bool, estimator: str, drop_path: float, seed: int) -> None:
        self.weights = {"variational": variational, "estimator": estimator}
        self.drop_path = drop_path
        self.seeds = np.random.default_rng(seed)

    def seed(self) -> int:
        return int(self.seeds.integers(2**31))

    def gaussian(self, name: str) -> dict[str, Any]:
        return {**self.weights, "seed": self.seed(), "name": name}

    def convolution(
        self, x: keras.KerasTensor, convolution: Convolution, strides: tuple[int, int], channels: int, name: str
    ) -> keras.KerasTensor:
        if convolution.depthwise:
            return VariationalDepthwiseConv2D(
                convolution.kernel_size, strides=strides, dilation_rate=convolution.dilation, **self.gaussian(name)
            )(x)
        return VariationalConv2D(channels, convolution.kernel_size, strides=strides, **self.gaussian(name))(x)

    def normalized(self, x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        return BatchNormalization(name=f"{name}_bn")(x)

    def preprocessed(self, x: keras.KerasTensor, channels: int, stride: int, name: str) -> keras.KerasTensor:
        """ReLU, 1x1 convolution, batch normalisation: an input of a cell at the cell's width and size."""
        x = keras.layers.ReLU(name=f"{name}_relu")(x)
        x = self.convolution(x, Convolution((1, 1)), (stride, stride), channels, f"{name}_conv")
        return self.normalized(x, name)

    def operation(self, x: keras.KerasTensor, primitive: str, stride: int, name: str) -> keras.KerasTensor:
        """One primitive; drop path follows it unless it is the identity."""
        chain = convolutions(primitive, stride)
        pool = PRIMITIVES[primitive].pool
        if not chain and not pool:
            return x
        for position, (convolution, strides) in enumerate(chain):
            x = self.convolution(x, convolution, strides, x.shape[-1], f"{name}_conv_{position}")
        if pool:
            x = _POOLS[pool](3, strides=stride, padding="same", name=f"{name}_pool")(x)
        if primitive != "skip":
            x = keras.layers.ReLU(name=f"{name}_relu")(self.normalized(x, name))
        if self.drop_path:
            x = DropPath(self.drop_path, seed=self.seed(), name=f"{name}_drop_path")(x)
        return x

    def cell(
        self,
        first: keras.KerasTensor,
        second: keras.KerasTensor,
        states: int,
        edges: tuple[Edge, ...],
        reduction: bool,
        name: str,
    ) -> keras.KerasTensor:
        """A cell between two preprocessed inputs."""

        def apply(edge: Edge) -> Callable[[keras.KerasTensor], keras.KerasTensor]:
            stride = 2 if reduction and edge.source < 2 else 1
            place = f"{name}_{edge.source}to{edge.target}_{edge.primitive}"
            return lambda x: self.operation(x, edge.primitive, stride, place)

        names = iter(f"{name}_state_{state}" for state in range(2, states + 2))

        def add(tensors: list[keras.KerasTensor]) -> keras.KerasTensor:
            state = next(names)
            return tensors[0] if len(tensors) == 1 else keras.layers.Add(name=state)(tensors)

        def concatenate(tensors: list[keras.KerasTensor]) -> keras.KerasTensor:
            return tensors[0] if len(tensors) == 1 else keras.layers.Concatenate(name=f"{name}_output")(tensors)

        applied = [(edge.source, edge.target, apply(edge)) for edge in edges]
        return walk_cell(first, second, states, applied, add, concatenate)


def _auxiliary_logits(x: keras.KerasTensor, classes: int) -> keras.KerasTensor:
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


def _check(
    genotype: Genotype,
    cells: str,
    channels: int,
    image_shape: tuple[int, ...],
    stem_stride: int,
    drop_path: float,
    auxiliary: bool,
) -> None:
    require_skeleton(cells)
    require(channels >= 1, f"--channels must be at least 1, got {channels}.")
    require(stem_stride in (1, 2), f"--stem_stride must be 1 or 2, got {stem_stride}.")
    require(0 <= drop_path < 1, f"--drop_path must lie in [0, 1), got {drop_path}.")
    for letter, cell_type in CELL_TYPE_OF.items():
        require(
            letter not in cells or cell_type in genotype.cells,
            f"--cells={cells} needs a {cell_type} cell and the genotype has none: "
            f"use a genotype that was searched with {letter} in --cells, or leave {letter} out.",
        )
    side = -(-min(image_shape[:2]) // stem_stride)
    require_fit(cells, side)
    if auxiliary:
        require("R" in cells, f"--auxiliary puts a tower behind a reduction cell and --cells={cells} has none.")
        reduced = -(-side // 2 ** cells.count("R"))
        require(
            reduced >= _AUXILIARY_SIDE,
            f"--auxiliary needs {_AUXILIARY_SIDE} pixels a side behind the last reduction, got {reduced}: "
            "leave it out, or use fewer R.",
        )
