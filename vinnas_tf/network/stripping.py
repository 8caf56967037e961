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
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from vinnas_tf.layers.convolution import VariationalConv2D, VariationalDense, VariationalDepthwiseConv2D
from vinnas_tf.layers.drop_path import DropPath
from vinnas_tf.network.build import evaluation_network
from vinnas_tf.network.depthwise import plain_depthwise

_log = logging.getLogger(__name__)

_MIXING = (VariationalConv2D, VariationalDense)
# Each channel on its own, the same for x + c as for x but for an added c: pools leave out what lies beyond the border.
_TRANSPARENT = (
    keras.layers.MaxPooling2D,
    keras.layers.AveragePooling2D,
    keras.layers.GlobalAveragePooling2D,
    keras.layers.Cropping2D,
    DropPath,
)
# Each channel of the output is made from one channel of the input.
_ONE_TO_ONE = (
    VariationalDepthwiseConv2D,
    keras.layers.ReLU,
    keras.layers.BatchNormalization,
    keras.layers.ZeroPadding2D,
    *_TRANSPARENT,
)
_KNOWN = (keras.layers.InputLayer, keras.layers.Add, keras.layers.Concatenate, *_MIXING, *_ONE_TO_ONE)
# From this share on, computing the other channels takes less time than picking the ones that count out of the image.
_WORTH_READING_ALL = 0.5


@dataclass(eq=False)
class _Node:
    """A layer of the trained network, and what the passes find out about it.

    Attributes:
        layer: the layer.
        inputs: the nodes that it takes its inputs from.
        kernel: of a convolution or linear layer, as float64 [height, width, input channels, output channels]; of a
            depthwise one [height, width, channels, 1].
        scale: of a batch normalisation that is not folded.
        bias: of both; batch normalisation's shift.
        constant: per output channel its value where that is the same for all images and pixels, else NaN.
        computed: per output channel whether the stripped network computes it.
        demands: for each input, the channels that the layer reads.
        tensor: the stripped network's tensor, of the computed channels without `offset`.
        offset: per computed channel, what has still to be added.
    """

    layer: keras.layers.Layer
    inputs: list["_Node"]
    kernel: Any = None
    scale: Any = None
    bias: Any = None
    constant: Any = None
    computed: Any = None
    demands: Any = None
    tensor: Any = None
    offset: Any = None

    @property
    def pointwise(self) -> bool:
        """Whether the kernel looks at one pixel alone."""
        return self.kernel.shape[:2] == (1, 1)


def strip(model: keras.Model, normalization: keras.layers.Layer | None = None) -> keras.Model:
    """The network at evaluation in Keras's own layers, with the channels and operations that count.

    Args:
        model: a network that `build_network` made, pruned or not. It is not changed; its auxiliary tower is left out.
        normalization: a layer to put before it, so that the network takes images as they come.

    Returns:
        A model from the same images to the same logits, up to rounding; layers keep their names. A layer of a
        registered primitive stays as it is, with all its channels; a warning is logged that names it.
    """
    nodes = _read_graph(evaluation_network(model))
    opaque = [node.layer.name for node in nodes if not isinstance(node.layer, _KNOWN)]
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


def _read_graph(model: keras.Model) -> list[_Node]:
    """The layers from images to logits, each after its inputs, batch normalisation folded where it follows a kernel."""
    readers = Counter(id(tensor) for layer in model.layers for tensor in _input_tensors(layer))
    producers: dict[int, _Node] = {}
    nodes = []
    for layer in model.layers:
        node = _Node(layer, [producers[id(tensor)] for tensor in _input_tensors(layer)])
        if isinstance(layer, keras.layers.BatchNormalization):
            gamma, beta, mean, variance = (np.asarray(weight, np.float64) for weight in layer.get_weights())
            node.scale = gamma / np.sqrt(variance + layer.epsilon)
            node.bias = beta - mean * node.scale
            (before,) = node.inputs
            if before.kernel is not None and readers[id(layer.input)] == 1:
                depthwise = isinstance(before.layer, VariationalDepthwiseConv2D)
                before.kernel = before.kernel * (node.scale[:, None] if depthwise else node.scale)
                before.bias = before.bias * node.scale + node.bias
                producers[id(layer.output)] = before
                continue
        elif isinstance(layer, (*_MIXING, VariationalDepthwiseConv2D)):
            kernel = np.asarray(layer.mean, np.float64)
            node.kernel = kernel[None, None] if isinstance(layer, VariationalDense) else kernel
            node.bias = np.zeros(layer.output.shape[-1]) if layer.bias is None else np.asarray(layer.bias, np.float64)
        producers[id(layer.output)] = node
        nodes.append(node)
    return nodes


def _input_tensors(layer: keras.layers.Layer) -> list[keras.KerasTensor]:
    if isinstance(layer, keras.layers.InputLayer):
        return []
    return layer.input if isinstance(layer.input, list) else [layer.input]


def _constants(node: _Node) -> np.ndarray:
    """First pass: the node's `constant`. A NaN, for a channel that varies, spreads through the sums by itself."""
    layer = node.layer
    inputs = [source.constant for source in node.inputs]
    if isinstance(layer, keras.layers.InputLayer):
        return np.full(layer.output.shape[-1], np.nan)
    if isinstance(layer, keras.layers.Add):
        return np.sum(inputs, axis=0)
    if isinstance(layer, keras.layers.Concatenate):
        return np.concatenate(inputs)
    (x,) = inputs
    if isinstance(layer, _MIXING):
        folds = _folds(node)
        varies = _links(node)[~folds].any(axis=0)
        return np.where(varies, np.nan, node.bias + np.where(folds, x, 0) @ node.kernel.sum(axis=(0, 1)))
    if isinstance(layer, VariationalDepthwiseConv2D):
        return np.where((node.kernel == 0).all(axis=(0, 1, 3)) | (x == 0), node.bias, np.nan)
    if isinstance(layer, keras.layers.BatchNormalization):
        return x * node.scale + node.bias
    if isinstance(layer, keras.layers.ReLU):
        return np.maximum(x, 0)
    if isinstance(layer, keras.layers.ZeroPadding2D):
        return np.where(x == 0, x, np.nan)
    if isinstance(layer, _TRANSPARENT):
        return x
    return np.full(layer.output.shape[-1], np.nan)


def _folds(node: _Node) -> np.ndarray:
    """Which input channels add the same number to all pixels of a convolution's output: a bias can do it for them."""
    x = node.inputs[0].constant
    return np.isfinite(x) if node.pointwise else x == 0


def _links(node: _Node) -> np.ndarray:
    """[input channels, output channels]: whether any weight of the kernel leads from one to the other."""
    return (node.kernel != 0).any(axis=(0, 1))


def _demands(node: _Node) -> Sequence[np.ndarray]:
    """Second pass: for each input, the channels that `node` reads for its computed channels."""
    layer = node.layer
    if not isinstance(layer, _KNOWN):
        node.computed[:] = True
        return [np.ones(source.constant.shape, bool) for source in node.inputs]
    if isinstance(layer, keras.layers.Add):
        varying = [np.isnan(source.constant[node.computed]).any() for source in node.inputs]
        if not any(varying):
            varying[0] = True  # The constants of the others need a tensor that they can be added to.
        return [node.computed & varies for varies in varying]
    if isinstance(layer, keras.layers.Concatenate):
        return np.split(node.computed, np.cumsum([source.constant.size for source in node.inputs])[:-1])
    if isinstance(layer, _MIXING):
        demand = _links(node)[:, node.computed].any(axis=1) & ~_folds(node)
        if not demand.any():
            demand[np.isnan(node.inputs[0].constant).argmax()] = True  # Keras's convolutions need an input channel.
        return [demand]
    return [node.computed for _ in node.inputs]


def _widen(node: _Node) -> None:
    """Lets a layer whose channels come from one channel each compute all that its input has, where that is worth it."""
    if isinstance(node.layer, (*_ONE_TO_ONE, keras.layers.Concatenate)):
        pairs = zip(node.inputs, node.demands, strict=True)
        node.demands = [source.computed if _worth_reading_all(demand, source) else demand for source, demand in pairs]
        node.computed = np.concatenate(node.demands)


def _make(node: _Node) -> tuple[keras.KerasTensor, np.ndarray]:
    """Third pass: the node's `tensor` and `offset`."""
    layer = node.layer
    nothing = np.zeros(node.computed.sum())
    if isinstance(layer, keras.layers.InputLayer):
        return keras.Input(layer.output.shape[1:], name=layer.name), nothing
    read = list(zip(node.inputs, node.demands, strict=True))
    if isinstance(layer, keras.layers.Add | keras.layers.Concatenate):
        tensors, offsets = zip(*(_take(source, demand) for source, demand in read if demand.any()), strict=True)
        joined = type(layer)(name=layer.name)(tensors) if len(tensors) > 1 else tensors[0]
        if isinstance(layer, keras.layers.Concatenate):
            return joined, np.concatenate(offsets)
        left_out = [source.constant[node.computed] for source, demand in read if not demand.any()]
        return joined, np.sum([*offsets, *left_out], axis=0)
    ((source, demand),) = read
    if not isinstance(layer, _KNOWN):
        copy = type(layer).from_config(layer.get_config())
        return _with_weights(copy, _take_exactly(source, demand), layer.get_weights()), nothing
    if isinstance(layer, _MIXING):
        return _make_mixing(node, source, demand), nothing
    if isinstance(layer, VariationalDepthwiseConv2D):
        return _make_depthwise(node, _take_exactly(source, demand)), nothing
    if isinstance(layer, keras.layers.ReLU | keras.layers.ZeroPadding2D):  # What was left out cannot pass through.
        return type(layer).from_config(layer.get_config())(_take_exactly(source, demand)), nothing
    tensor, offset = _take(source, demand)
    if isinstance(layer, keras.layers.BatchNormalization):
        gamma, beta, mean, variance = (weight[demand] for weight in layer.get_weights())
        normalisation = keras.layers.BatchNormalization(epsilon=layer.epsilon, name=layer.name)
        return _with_weights(normalisation, tensor, [gamma, beta, mean - offset, variance]), nothing
    if isinstance(layer, DropPath):
        return tensor, offset
    return type(layer).from_config(layer.get_config())(tensor), offset


def _make_mixing(node: _Node, source: _Node, demand: np.ndarray) -> keras.KerasTensor:
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
    if isinstance(node.layer, VariationalDense):
        return _with_weights(keras.layers.Dense(bias.size, **shared), x, [kernel[0, 0], *weights])
    convolution = keras.layers.Conv2D(
        bias.size, node.layer.kernel_size, strides=node.layer.strides, padding="same", **shared
    )
    return _with_weights(convolution, x, [kernel, *weights])


def _make_depthwise(node: _Node, x: keras.KerasTensor) -> keras.KerasTensor:
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


def _worth_reading_all(demand: np.ndarray, source: _Node) -> bool:
    return bool(0 < source.computed.sum() <= demand.sum() / _WORTH_READING_ALL)


def _take(source: _Node, channels: np.ndarray) -> tuple[keras.KerasTensor, np.ndarray]:
    """Tensor and offset of some of the computed channels of `source`."""
    positions = np.flatnonzero(channels[source.computed])
    if positions.size == source.offset.size:
        return source.tensor, source.offset
    return keras.ops.take(source.tensor, positions.tolist(), axis=-1), source.offset[positions]


def _take_exactly(source: _Node, channels: np.ndarray) -> keras.KerasTensor:
    """The same with the offset added, for layers that it cannot pass through."""
    if source.offset.any():
        # The one layer of Keras that adds a number to each channel.
        layer = keras.layers.BatchNormalization(scale=False, name=f"{source.layer.name}_offset")
        statistics = [np.zeros_like(source.offset), np.full_like(source.offset, 1 - layer.epsilon)]
        source.tensor = _with_weights(layer, source.tensor, [source.offset, *statistics])
        source.offset = np.zeros_like(source.offset)
    tensor, _ = _take(source, channels)
    return tensor
