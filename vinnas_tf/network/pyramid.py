"""The bottleneck block of PyramidNet around a found cell, as `layers/pyramid.py` has it for the search."""

from collections.abc import Sequence

import keras

from vinnas_tf.architecture.genotype import Edge
from vinnas_tf.architecture.primitives import Convolution
from vinnas_tf.architecture.pyramid import BOTTLENECK, GROUPS
from vinnas_tf.architecture.skeleton import CellPlace
from vinnas_tf.layers.select import Select
from vinnas_tf.network.parts import NetworkParts


def pyramid_block(
    parts: NetworkParts, x: keras.KerasTensor, edges: Sequence[Edge], states: int, place: CellPlace, name: str
) -> keras.KerasTensor:
    """The block with a cell of these edges; without any it is its shortcut alone, of no more channels.

    (Channels of zeros, which the shortcut would be padded with, would tell the next block nothing.)

    Args:
        parts: of the network.
        x: output of the block before.
        edges: of the cell, each on a way from an input to the output.
        states: number of states of the cell.
        place: the cell's.
        name: of the cell.
    """
    shortcut = x
    if place.reduction:
        shortcut = keras.layers.AveragePooling2D(2, padding="same", name=f"{name}_pool")(x)
    if not edges:
        return shortcut
    x = parts.normalized(x, f"{name}_first")
    x = parts.convolution(x, Convolution((1, 1)), (1, 1), place.channels, f"{name}_first_conv")
    read = {edge.source for edge in edges}
    stride = 2 if place.reduction else 1
    roots = [
        _grouped(parts, x, stride, f"{name}_root_{root}") if root in read else None
        for root in range(parts.space.inputs)
    ]
    x = parts.cell(roots, states, edges, False, name)
    x = parts.activated(parts.normalized(x, f"{name}_last"), f"{name}_last")
    x = parts.convolution(x, Convolution((1, 1)), (1, 1), BOTTLENECK * place.channels, f"{name}_last_conv")
    return _padded_sum(shortcut, parts.normalized(x, f"{name}_block"), f"{name}_block")


def _grouped(parts: NetworkParts, x: keras.KerasTensor, stride: int, name: str) -> keras.KerasTensor:
    """Batch normalisation, ReLU and a 3x3 convolution in groups of channels, each a layer that stripping sees into."""
    x = parts.activated(parts.normalized(x, name), name)
    channels = x.shape[-1] // GROUPS
    groups = [
        Select(range(group * channels, (group + 1) * channels), name=f"{name}_group_{group}")(x)
        for group in range(GROUPS)
    ]
    made = [
        parts.convolution(each, Convolution((3, 3)), (stride, stride), channels, f"{name}_conv_{group}")
        for group, each in enumerate(groups)
    ]
    return keras.layers.Concatenate(name=f"{name}_groups")(made)


def _padded_sum(shortcut: keras.KerasTensor, x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """The sum, where the shortcut has zeros for the channels that it lacks."""
    channels, wider = shortcut.shape[-1], x.shape[-1]
    if channels == wider:
        return keras.layers.Add(name=f"{name}_sum")([shortcut, x])
    shared = Select(range(channels), name=f"{name}_shared")(x)
    added = keras.layers.Add(name=f"{name}_sum")([shortcut, shared])
    return keras.layers.Concatenate(name=f"{name}_output")(
        [added, Select(range(channels, wider), name=f"{name}_new")(x)]
    )
