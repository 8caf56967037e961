"""How many floating-point operations one image takes, from the layers' shapes."""

import math
from dataclasses import dataclass

import keras
import numpy as np

from vinnas_tf.network.build import evaluation_network
from vinnas_tf.network.pruning import KERNELS


@dataclass(frozen=True)
class FlopCount:
    """Operations of kernels for one image, a multiplication and an addition being two.

    Batch normalisation, activations and pools are left out, as usual: they are few, and mostly fold away.

    Attributes:
        dense: all of them.
        nonzero: those whose weight is not zero; what hardware could reach that skips every zero.
    """

    dense: int = 0
    nonzero: int = 0


def count_flops(model: keras.Model) -> FlopCount:
    """The operations of a trained or a stripped network, without its auxiliary tower."""
    dense = nonzero = 0
    for layer in evaluation_network(model).layers:
        for variable in layer.variables:
            if variable.name in KERNELS:
                kernel = variable.numpy()
                places = math.prod(layer.output.shape[1:-1])  # Each weight is used once per pixel of the output.
                dense += 2 * places * kernel.size
                nonzero += 2 * places * int(np.count_nonzero(kernel))
    return FlopCount(dense, nonzero)
