"""The found architecture as a Functional Keras model: the network that is trained from scratch, pruned and shipped."""

from collections.abc import Iterator

import keras
import tensorflow as tf

from vinnas_tf.architecture.genotype import Genotype
from vinnas_tf.architecture.primitives import Convolution
from vinnas_tf.architecture.skeleton import CELL_TYPE_OF, cell_places, require_fit
from vinnas_tf.architecture.space import SPACES
from vinnas_tf.config import LOCAL_REPARAMETRIZATION, require_skeleton
from vinnas_tf.errors import require
from vinnas_tf.layers.convolution import VariationalDense
from vinnas_tf.layers.drop_path import DropPath
from vinnas_tf.network.parts import AUXILIARY_SIDE, NetworkParts, auxiliary_logits
from vinnas_tf.variational import kl_divergence


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
        SettingError: the genotype lacks a cell type of the skeleton, or the skeleton does not fit the images.
    """
    _check(genotype, cells, channels, image_shape, stem_stride, drop_path, auxiliary)
    space = SPACES[genotype.space]
    parts = NetworkParts(space, variational=variational, estimator=estimator, drop_path=drop_path, seed=seed)
    images = keras.Input(image_shape, name="images")
    stem = parts.convolution(images, Convolution((3, 3)), (stem_stride, stem_stride), channels, "stem_conv")
    first = second = parts.normalized(stem, "stem")
    auxiliary_position = cells.rfind("R") if auxiliary else None
    for place in cell_places(cells, channels):
        name = f"cell_{place.position}"
        if place.cell_type in space.cell_types:
            inputs = [first, second][-space.inputs :]
            if space.preprocesses:
                sides = zip(inputs, (place.stride_first, 1), (f"{name}_first", f"{name}_second"), strict=True)
                inputs = [parts.preactivated(x, (1, 1), stride, place.channels, side) for x, stride, side in sides]
            edges = genotype.connected_edges(place.cell_type)
            output = parts.cell(inputs, genotype.states, edges, place.reduction, name)
        else:
            output = parts.residual_block(second, place.channels, name)
        first, second = second, output
        if place.position == auxiliary_position:
            tower = auxiliary_logits(second, classes)
    if space.pre_activation:
        second = parts.activated(parts.normalized(second, "last"), "last")
    pooled = keras.layers.GlobalAveragePooling2D(name="pool")(second)
    logits = VariationalDense(classes, use_bias=True, **parts.gaussian("classifier"))(pooled)
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
    require(channels >= 1, f"channels must be at least 1, got {channels}.")
    require(stem_stride in (1, 2), f"stem_stride must be 1 or 2, got {stem_stride}.")
    require(0 <= drop_path < 1, f"drop_path must lie in [0, 1), got {drop_path}.")
    searched = SPACES[genotype.space].cell_types
    for letter, cell_type in CELL_TYPE_OF.items():
        if letter not in cells or cell_type not in searched:
            continue
        require(
            cell_type in genotype.cells,
            f"cells={cells} needs a {cell_type} cell and the genotype has none: "
            f"use a genotype that was searched with {letter} in cells, or leave {letter} out.",
        )
        require(
            bool(genotype.connected_edges(cell_type)),
            f"nothing leads from input to output of the genotype's {cell_type} cell: search another.",
        )
    side = -(-min(image_shape[:2]) // stem_stride)
    require_fit(cells, side)
    if auxiliary:
        require(
            "R" in cells,
            f"the auxiliary tower stands behind a reduction cell and cells={cells} has none: use auxiliary_weight=0.",
        )
        reduced = -(-side // 2 ** cells.count("R"))
        require(
            reduced >= AUXILIARY_SIDE,
            f"the auxiliary tower needs {AUXILIARY_SIDE} pixels a side behind the last reduction, got {reduced}: "
            "use auxiliary_weight=0, or fewer R.",
        )
