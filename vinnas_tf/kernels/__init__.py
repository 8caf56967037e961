"""The arithmetic that a search step spends its time on, in the form that is fast on the device at hand.

Plain functions of tensors, each equal in value and gradients to the plain TensorFlow form in `tests/test_kernels.py`.
"""

from vinnas_tf.kernels.convolution import conv, depthwise_conv, from_phases, one_phase, pointwise_conv, to_phases
from vinnas_tf.kernels.noise import add_noise, fold_in, make_seed_generator, next_seed, split, standard_normal
from vinnas_tf.kernels.normalization import normalize, normalize_relu
from vinnas_tf.kernels.pooling import avg_pool, max_pool

__all__ = [
    "add_noise",
    "avg_pool",
    "conv",
    "depthwise_conv",
    "fold_in",
    "from_phases",
    "make_seed_generator",
    "max_pool",
    "next_seed",
    "normalize",
    "normalize_relu",
    "one_phase",
    "pointwise_conv",
    "split",
    "standard_normal",
    "to_phases",
]
