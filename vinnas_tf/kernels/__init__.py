"""The arithmetic that a search step spends its time on, in the form that is fast on the device at hand.

Plain functions of tensors, each equal in value and gradients to the plain TensorFlow form in
`tests/kernels/test_kernels.py`, what deals with sizes, the statistics of normalisations, and what several devices do
together.
VINNAS_TF_KERNELS=plain in the environment has them use the plain forms.
"""

from vinnas_tf.kernels.convolution import (
    Map,
    conv,
    convolves_groups,
    depthwise_conv,
    one_phase,
    phases,
    pointwise_conv,
)
from vinnas_tf.kernels.factorized import factorized_conv, factorized_phases
from vinnas_tf.kernels.noise import (
    add_noise,
    fold_in,
    make_seed_generator,
    next_seed,
    sample_normal,
    split,
    standard_normal,
)
from vinnas_tf.kernels.normalization import (
    BatchStatistics,
    PopulationStatistics,
    Statistics,
    normalize,
    normalize_relu,
    pool_statistics,
)
from vinnas_tf.kernels.pooling import avg_pool, max_pool
from vinnas_tf.kernels.replicas import own_mean, replicas, results, share_of, summed, weighed
from vinnas_tf.kernels.sizes import Size, call_for_any_size, sizes

__all__ = [
    "BatchStatistics",
    "Map",
    "PopulationStatistics",
    "Size",
    "Statistics",
    "add_noise",
    "avg_pool",
    "call_for_any_size",
    "conv",
    "convolves_groups",
    "depthwise_conv",
    "factorized_conv",
    "factorized_phases",
    "fold_in",
    "make_seed_generator",
    "max_pool",
    "next_seed",
    "normalize",
    "normalize_relu",
    "one_phase",
    "own_mean",
    "phases",
    "pointwise_conv",
    "pool_statistics",
    "replicas",
    "results",
    "sample_normal",
    "share_of",
    "sizes",
    "split",
    "standard_normal",
    "summed",
    "weighed",
]
