"""The floor under the step's time: the arithmetic that its convolutions need, and the machine's speed at arithmetic."""

import math
import time

import numpy as np

from benchmarks.designs import CLASSES, IMAGE_CHANNELS
from vinnas_tf.config import SearchConfig
from vinnas_tf.posterior import cell_edges
from vinnas_tf.primitives import PRIMITIVES, convolutions

# Forward passes' worth of convolutions that an iteration cannot do without: forward, gradient of the input and gradient
# of the kernels in a weight step; forward and gradient of the input in an alpha step.
PASSES = 3 + 2


def multiply_adds(config: SearchConfig, image_size: int) -> int:
    """Multiply-adds of all convolutions with mean kernels, in one forward pass of one image."""
    side, channels = image_size, config.channels
    total = side**2 * 9 * IMAGE_CHANNELS * channels
    inputs = [channels, channels]  # Channels of the outputs of the two cells before.
    for letter in config.cells:
        reduction = letter == "R"
        channels *= 2 if reduction else 1
        total += side**2 * sum(inputs) * channels
        after = -(-side // 2) if reduction else side
        for source, _ in cell_edges(config.states):
            for name in PRIMITIVES:
                height = width = side if source < 2 else after
                for convolution, strides in convolutions(name, 2 if reduction and source < 2 else 1):
                    height, width = -(-height // strides[0]), -(-width // strides[1])
                    total += height * width * math.prod(convolution.kernel_shape(channels))
        inputs = [inputs[1], config.states * channels]
        side = after
    return total + inputs[1] * CLASSES


def iteration_flop(config: SearchConfig, image_size: int) -> float:
    """Floating-point operations that the convolutions of one iteration cannot do without.

    Two a multiply-add, in PASSES passes, once for the mean and once for the variance of each pre-activation.
    """
    return 2.0 * 2 * PASSES * config.batch_size * multiply_adds(config, image_size)


def machine_flop_per_second(size: int = 4096) -> float:
    """Speed of a large float32 matrix product, the best of five: what the cores can do at most."""
    a = np.random.default_rng(0).random((size, size), np.float32)
    seconds = []
    for _ in range(6):
        start = time.perf_counter()
        a @ a
        seconds.append(time.perf_counter() - start)
    return 2.0 * size**3 / min(seconds[1:])
