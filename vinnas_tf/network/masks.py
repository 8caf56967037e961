"""A Functional Keras network whose convolutions can have channels dropped (PGNAS, Zhou et al. 2020)."""

import inspect
import math
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from vinnas_tf import kernels
from vinnas_tf.architecture.masks import ChannelGroup
from vinnas_tf.config import FLOAT32
from vinnas_tf.errors import require
from vinnas_tf.kernels.device import plain
from vinnas_tf.network.layer_kinds import (
    FLATTENING,
    MIXING,
    ONE_TO_ONE,
    input_tensors,
    kernel_variable,
    why_opaque,
)
from vinnas_tf.network.precision import in_precision


class MaskedNetwork:
    """A network that is called with a mask of the input channels of its convolutions and linear layers.

    What a mask drops are slices of kernels: an input channel that one convolution drops is still there for others. A
    depthwise convolution has no mask; the pointwise one behind it has.

    Args:
        network: a Functional model of one input, images [n, h, w, c], and one output, logits [n, classes]. Its weights
            are used, not copied.

    Attributes:
        network: the network.
        groups: the groups of channels that share a drop probability, in the order of the layers. The channels that a
            layer reads from a concatenation are one group for each source.
        channels: how many channels all groups have.

    Raises:
        SettingError: a layer is called more than once, an operation is no layer, or no layer can have a mask.
    """

    def __init__(self, network: keras.Model) -> None:
        _require_walkable(network)
        self.network = network
        self._producers = {id(layer.output): layer for layer in network.layers}
        # Each channel of the output comes from the input channel of the same place.
        self._one_to_one = {
            layer.name for layer in network.layers if isinstance(layer, ONE_TO_ONE) and not why_opaque(layer)
        }
        self.layers = [layer for layer in network.layers if _is_maskable(layer)]
        require(
            bool(self.layers),
            f"the network {network.name} has no convolution or linear layer whose channels could be dropped: "
            "choose another backbone.",
        )
        self.groups = tuple(group for layer in self.layers for group in self._groups_of(layer))
        widths = [kernel_variable(layer).shape[-2] for layer in self.layers]
        self.channels = sum(widths)
        ends = np.cumsum(widths).tolist()
        self._slices = {
            layer.name: slice(end - width, end) for layer, width, end in zip(self.layers, widths, ends, strict=True)
        }
        self._takes_training = {
            layer.name for layer in network.layers if "training" in inspect.signature(layer.call).parameters
        }

    def __call__(
        self, images: tf.Tensor, mask: tf.Tensor, *, statistics: kernels.Statistics | None = None, training: bool
    ) -> tf.Tensor:
        """Logits of `images`, [n, classes].

        Args:
            images: [n, h, w, c], as the network takes them.
            mask: factors of the channels of all groups, one after another: [channels] for all images, or [n, channels].
            statistics: of the normalisations; None for those of the batch in training, else for the layers' own.
            training: whether layers such as dropout behave as in training. No layer's own statistics move.
        """
        values: dict[int, tf.Tensor] = {}
        for layer in self.network.layers:
            inputs = [values[id(tensor)] for tensor in input_tensors(layer)]
            if isinstance(layer, keras.layers.InputLayer):
                output = images
            elif layer.name in self._slices:
                output = layer(inputs[0] * tf.cast(self._mask_of(layer, mask), inputs[0].dtype))
            elif isinstance(layer, keras.layers.BatchNormalization) and (training or statistics is not None):
                output = _normalized(layer, inputs[0], statistics)
            else:
                named = {"training": training} if layer.name in self._takes_training else {}
                output = layer(inputs if isinstance(layer.input, list) else inputs[0], **named)
            values[id(layer.output)] = output
        return values[id(self.network.output)]

    def squared_norms(self) -> tf.Tensor:
        """The sum of the squares of each group's weights, [groups]."""
        of_channels = [
            tf.reduce_sum(tf.square(kernel), axis=[0, 1, 3] if len(kernel.shape) == 4 else 1)
            for kernel in self._kernels()
        ]
        return tf.math.segment_sum(tf.concat(of_channels, axis=0), self.group_of_channel)

    @property
    def sizes(self) -> np.ndarray:
        """How many channels each group has, [groups]."""
        return np.array([group.channels for group in self.groups])

    @property
    def group_of_channel(self) -> np.ndarray:
        """The number of each channel's group, [channels]."""
        return np.repeat(np.arange(len(self.groups)), self.sizes)

    @property
    def weights_of_channel(self) -> np.ndarray:
        """How many weights the kernel's slice of each channel has, [channels]."""
        return np.concatenate([np.full(k.shape[-2], math.prod(k.shape) // k.shape[-2]) for k in self._kernels()])

    def split(self, mask: np.ndarray) -> tuple[np.ndarray, ...]:
        """A mask [channels] cut into those of the groups."""
        return tuple(np.split(np.asarray(mask), np.cumsum(self.sizes)[:-1]))

    def connects(self, mask: np.ndarray) -> bool:
        """Whether anything of the images reaches the logits under a mask [channels] of 0 and 1.

        Taken from the graph alone: weights that are zero, and constants that ReLU cuts off, do not count.
        """
        reached: dict[int, np.ndarray] = {}
        for layer in self.network.layers:
            inputs = [reached[id(tensor)] for tensor in input_tensors(layer)]
            if isinstance(layer, keras.layers.InputLayer):
                found = np.ones(layer.output.shape[-1], bool)
            elif layer.name in self._slices:
                kept = np.asarray(mask)[self._slices[layer.name]] != 0
                found = np.full(layer.output.shape[-1], (inputs[0] & kept).any())
            elif isinstance(layer, keras.layers.Concatenate):
                found = np.concatenate(inputs)
            elif isinstance(layer, FLATTENING):
                found = np.tile(inputs[0], layer.output.shape[-1] // inputs[0].size)
            elif isinstance(layer, keras.layers.Add) or layer.name in self._one_to_one:
                found = np.any(inputs, axis=0)
            else:
                found = np.full(layer.output.shape[-1], any(one.any() for one in inputs))
            reached[id(layer.output)] = found
        return bool(reached[id(self.network.output)].any())

    def set_statistics(self, kept: tf.Tensor) -> None:
        """Gives the normalisations the means and variances [2, channels of all] that `BatchStatistics` kept of a call.

        `PopulationStatistics` of the same ones answers alike.
        """
        statistics = kernels.PopulationStatistics(kept)
        for layer in self.network.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                mean, variance = statistics(layer.moving_mean.value)
                layer.moving_mean.assign(mean)
                layer.moving_variance.assign(variance)

    def dropped(self, mask: np.ndarray) -> keras.Model:
        """A float32 copy of the network in which the kernel slices that a mask [channels] drops are zero."""
        copy = in_precision(self.network, FLOAT32)
        for layer in self.layers:
            variable = kernel_variable(copy.get_layer(layer.name))
            kept = np.asarray(mask)[self._slices[layer.name]] != 0
            variable.assign(np.where(kept[:, None], variable.numpy(), np.float32(0)))
        return copy

    def _kernels(self) -> Iterator[tf.Tensor]:
        return (tf.convert_to_tensor(kernel_variable(layer)) for layer in self.layers)

    def _mask_of(self, layer: keras.layers.Layer, mask: tf.Tensor) -> tf.Tensor:
        """The factors of a layer's input: [channels], or [n, ..., channels]."""
        factors = mask[..., self._slices[layer.name]]
        if len(factors.shape) == 1:
            return factors
        between = len(layer.input.shape) - 2
        return tf.reshape(factors, (tf.shape(factors)[0], *[1] * between, factors.shape[-1]))

    def _groups_of(self, layer: keras.layers.Layer) -> Iterator[ChannelGroup]:
        start = 0
        for source, channels in self._sources(layer.input):
            yield ChannelGroup(layer.name, source, start, channels)
            start += channels

    def _sources(self, tensor: keras.KerasTensor) -> Iterator[tuple[str, int]]:
        """Name and channels of each layer that the channels of a tensor come from, in their order."""
        layer = self._producers[id(tensor)]
        if isinstance(layer, keras.layers.Concatenate):
            for one in layer.input:
                yield from self._sources(one)
        elif layer.name in self._one_to_one:
            yield from self._sources(layer.input)
        else:
            yield layer.name, tensor.shape[-1]


def _is_maskable(layer: keras.layers.Layer) -> bool:
    return isinstance(layer, MIXING) and not (getattr(layer, "groups", 1) > 1)


def _normalized(layer: keras.layers.BatchNormalization, x: tf.Tensor, statistics: kernels.Statistics | None) -> Any:
    """Batch normalisation by given statistics, or by those of the batch; the layer's own stay as they are."""
    gamma, beta = (None if v is None else tf.convert_to_tensor(v) for v in (layer.gamma, layer.beta))
    images = len(x.shape) == 4
    if images and statistics is None and not plain():  # Keras would take eight operations.
        scale = tf.ones(x.shape[-1]) if gamma is None else gamma
        shift = tf.zeros(x.shape[-1]) if beta is None else beta
        return tf.compat.v1.nn.fused_batch_norm(x, scale, shift, epsilon=layer.epsilon)[0]
    mean, variance = (statistics or kernels.BatchStatistics())(x if images else x[:, tf.newaxis, tf.newaxis])
    y = tf.nn.batch_normalization(tf.cast(x, tf.float32), mean, variance, beta, gamma, layer.epsilon)
    return tf.cast(y, x.dtype)


def _require_walkable(network: keras.Model) -> None:
    """Raises SettingError where a layer reads what no layer's only call has made."""
    made = {id(layer.output) for layer in network.layers}
    readers = {layer.name: input_tensors(layer) for layer in network.layers} | {"logits": [network.output]}
    for name, tensors in readers.items():
        require(
            all(id(tensor) in made for tensor in tensors),
            f"in the network {network.name} {name} comes from a layer that is called twice, or from an operation that "
            "is no layer: such channels can't have masks. Choose another backbone.",
        )
