"""How long a search will take on this machine, and how much memory, before it starts."""

import time
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from vinnas_tf.config import SearchConfig
from vinnas_tf.layers.mixed_op import MixedOp
from vinnas_tf.primitives import PRIMITIVES
from vinnas_tf.supergraph import Supergraph

# Forward and backward of the supergraph with and without the pixels' gradient chain, relative to the mixed ops alone,
# and one forward pass without noise: fitted to the runs in docs/results.md.
_OVERHEAD = 1.15
_EVALUATION = 0.25
# Tensors of an edge's output size that its backward pass needs: two or three for each of twelve convolutions and two
# for each of eight normalisations.
_TENSORS_PER_EDGE = 52


class Estimate(NamedTuple):
    """A rough forecast, good to about a third."""

    seconds: float
    memory_bytes: float


def estimate(supergraph: Supergraph, config: SearchConfig, steps: int, epochs: int) -> Estimate:
    """Times one forward and backward pass of each kind of mixed op, and adds up.

    The graph functions that this traces are those that the search then uses.

    Args:
        supergraph: built supergraph.
        config: the search's settings.
        steps: steps an epoch.
        epochs: epochs still to do.
    """
    seconds_of: dict[tuple, float] = {}
    iteration = 0.0
    values = 0
    for cell in supergraph.cells:
        for operation, shape in zip(cell.operations, cell.operation_shapes, strict=True):
            height, width, channels = shape
            key = (shape, operation.stride)
            if key not in seconds_of:
                seconds_of[key] = _time(operation, (config.batch_size, *shape))
            iteration += seconds_of[key]
            values += config.batch_size * -(-height // operation.stride) * -(-width // operation.stride) * channels
    iteration *= _OVERHEAD
    warm_up = max(0, config.weight_epochs - (config.epochs - epochs))
    iterations = steps * (2 * epochs - warm_up)
    seconds = iteration * (iterations + _EVALUATION * steps * epochs)
    parameters = sum(int(np.prod(variable.shape)) for variable in supergraph.trainable_variables)
    return Estimate(seconds, 4.0 * (_TENSORS_PER_EDGE * values + 5 * parameters))


def _time(operation: MixedOp, shape: tuple[int, ...]) -> float:
    """Seconds of a forward and backward pass: the best of three after one that traces, for noise only ever adds."""
    x = tf.zeros(shape)
    strengths = tf.fill([len(PRIMITIVES)], 1.0 / len(PRIMITIVES))
    seconds = []
    for _ in range(4):
        start = time.perf_counter()
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = operation(x, strengths, seed=tf.constant([1, 2]))
        tape.gradient(y, [x, operation.mean.value])[0].numpy()
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:])
