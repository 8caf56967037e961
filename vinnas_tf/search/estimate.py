"""How long a search will take on this machine, and how much memory, before it starts."""

import time
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from vinnas_tf.config import SearchConfig
from vinnas_tf.layers.mixed_op import MixedOp
from vinnas_tf.search.supergraph import Supergraph

# Guesses, not fitted: what a step costs beyond its mixed ops, and a forward pass without noise, relative to those.
_OVERHEAD = 1.15
_EVALUATION = 0.25
# A count, not a measurement: tensors of its output's size that the backward pass needs of a convolution, and of a
# normalisation.
_TENSORS_PER_CONVOLUTION, _TENSORS_PER_NORMALIZATION = 2, 2
# Measured (docs/results/speed.md, "The forecast"): importing, tracing, compiling, and what the process holds besides.
_START_UP_SECONDS = 17.0
_PROCESS_BYTES = 1.4 * 2**30


class Estimate(NamedTuple):
    """A rough forecast; other work on the machine, and strided edges, have put it off by a factor of two and more."""

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
    for cell in supergraph.mixed_cells:
        for operation, shape in zip(cell.operations, cell.operation_shapes, strict=True):
            height, width, channels = shape
            key = (shape, operation.stride, operation.edges)
            if key not in seconds_of:
                seconds_of[key] = _time(operation, (config.batch_size, *shape))
            iteration += seconds_of[key]
            image = config.batch_size * -(-height // operation.stride) * -(-width // operation.stride) * channels
            values += _tensors(operation) * image * operation.edges
    iteration *= _OVERHEAD
    warm_up = max(0, config.weight_epochs - (config.epochs - epochs))
    descents = supergraph.method.step.descents
    iterations = steps * (descents * epochs - (descents - 1) * warm_up)
    between = supergraph.method.images_between / config.batch_size * epochs / config.epochs
    seconds = iteration * (iterations + between + _EVALUATION * steps * epochs)
    parameters = sum(int(np.prod(variable.shape)) for variable in supergraph.trainable_variables)
    memory = 4.0 * (values + 5 * parameters)
    return Estimate(_START_UP_SECONDS + seconds, _PROCESS_BYTES + memory)


def _tensors(operation: MixedOp) -> int:
    """Tensors of its output's size that the backward pass of an edge needs."""
    names = [name for name in operation.space.primitives if name not in ("skip", "zero")]
    blocks = [operation.space.blocks(name, operation.stride) for name in names]
    chained = sum(len(block) for each in blocks for block in each)
    normalized = sum(max(len(each), 1) for each in blocks)
    return _TENSORS_PER_CONVOLUTION * chained + _TENSORS_PER_NORMALIZATION * normalized


def _time(operation: MixedOp, shape: tuple[int, ...]) -> float:
    """Seconds of a forward and backward pass: the best of three after one that traces, for noise only ever adds."""
    x = tf.zeros(shape)
    count = len(operation.space.primitives)
    mixing = tf.fill([operation.edges, count], 1.0 / count)
    seconds = []
    for _ in range(4):
        start = time.perf_counter()
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = operation(x, mixing, seed=tf.constant([1, 2]))
        tape.gradient(y, [x, operation.mean.value])[0].numpy()
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:])
