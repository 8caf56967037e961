"""The pruned network as plain Keras layers, without what cannot change the logits.

Stripping keeps the mean weights and folds batch normalisation into the convolution before it. Three passes over the
graph then decide what stays; each is exact:

1. forwards: which channels are the same number for every image and pixel, as those that only zeros reach, and which
   number it is. A constant passes through every layer but a spatial convolution: that one sees zeros beyond the border.
2. backwards: which channels must be computed. A constant needs no computing where it can be added later.
3. forwards: the layers are made, for these channels. Constants that were left out travel along as an offset until a
   bias takes them in. A layer that needs most of its input's channels reads them all, for picking some takes longer.
"""

import logging
from collections.abc import Sequence

import keras
import numpy as np

from vinnas_tf.layers.select import Select
from vinnas_tf.network.build import evaluation_network
from vinnas_tf.network.depthwise import plain_depthwise
from vinnas_tf.network.graph import Node, normalisation, read_graph
from vinnas_tf.network.layer_kinds import (
    DEPTHWISE,
    FLATTENING,
    IDENTITIES,
    LINEAR,
    MIXING,
    ONE_TO_ONE,
)

_log = logging.getLogger(__name__)

# From this share on, computing the other channels takes less time than picking the ones that count out of the image.
_WORTH_READING_ALL = 0.5


def strip(model: keras.Model, normalization: keras.layers.Layer | None = None) -> keras.Model:
    """The network at evaluation in Keras's own layers, with the channels and operations that count.

    Args:
        model: a Functional network of layers that are called once, such as one that `build_network` or `make_backbone`
            made, pruned or not. It is not changed; only its first output is kept, and so no auxiliary tower.
        normalization: a layer to put before it, so that the network takes images as they come.

    Returns:
        A model from the same images to the same logits, up to rounding; layers keep their names. A layer that
        `layer_kinds` doesn't know, as of a registered primitive, stays as it is, with all its channels; a warning is
        logged that names it.
    """
    nodes = read_graph(evaluation_network(model))
    opaque = [node.layer.name for node in nodes if node.opaque]
    if opaque:
        _log.warning("Stripping cannot see through %s: they are kept whole.", ", ".join(opaque))
    for node in nodes:
        node.constant = _constants(node)
        node.computed = np.zeros(node.constant.shape, bool)
    nodes[0].computed[:] = nodes[-1].computed[:] = True  # Images come and logits go whole.
    for node in reversed(nodes):
        if node.computed.any():
            node.demands = _demands(node)
            for source, demand in zip(node.inputs, node.demands, strict=True):
                source.computed |= demand
    for node in nodes:
        if node.computed.any():
            _widen(node)
            node.tensor, node.offset = _make(node)
        if node is nodes[0]:
            images = node.tensor
            node.tensor = normalization(images) if normalization else images
    return keras.Model(images, nodes[-1].tensor, name=model.name)


def _constants(node: Node) -> np.ndarray:
    """First pass: the node's `constant`. A NaN, for a channel that varies, spreads through the sums by itself."""
    inputs = [source.constant for source in node.inputs]
    if node.opaque or node.is_a(keras.layers.InputLayer):
        return np.full(node.layer.output.shape[-1], np.nan)
    if node.is_a(keras.layers.Add):
        return np.sum(inputs, axis=0)
    if node.is_a(keras.layers.Concatenate):
        return np.concatenate(inputs)
    (x,) = inputs
    if node.is_a(MIXING):
        folds = _folds(node)
        varies = _links(node)[~folds].any(axis=0)
        return np.where(varies, np.nan, node.bias + np.where(folds, x, 0) @ node.kernel.sum(axis=(0, 1)))
    if node.is_a(DEPTHWISE):
        return np.where((node.kernel == 0).all(axis=(0, 1, 3)) | (x == 0), node.bias, np.nan)
    if node.is_a(keras.layers.BatchNormalization):
        return x * node.scale + node.bias
    if node.is_a(keras.layers.ReLU):
        return np.clip(x, 0, node.layer.max_value)
    if node.is_a(keras.layers.ZeroPadding2D):
        return np.where(x == 0, x, np.nan)
    if node.is_a(FLATTENING):
        return np.tile(x, _pixels(node))
    if node.is_a(Select):
        return x[node.layer.channels]
    return x  # It is transparent.


def _pixels(node: Node) -> int:
    """How many pixels of its input's images a flattening layer lays side by side."""
    return node.layer.output.shape[-1] // node.layer.input.shape[-1]


def _folds(node: Node) -> np.ndarray:
    """Which input channels add the same number to all pixels of a convolution's output: a bias can do it for them."""
    x = node.inputs[0].constant
    return np.isfinite(x) if node.pointwise else x == 0


def _links(node: Node) -> np.ndarray:
    """[input channels, output channels]: whether any weight of the kernel leads from one to the other."""
    return (node.kernel != 0).any(axis=(0, 1))


def _demands(node: Node) -> Sequence[np.ndarray]:
    """Second pass: for each input, the channels that `node` reads for its computed channels."""
    if node.opaque:
        node.computed[:] = True
        return [np.ones(source.constant.shape, bool) for source in node.inputs]
    if node.is_a(keras.layers.Add):
        varying = [np.isnan(source.constant[node.computed]).any() for source in node.inputs]
        if not any(varying):
            varying[0] = True  # The constants of the others need a tensor that they can be added to.
        return [node.computed & varies for varies in varying]
    if node.is_a(keras.layers.Concatenate):
        return np.split(node.computed, np.cumsum([source.constant.size for source in node.inputs])[:-1])
    if node.is_a(MIXING):
        demand = _links(node)[:, node.computed].any(axis=1) & ~_folds(node)
        if not demand.any():
            demand[np.isnan(node.inputs[0].constant).argmax()] = True  # Keras's convolutions need an input channel.
        return [demand]
    if node.is_a(FLATTENING):
        return [node.computed.reshape(_pixels(node), -1).any(axis=0)]
    if node.is_a(Select):
        demand = np.zeros(node.inputs[0].constant.shape, bool)
        demand[np.array(node.layer.channels)[node.computed]] = True
        return [demand]
    return [node.computed for _ in node.inputs]


def _widen(node: Node) -> None:
    """Lets a layer whose channels come from one channel each compute all that its input has, where that is worth it."""
    if node.is_a((*ONE_TO_ONE, *FLATTENING, keras.layers.Concatenate)):
        pairs = zip(node.inputs, node.demands, strict=True)
        node.demands = [source.computed if _worth_reading_all(demand, source) else demand for source, demand in pairs]
        node.computed = np.concatenate(node.demands)
        if node.is_a(FLATTENING):
            node.computed = np.tile(node.computed, _pixels(node))


def _make(node: Node) -> tuple[keras.KerasTensor, np.ndarray]:
    """Third pass: the node's `tensor` and `offset`."""
    layer = node.layer
    nothing = np.zeros(node.computed.sum())
    if node.is_a(keras.layers.InputLayer):
        return keras.Input(layer.output.shape[1:], name=layer.name), nothing
    read = list(zip(node.inputs, node.demands, strict=True))
    if node.is_a((keras.layers.Add, keras.layers.Concatenate)):
        tensors, offsets = zip(*(_take(source, demand) for source, demand in read if demand.any()), strict=True)
        joined = type(layer)(name=layer.name)(tensors) if len(tensors) > 1 else tensors[0]
        if node.is_a(keras.layers.Concatenate):
            return joined, np.concatenate(offsets)
        left_out = [source.constant[node.computed] for source, demand in read if not demand.any()]
        return joined, np.sum([*offsets, *left_out], axis=0)
    if node.opaque:
        copy = type(layer).from_config(layer.get_config())
        taken = [_take_exactly(source, demand) for source, demand in read]
        return _with_weights(copy, taken if len(taken) > 1 else taken[0], layer.get_weights()), nothing
    ((source, demand),) = read
    if node.is_a(MIXING):
        return _make_mixing(node, source, demand), nothing
    if node.is_a(DEPTHWISE):
        return _make_depthwise(node, _take_exactly(source, demand)), nothing
    if node.is_a((keras.layers.ReLU, keras.layers.ZeroPadding2D)):  # What was left out cannot pass through.
        return type(layer).from_config(layer.get_config())(_take_exactly(source, demand)), nothing
    if node.is_a(Select):
        places = np.cumsum(source.computed) - 1  # Of each channel among those that are computed.
        return _pick(source, places[np.array(layer.channels)[node.computed]])
    tensor, offset = _take(source, demand)
    if node.is_a(keras.layers.BatchNormalization):
        gamma, beta, mean, variance = (of[demand] for of in normalisation(layer))
        learnt = {"scale": layer.scale, "center": layer.center}
        weights = [*([gamma] if layer.scale else []), *([beta] if layer.center else []), mean - offset, variance]
        made = keras.layers.BatchNormalization(epsilon=layer.epsilon, name=layer.name, **learnt)
        return _with_weights(made, tensor, weights), nothing
    if node.is_a(IDENTITIES):
        return tensor, offset
    made = type(layer).from_config(layer.get_config())(tensor)
    return made, np.tile(offset, _pixels(node)) if node.is_a(FLATTENING) else offset


def _make_mixing(node: Node, source: Node, demand: np.ndarray) -> keras.KerasTensor:
    kernel = node.kernel[..., node.computed]
    bias = node.bias[node.computed]
    read = source.computed if _worth_reading_all(demand, source) else demand
    if node.pointwise:
        x, _ = _take(source, read)
        added = np.where(demand | np.isnan(source.constant), 0, source.constant)
        added[demand] = source.offset[demand[source.computed]]
        bias = bias + added @ kernel[0, 0]
    else:
        x = _take_exactly(source, read)
    kernel = np.where(demand[:, None], kernel, 0)[:, :, read]
    shared = {"use_bias": bool(bias.any()), "name": node.layer.name}
    weights = [bias] if shared["use_bias"] else []
    if node.is_a(LINEAR):
        return _with_weights(keras.layers.Dense(bias.size, **shared), x, [kernel[0, 0], *weights])
    shape = {name: getattr(node.layer, name) for name in ("kernel_size", "strides")}
    shape["padding"] = getattr(node.layer, "padding", "same")  # Our own layers have no other, and no dilation.
    shape["dilation_rate"] = getattr(node.layer, "dilation_rate", 1)
    convolution = keras.layers.Conv2D(bias.size, **shape, **shared)
    return _with_weights(convolution, x, [kernel, *weights])


def _make_depthwise(node: Node, x: keras.KerasTensor) -> keras.KerasTensor:
    layer = node.layer
    kernel, bias = node.kernel[:, :, node.computed], node.bias[node.computed]
    x, arguments = plain_depthwise(x, layer)
    convolution = keras.layers.DepthwiseConv2D(
        layer.kernel_size, use_bias=bool(bias.any()), name=layer.name, **arguments
    )
    return _with_weights(convolution, x, [kernel, bias] if bias.any() else [kernel])


def _with_weights(layer: keras.layers.Layer, x: keras.KerasTensor, weights: list[np.ndarray]) -> keras.KerasTensor:
    y = layer(x)
    layer.set_weights(weights)
    return y


def _worth_reading_all(demand: np.ndarray, source: Node) -> bool:
    return bool(0 < source.computed.sum() <= demand.sum() / _WORTH_READING_ALL)


def _take(source: Node, channels: np.ndarray) -> tuple[keras.KerasTensor, np.ndarray]:
    """Tensor and offset of some of the computed channels of `source`."""
    return _pick(source, np.flatnonzero(channels[source.computed]))


def _pick(source: Node, positions: np.ndarray) -> tuple[keras.KerasTensor, np.ndarray]:
    """Tensor and offset of the computed channels of `source` at these positions among them."""
    if np.array_equal(positions, np.arange(source.offset.size)):
        return source.tensor, source.offset
    return keras.ops.take(source.tensor, positions.tolist(), axis=-1), source.offset[positions]


def _take_exactly(source: Node, channels: np.ndarray) -> keras.KerasTensor:
    """The same with the offset added, for layers that it cannot pass through."""
    if source.offset.any():
        # The one layer of Keras that adds a number to each channel.
        layer = keras.layers.BatchNormalization(scale=False, name=f"{source.layer.name}_offset")
        statistics = [np.zeros_like(source.offset), np.full_like(source.offset, 1 - layer.epsilon)]
        source.tensor = _with_weights(layer, source.tensor, [source.offset, *statistics])
        source.offset = np.zeros_like(source.offset)
    tensor, _ = _take(source, channels)
    return tensor
