"""How many inputs and outputs compression left of each layer."""

from dataclasses import dataclass

import keras

from vinnas_tf.network.layer_kinds import DEPTHWISE, MIXING, kernel_variable


@dataclass(frozen=True)
class Units:
    """The channels of a convolution or linear layer, before and after.

    Attributes:
        layer: its name.
        inputs: input channels before.
        inputs_left: those that the stripped network reads.
        outputs: output channels before.
        outputs_left: those that the stripped network computes; 0 where the layer is gone.
    """

    layer: str
    inputs: int
    inputs_left: int
    outputs: int
    outputs_left: int


def count_units(network: keras.Model, stripped: keras.Model) -> tuple[Units, ...]:
    """The channels of the layers of a network, and of what stripping left of it, in the order of the layers.

    A layer that reads most of its inputs reads them all after stripping too, for picking takes longer: then inputs of
    zero weights count as left.
    """
    left = {layer.name: _channels(layer) for layer in stripped.layers if isinstance(layer, (*MIXING, *DEPTHWISE))}
    found = []
    for layer in network.layers:
        if isinstance(layer, (*MIXING, *DEPTHWISE)):
            (inputs, outputs), (inputs_left, outputs_left) = _channels(layer), left.get(layer.name, (0, 0))
            found.append(Units(layer.name, inputs, inputs_left, outputs, outputs_left))
    return tuple(found)


def _channels(layer: keras.layers.Layer) -> tuple[int, int]:
    """Its input and its output channels."""
    inputs, outputs = kernel_variable(layer).shape[-2:]
    return (inputs, inputs) if isinstance(layer, DEPTHWISE) else (inputs, outputs)
