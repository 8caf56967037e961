"""A Functional network as the nodes that stripping works on, batch normalisation folded into the kernels before it."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from vinnas_tf.network.layer_kinds import DEPTHWISE, MIXING, input_tensors, kernel_of, why_opaque


@dataclass(eq=False)
class Node:
    """A layer of the trained network, and what the passes find out about it.

    Attributes:
        layer: the layer.
        inputs: the nodes that it takes its inputs from.
        opaque: why its channels can't be followed; empty where they can.
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
    inputs: list["Node"]
    opaque: str
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

    def is_a(self, kinds: type | tuple[type, ...]) -> bool:
        """Whether the layer is of this kind, and its channels can be followed."""
        return not self.opaque and isinstance(self.layer, kinds)


def read_graph(model: keras.Model) -> list[Node]:
    """The layers from images to logits, each after its inputs, batch normalisation folded where it follows a kernel."""
    readers = Counter(id(tensor) for layer in model.layers for tensor in input_tensors(layer))
    producers: dict[int, Node] = {}
    nodes = []
    for layer in model.layers:
        node = Node(layer, [producers[id(tensor)] for tensor in input_tensors(layer)], why_opaque(layer))
        if node.is_a(keras.layers.BatchNormalization):
            gamma, beta, mean, variance = normalisation(layer)
            node.scale = gamma / np.sqrt(variance + layer.epsilon)
            node.bias = beta - mean * node.scale
            (before,) = node.inputs
            if before.kernel is not None and readers[id(layer.input)] == 1:
                before.kernel = before.kernel * (node.scale[:, None] if before.is_a(DEPTHWISE) else node.scale)
                before.bias = before.bias * node.scale + node.bias
                producers[id(layer.output)] = before
                continue
        elif node.is_a((*MIXING, *DEPTHWISE)):
            node.kernel = kernel_of(layer)
            node.bias = np.zeros(layer.output.shape[-1]) if layer.bias is None else np.asarray(layer.bias, np.float64)
        producers[id(layer.output)] = node
        nodes.append(node)
    return nodes


def normalisation(layer: keras.layers.BatchNormalization) -> list[np.ndarray]:
    """Scale, shift, mean and variance of each channel."""
    channels = layer.output.shape[-1]
    scale = layer.gamma if layer.scale else np.ones(channels)
    shift = layer.beta if layer.center else np.zeros(channels)
    return [np.asarray(of, np.float64) for of in (scale, shift, layer.moving_mean, layer.moving_variance)]
