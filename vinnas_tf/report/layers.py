"""What is left of each layer of a network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vinnas_tf.compress.units import Units
from vinnas_tf.report.part import exact


@dataclass(frozen=True)
class Layer:
    """What is left of a layer with a kernel.

    Attributes:
        name: of it.
        width: its weights before pruning, in percent of the largest layer's.
        left: what is left of them, in percent of the same.
        told: both counts, in words.
        channels: its inputs and outputs that are left, in words.
        stored: parameters that the stripped network stores.
    """

    name: str
    width: float
    left: float
    told: str
    channels: tuple[str, str]
    stored: str


def read_layers(result: Mapping[str, Any], units: Sequence[Units]) -> tuple[str, list[Layer]]:
    """Weights and channels that are left of each layer with a kernel, and of all together, in words.

    Args:
        result: of the stage, with "layers".
        units: channels of the layers, where they are known.
    """
    layers = {name: of for name, of in result["layers"].items() if of["weights_dense"]}
    largest = max(of["weights_dense"] for of in layers.values())
    of_layer = {one.layer: one for one in units}
    found = []
    for name, of in layers.items():
        dense, left = of["weights_dense"], of["weights_nonzero"]
        one = of_layer.get(name)
        channels = (
            (f"{one.inputs_left:,} of {one.inputs:,}", f"{one.outputs_left:,} of {one.outputs:,}")
            if one
            else ("-", "-")
        )
        told = f"{left:,} of {dense:,} ({left / dense:.0%})"
        found.append(
            Layer(
                name,
                _percent_of(dense, largest),
                _percent_of(left, largest),
                told,
                channels,
                exact(of["params_stored"]),
            )
        )
    dense, left = result["weights_dense"], result["weights_nonzero"]
    return f"{left:,} of {dense:,} weights left ({left / dense:.1%})", found


def _percent_of(part: int, whole: int) -> float:
    return round(100 * part / whole, 2)
