"""Groups of a kernel's weights that are kept or pruned together."""

import math

import keras
import numpy as np

from vinnas_tf.network.layer_kinds import DEPTHWISE, MIXING, kernel_variable

# Axes of a kernel [height, width, input channels, output channels] along which a group has its members.
_MEMBERS = {"input": (0, 1, 3), "output": (0, 1, 2), "filter": (0, 1), "position": (3,)}


class KernelGroups:
    """The groups of one kernel; each weight is in one of them.

    A linear layer's kernel is that of a convolution 1x1. A depthwise kernel [height, width, channels, 1] makes an
    output channel from one input channel, so both are the same group.

    Args:
        layer: a convolution or linear layer, built.
        kind: one of config.GROUPS.

    Attributes:
        name: of the layer.
        kernel: the layer's variable.
        members: the axes of the kernel along which a group has its members; none where each weight is a group.
        shape: of the kernel, with 1 for the lengths of these axes: that of what a group has one of.
    """

    def __init__(self, layer: keras.layers.Layer, kind: str) -> None:
        self.name = layer.name
        self.kernel = kernel_variable(layer)
        if isinstance(layer, DEPTHWISE) and kind == "output":
            kind = "input"
        missing = 4 - len(self.kernel.shape)
        self.members = tuple(axis - missing for axis in _MEMBERS[kind] if axis >= missing)
        self.shape = tuple(1 if axis in self.members else size for axis, size in enumerate(self.kernel.shape))

    @property
    def size(self) -> int:
        """How many weights a group has."""
        return math.prod(self.kernel.shape) // math.prod(self.shape)

    def members_first(self, values: np.ndarray) -> np.ndarray:
        """Values of all weights, of the kernel's shape, as [members, groups], groups in the order of `shape`."""
        moved = np.moveaxis(values, self.members, range(len(self.members)))
        return moved.reshape(self.size, -1)


def groups_of(network: keras.Model, kind: str) -> list[KernelGroups]:
    """The groups of all kernels of a network of Keras's own layers, in the order of the layers."""
    return [KernelGroups(layer, kind) for layer in network.layers if isinstance(layer, (*MIXING, *DEPTHWISE))]
