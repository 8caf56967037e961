"""Standard normal noise as a pure function of a seed, cheap enough to draw for every pre-activation.

A seed is an int32 tensor [2] out of `fold_in` or `split`. Element i of a draw is the inverse normal distribution
function of a hash of (seed, i): a draw needs no state, fuses with the arithmetic around it, and can be repeated.
"""

import functools
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from vinnas_tf.kernels.device import compiles_kernels

_WEYL = 0x9E3779B9  # multiplier of Weyl's sequence: 2^32 divided by the golden ratio
# (shift, multiplier) of the rounds of the hash: x ^= x >> shift; x *= multiplier (Wellons, hash-prospector).
_ROUNDS = ((16, 0x21F0AAAD), (15, 0xD35A2D97), (15, 0x31848BAB))
# Minimax polynomials, constant term first. log2(m) - (m - 1) for m in [1, 2): error 1.3e-5.
_LOG2 = (-1.8004339273, 4.0919649340, -3.5511571411, 1.6314058826, -0.4166530763, 0.0448858534)
# z(t) with P(Z > z) = exp(-t^2 / 2), for tail probabilities from 2^-33 to 1/2: error 8.5e-6 (1 + |z|).
_NORMAL_TAIL = (
    -2.425583308619892,
    3.1485382220083706,
    -1.586111209613502,
    0.8303147743314369,
    -0.3001192055437457,
    0.07405523393021633,
    -0.012208306255391849,
    0.0012829268195319538,
    -7.757052793148075e-05,
    2.050886840879164e-06,
)

VARIANCE_FLOOR = 1e-8  # keeps the gradient of the square root finite where the variance vanishes


def fold_in(seed: tf.Tensor, word: tf.Tensor | int) -> tf.Tensor:
    """A seed [2] that depends on every bit of `seed` [2] and of the integer `word`, with no pattern."""
    with tf.device("CPU:0"):
        return split(tf.random.fold_in(seed, word), 1)[0]


def split(seed: tf.Tensor, count: int) -> list[tf.Tensor]:
    """Makes `count` seeds [2] that depend on every bit of `seed` [2], with no pattern; a longer list begins alike.

    One draw for all of them: a supergraph has thousands of noisy convolutions, and each node of its graph costs time.
    On the host: a GPU's kernel would read its seed from there, and wait for the one that was drawn before.
    """
    with tf.device("CPU:0"):
        return tf.unstack(tf.random.split(seed, count))


def make_seed_generator(seed: int | None) -> keras.random.SeedGenerator:
    """A generator whose state lies on the host, where seeds are made of it: a step then fetches none from a GPU."""
    with tf.device("CPU:0"):
        return keras.random.SeedGenerator(seed)


def next_seed(generator: keras.random.SeedGenerator) -> tf.Tensor:
    """The next seed [2] of `generator`, another one on each replica of a distributed step."""
    seed = tf.cast(generator.next(), tf.int32)
    context = tf.distribute.get_replica_context()
    return fold_in(seed, context.replica_id_in_sync_group if context is not None else 0)


def _polynomial(coefficients: tuple[float, ...], x: tf.Tensor) -> tf.Tensor:
    # Out of one constant: a node for each would be read anew by TensorFlow for each of thousands of calls.
    return functools.reduce(lambda total, c: total * x + c, reversed(tf.unstack(tf.constant(coefficients))))


def _shift_xor(x: tf.Tensor, shift: int) -> tf.Tensor:
    return x ^ tf.bitwise.right_shift(x, np.uint32(shift))


def _hash(seed: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
    """Hashes the index of every element of `shape` to uint32: a permutation for each seed [2].

    The second word of the seed enters between rounds of multiplication: added to the first it would only shift one
    sequence of 2^32 numbers. With two rounds, draws 9,216 apart are correlated, and so are overlapping streams. Streams
    of similar words are not independent either: those of `fold_in` and `split` have nothing in common.
    """
    first, second = tf.unstack(tf.bitcast(seed, tf.uint32))
    # Examples and what an example holds are counted apart: one range would become a constant as large as the draw.
    examples = tf.cast(tf.range(shape[0]), tf.uint32)
    size = tf.reduce_prod(shape[1:])
    elements = tf.cast(tf.range(size), tf.uint32) * np.uint32(_WEYL)
    x = first + elements + (examples * tf.cast(size, tf.uint32) * np.uint32(_WEYL))[:, tf.newaxis]
    x = _shift_xor(x, _ROUNDS[0][0]) * np.uint32(_ROUNDS[0][1]) ^ second
    for shift, multiplier in _ROUNDS[1:]:
        x = _shift_xor(x, shift) * np.uint32(multiplier)
    return tf.reshape(_shift_xor(x, 14), shape)


def _normal(bits: tf.Tensor) -> tf.Tensor:
    """Maps uniform uint32 to standard normal float32: the top bit is the sign, 31 bits are the tail probability."""
    sign = bits & np.uint32(0x80000000)
    tail = tf.cast(tf.bitcast(bits ^ sign, tf.int32), tf.float32) + 0.5  # times 2^-32 is the tail probability
    pattern = tf.bitcast(tail, tf.int32)
    # A float's bit pattern, read as an integer, is its exponent plus its mantissa: log2 but for a correction in [1, 2).
    mantissa = tf.bitcast(pattern & 0x007FFFFF | 0x3F800000, tf.float32)
    log2 = tf.cast(pattern, tf.float32) * 2.0**-23 - (127.0 + 32.0) + _polynomial(_LOG2, mantissa)
    magnitude = _polynomial(_NORMAL_TAIL, tf.sqrt(log2 * np.float32(-2.0 * np.log(2.0))))
    return tf.bitcast(tf.bitcast(magnitude, tf.uint32) ^ sign, tf.float32)


@tf.function(jit_compile=True, autograph=False)
def standard_normal(seed: tf.Tensor, shape: tuple[int, ...] | tf.TensorShape) -> tf.Tensor:
    """Draws float32 N(0, 1) of `shape` (at most 2^31 elements), the same for the same int32 `seed` [2]."""
    return _normal(_hash(seed, tf.constant(tf.TensorShape(shape).as_list())))


# Traced once for all sizes: XLA asks for the size when it compiles, TensorFlow's graph need not know it. A call
# for each tensor: XLA compiles each loop of a program anew, however alike they are, and a program once for each size.
@tf.function(jit_compile=True, autograph=False, reduce_retracing=True)
def _sample(mean: tf.Tensor, variance: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    noise = _normal(_hash(seed, tf.shape(variance)))
    floored = tf.cast(variance, tf.float32) + VARIANCE_FLOOR
    # The root of the quotient, because XLA turns one over a root into a function that it computes slowly.
    slope = noise * tf.sqrt(0.25 / floored)
    y = tf.cast(mean, tf.float32) + 2.0 * floored * slope
    return tf.cast(y, variance.dtype), tf.cast(slope, variance.dtype)


def sample_normal(mean: tf.Tensor, variance: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Samples N(mean, variance) elementwise: mean + sqrt(variance + 1e-8) * standard_normal(seed, shape).

    Also returns the sample's derivative with respect to `variance`, which costs one product more while the noise is at
    hand, and as much memory until the backward pass as the variance would. Computed in float32; `mean` and `variance`
    share shape and dtype. No gradient flows through either result: `add_noise` is differentiable.
    """
    # A function called on watched tensors would also build, and run, its own gradient's intermediates.
    sample = _sample if compiles_kernels() else _sample.python_function
    results = sample(tf.stop_gradient(mean), tf.stop_gradient(variance), seed)
    for result in results:
        result.set_shape(variance.shape)
    return results


def add_noise(mean: tf.Tensor, variance: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """The sample of `sample_normal` alone, once differentiable in `mean` and `variance`.

    The reparametrisation of Kingma and Welling 2014, of weights; `layers/sampling.py` has that of pre-activations.
    """

    @tf.custom_gradient
    def sample(mean: tf.Tensor, variance: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tuple]]:
        y, slope = sample_normal(mean, variance, seed)
        return y, lambda upstream: (upstream, upstream * slope)

    return sample(mean, variance)
