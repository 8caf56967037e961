"""What a network costs before and after it was made smaller, and that this changed no answer."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from vinnas_tf.network.flop import count_flops
from vinnas_tf.network.pruning import ParameterCount, count_parameters, total


def costs(dense: keras.Model, pruned: keras.Model, stripped: keras.Model) -> dict[str, Any]:
    """Parameters and operations, of a network and of each layer, as result.json holds them.

    Args:
        dense: the network as it was trained.
        pruned: the same with weights that are zero.
        stripped: what `strip` made of that.
    """
    before, after, stored = (count_parameters(model) for model in (dense, pruned, stripped))
    flops = {"dense": count_flops(dense), "stripped": count_flops(stripped)}
    none = ParameterCount()
    return {
        "params_dense": total(before).params_dense,
        "params_nonzero": total(after).params_nonzero,
        "params_stored": total(stored).params_dense,
        "params_stored_nonzero": total(stored).params_nonzero,
        "weights_dense": total(before).kernel_dense,
        "weights_nonzero": total(after).kernel_nonzero,
        "flops": {
            "dense": flops["dense"].dense,
            "stripped": flops["stripped"].dense,
            "stripped_nonzero": flops["stripped"].nonzero,
        },
        # Stripping may add a layer, for what vanished channels added to others.
        "layers": {
            name: {
                "params_dense": before.get(name, none).params_dense,
                "params_nonzero": after.get(name, none).params_nonzero,
                "params_stored": stored.get(name, none).params_dense,
                "weights_dense": before.get(name, none).kernel_dense,
                "weights_nonzero": after.get(name, none).kernel_nonzero,
            }
            for name in before | stored
        },
    }


def largest_difference(*networks: tuple[keras.Model, tf.data.Dataset]) -> float:
    """Largest absolute difference of a logit between two networks, each with its own form of the same images."""
    outputs = [[model(images, training=False) for images, _ in batches] for model, batches in networks]
    return max(float(np.abs(a - b).max()) for a, b in zip(*outputs, strict=True))
