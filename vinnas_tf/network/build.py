"""The found architecture as a Functional Keras model: the network that is trained from scratch, pruned and shipped."""

from collections.abc import Iterator

import keras
import tensorflow as tf

from vinnas_tf.architecture.genotype import Genotype
from vinnas_tf.architecture.skeleton import cell_places, require_fit, require_stem_of, searched_cells, stem_channels
from vinnas_tf.architecture.space import SPACES, SearchSpace
from vinnas_tf.architecture.stem import PLAIN, STEMS
from vinnas_tf.config import FLOAT32, LOCAL_REPARAMETRIZATION, require_skeleton, require_stem, require_stem_stride
from vinnas_tf.errors import require
from vinnas_tf.kernels.device import prepare_machine
from vinnas_tf.layers.convolution import VariationalDense
from vinnas_tf.layers.drop_path import DropPath
from vinnas_tf.network.parts import NetworkParts, auxiliary_logits
from vinnas_tf.network.pyramid import pyramid_block


def build_network(
    genotype: Genotype,
    *,
    cells: str,
    channels: int,
    image_shape: tuple[int, ...],
    classes: int,
    stem: str = PLAIN.name,
    stem_stride: int = 1,
    drop_path: float = 0.0,
    auxiliary: bool = False,
    variational: bool = True,
    estimator: str = LOCAL_REPARAMETRIZATION,
    seed: int = 0,
) -> keras.Model:
    """The evaluation network (VINNAS, section V-A, b; skeleton as in the search): images [n, h, w, c] to logits.

    Stem (3x3 convolutions, batch normalisation), cells, global average pooling, linear classifier. Each reduction cell
    doubles the channels. Layers are named by their place: `cell_0_1to2_sep_conv_3x3_conv_0` is the first convolution on
    the edge from node 1 to node 2 of the first cell.

    Args:
        genotype: the found cells.
        cells: skeleton, one letter a cell: N(ormal) or R(eduction).
        channels: channels of the states before the first reduction; in a pyramid how many all cells add to the stem's.
        image_shape: [height, width, channels] of the images.
        classes: number of classes.
        stem: what stands before the cells: plain, cifar or imagenet (`architecture.stem`).
        stem_stride: of the plain stem's convolution; 2 quarters the cost of everything behind it.
        drop_path: probability with which an operation that is not the identity is dropped for an example in training.
        auxiliary: adds a second output for training only, the logits of a tower behind the last reduction cell. As it
            is never shipped, its weights are deterministic. `evaluation_network` leaves it out.
        variational: Gaussian weights; False makes deterministic weights.
        estimator: of the outputs in training, one of config.ESTIMATORS.
        seed: of the initial weights, the weights' noise and drop path.

    Raises:
        SettingError: the genotype lacks a cell group of the skeleton, or stem and skeleton do not fit the images.

    Example:
        >>> from vinnas_tf.architecture.genotype import Edge
        >>> genotype = Genotype(1, {"normal": (Edge(2, 0, "skip"), Edge(2, 1, "sep_conv_3x3"))})
        >>> network = build_network(genotype, cells="NN", channels=4, image_shape=(8, 8, 1), classes=3)
        >>> network.output_shape
        (None, 3)
    """
    prepare_machine()
    _check(genotype, cells, channels, image_shape, stem, stem_stride, drop_path, auxiliary)
    space = SPACES[genotype.space]
    parts = NetworkParts(space, variational=variational, estimator=estimator, drop_path=drop_path, seed=seed)
    images = keras.Input(image_shape, name="images")
    first, second = parts.stem(images, STEMS[stem], stem_channels(channels, space), stem_stride)
    auxiliary_position = cells.rfind("R") if auxiliary else None
    searched = searched_cells(cells, space)
    for place in cell_places(cells, channels, STEMS[stem], space):
        name = f"cell_{place.position}"
        if space.pyramid:
            output = pyramid_block(parts, second, genotype.connected_edges(place.group), genotype.states, place, name)
        elif place.group in searched:
            inputs = [first, second][-space.inputs :]
            if space.preprocesses:
                sides = zip(inputs, (place.stride_first, 1), (f"{name}_first", f"{name}_second"), strict=True)
                inputs = [parts.preprocessed(x, stride, place.channels, side) for x, stride, side in sides]
            edges = genotype.connected_edges(place.group)
            output = parts.cell(inputs, genotype.states, edges, place.reduction, name)
        else:
            output = parts.residual_block(second, place.channels, name)
        first, second = second, output
        if place.position == auxiliary_position:
            tower = auxiliary_logits(second, classes, STEMS[stem].tower_stride)
    if space.activates_output:
        second = parts.activated(parts.normalized(second, "last"), "last")
    pooled = keras.layers.GlobalAveragePooling2D(name="pool")(second)
    logits = VariationalDense(classes, use_bias=True, **parts.gaussian("classifier"))(pooled)
    return keras.Model(images, [logits, tower] if auxiliary else logits, name="network")


def evaluation_network(network: keras.Model) -> keras.Model:
    """The same layers and weights, without the auxiliary tower: images to logits alone."""
    return keras.Model(network.input, network.outputs[0], name=network.name)


def deterministic_network(network: keras.Model) -> keras.Model:
    """A copy for evaluation with the mean weights, in float32: no noise, no drop path, no auxiliary tower."""

    def without_noise(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = layer.get_config()
        if "variational" in config:
            config["variational"] = False
        if isinstance(layer, DropPath):
            config["rate"] = 0.0
        if "dtype" in config:
            config["dtype"] = FLOAT32
        return type(layer).from_config(config)

    original = evaluation_network(network)
    copy = keras.models.clone_model(original, clone_function=without_noise)
    copy_weights(original, copy)
    return copy


def copy_weights(source: keras.Model, target: keras.Model) -> None:
    """Gives the layers of `target` the weights of the layers of the same names in `source`, but no drop path's rate."""
    for layer in target.layers:
        if not isinstance(layer, DropPath):
            given = source.get_layer(layer.name).weights
            if len(given) == len(layer.weights):  # By place, as a layer of layers has several weights of one name.
                values = dict(zip(map(id, layer.weights), given, strict=True))
            else:
                named = {variable.name: variable for variable in given}
                values = {id(variable): named[variable.name] for variable in layer.weights}
            for variable in layer.weights:
                variable.assign(values[id(variable)])


def gaussian_layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """The layers that hold a posterior, `mean` and `log_variance`, in the order of the model."""
    return (layer for layer in model.layers if getattr(layer, "log_variance", None) is not None)


def weight_posteriors(model: keras.Model) -> Iterator[tuple[tf.Tensor, tf.Tensor]]:
    """(mean, log_variance) of every layer with Gaussian weights."""
    return ((layer.mean.value, layer.log_variance.value) for layer in gaussian_layers(model))


def _check(
    genotype: Genotype,
    cells: str,
    channels: int,
    image_shape: tuple[int, ...],
    stem: str,
    stem_stride: int,
    drop_path: float,
    auxiliary: bool,
) -> None:
    require_skeleton(cells)
    require(channels >= 1, f"channels must be at least 1, got {channels}.")
    require_stem(stem, channels)
    require_stem_stride(stem_stride, stem)
    require(0 <= drop_path < 1, f"drop_path must lie in [0, 1), got {drop_path}.")
    space = SPACES[genotype.space]
    require_stem_of(space, stem)
    if space.pyramid:
        _check_pyramid(genotype, cells)
    else:
        _check_groups(genotype, cells, space)
    side = -(-min(image_shape[:2]) // stem_stride)
    require_fit(cells, side, STEMS[stem])
    if auxiliary:
        require(
            "R" in cells,
            f"the auxiliary tower stands behind a reduction cell and cells={cells} has none: use auxiliary_weight=0.",
        )
        reduced = -(-side // (STEMS[stem].stride * 2 ** cells.count("R")))
        needed = STEMS[stem].tower_stride + 1
        require(
            reduced >= needed,
            f"the auxiliary tower needs {needed} pixels a side behind the last reduction, got {reduced}: "
            "use auxiliary_weight=0, or fewer R.",
        )


def _check_groups(genotype: Genotype, cells: str, space: SearchSpace) -> None:
    for group, (position, *_) in searched_cells(cells, space).items():
        letter = cells[position]
        require(
            group in genotype.cells,
            f"cells={cells} needs a {group} cell and the genotype has none: "
            f"use a genotype that was searched with {letter} in cells, or leave {letter} out.",
        )
        require(
            bool(genotype.connected_edges(group)),
            f"nothing leads from input to output of the genotype's {group} cell: search another.",
        )


def _check_pyramid(genotype: Genotype, cells: str) -> None:
    require(
        genotype.cells.keys() == searched_cells(cells, SPACES[genotype.space]).keys(),
        f"cells={cells} has {len(cells)} cells, each with an architecture of its own, and the genotype has "
        f"{len(genotype.cells)}: give the cells that it was searched with.",
    )
    require(
        any(genotype.connected_edges(group) for group in genotype.cells),
        "nothing leads from input to output of any cell of the genotype: search another.",
    )
