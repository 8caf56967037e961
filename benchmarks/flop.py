"""The floor under the step's time: the arithmetic that its convolutions need, and the machine's speed at arithmetic."""

import math
import multiprocessing
import os
import time
from collections.abc import Callable

import numpy as np

from benchmarks.designs import CLASSES, IMAGE_CHANNELS, Config
from vinnas_tf.architecture.genotype import Genotype
from vinnas_tf.architecture.skeleton import CELL_TYPE_OF, cell_places
from vinnas_tf.architecture.space import VINNAS
from vinnas_tf.config import SearchConfig, TrainConfig
from vinnas_tf.errors import require

# Forward passes' worth of convolutions that a step cannot do without: forward, gradient of the input and gradient of
# the kernels where weights are trained; forward and gradient of the input in the search's alpha step.
WEIGHT_PASSES, ALPHA_PASSES = 3, 2


def multiply_adds(config: Config, image_size: int) -> int:
    """Multiply-adds of all convolutions with mean kernels, in one forward pass of one image."""
    stride = config.stem_stride if isinstance(config, TrainConfig) else 1
    side, channels = -(-image_size // stride), config.channels
    total = side**2 * 9 * IMAGE_CHANNELS * channels
    inputs = [channels, channels]  # Channels of the outputs of the two cells before.
    states, operations_of = _operations(config)
    for place in cell_places(config.cells, channels):
        total += side**2 * sum(inputs) * place.channels
        after = -(-side // 2) if place.reduction else side
        for source, name in operations_of[place.group]:
            height = width = side if source < 2 else after
            for convolution, strides in VINNAS.convolutions(name, 2 if place.reduction and source < 2 else 1):
                height, width = -(-height // strides[0]), -(-width // strides[1])
                total += height * width * math.prod(convolution.kernel_shape(place.channels))
        inputs = [inputs[1], states * place.channels]
        side = after
    return total + inputs[1] * CLASSES


def _operations(config: Config) -> tuple[int, dict[str, list[tuple[int, str]]]]:
    """Number of states, and (source, primitive) of a cell type's operations: the found ones, or all of the search."""
    if isinstance(config, TrainConfig):
        found = Genotype.load(config.genotype)
        cells = {name: [(edge.source, edge.primitive) for edge in edges] for name, edges in found.cells.items()}
        return found.states, cells
    searched = [(source, name) for source, _ in VINNAS.edges(config.states) for name in VINNAS.primitives]
    return config.states, dict.fromkeys(CELL_TYPE_OF.values(), searched)


def iteration_flop(config: Config, image_size: int) -> float:
    """Floating-point operations that the convolutions of one iteration cannot do without.

    Two a multiply-add, in all passes, once for the mean and once for the variance of each pre-activation.
    """
    passes = WEIGHT_PASSES + (ALPHA_PASSES if isinstance(config, SearchConfig) else 0)
    return 2.0 * 2 * passes * config.batch_size * multiply_adds(config, image_size)


def machine_flop_per_second(size: int = 4096) -> float:
    """Speed of a large float32 matrix product, the best of five: what the cores can do at most."""
    a = np.random.default_rng(0).random((size, size), np.float32)
    seconds = []
    for _ in range(6):
        start = time.perf_counter()
        a @ a
        seconds.append(time.perf_counter() - start)
    return 2.0 * size**3 / min(seconds[1:])


def gpu_speeds(size: int = 8192) -> tuple[float, float]:
    """Speeds of a GPU, in a process of its own, which leaves it free: FLOP and copied bytes a second.

    The first is that of a large float32 matrix product, by TF32 where the GPU has it, the second that of adding to a
    large tensor, which is read and written; the best of five each. Raises SettingError where there is no GPU.
    """
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_gpu_speeds, (size,))


def _gpu_speeds(size: int) -> tuple[float, float]:
    import tensorflow as tf

    require(bool(tf.config.list_physical_devices("GPU")), "device=gpu: TensorFlow sees no GPU here.")
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    matrix = tf.random.stateless_uniform((size, size), (1, 2))
    large = tf.zeros((256, 1024, 1024))

    def best(run: Callable[[], tf.Tensor]) -> float:
        seconds = []
        for _ in range(6):
            start = time.perf_counter()
            float(run())  # One number, which waits for all.
            seconds.append(time.perf_counter() - start)
        return min(seconds[1:])

    of_product = best(lambda: (matrix @ matrix)[0, 0])
    of_copy = best(lambda: (large + 1.0)[0, 0, 0])
    return 2.0 * size**3 / of_product, 2.0 * 4 * 256 * 1024**2 / of_copy
