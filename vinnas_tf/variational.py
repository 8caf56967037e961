"""The mathematics of variational dropout: pure functions of tensors, no layers, no state.

A weight (or an architecture parameter) has the posterior N(mean, exp(log_variance)) under the log-uniform prior
p(w) ~ 1/|w|. lambda = variance / mean^2 is its noise ratio.
"""

from collections.abc import Iterable

import tensorflow as tf

INITIAL_LOG_VARIANCE = -10.0  # VINNAS, section V: "We initialise all the log-variances to -10"
PRUNING_THRESHOLD = 3.0  # VINNAS, section V-B: weights with log lambda >= 3 are pruned

# Constants of Molchanov et al. 2017 (Variational Dropout Sparsifies Deep Neural Networks), eq. 14.
_K1, _K2, _K3 = 0.63576, 1.8732, 1.48695
_SMALLEST_RATIO = 1e-30  # keeps the gradient of the logarithm finite where the mean is 0; the sigmoid is 0 there


def log_noise_ratio(mean: tf.Tensor, log_variance: tf.Tensor) -> tf.Tensor:
    """log lambda = log_variance - log(mean^2), elementwise; +inf where the mean is exactly 0."""
    return log_variance - 2.0 * tf.math.log(tf.abs(mean))


def kl_divergence(mean: tf.Tensor, log_variance: tf.Tensor) -> tf.Tensor:
    """KL(N(mean, exp(log_variance)) || log-uniform), elementwise, up to the constant that makes it 0 at lambda = inf.

    Molchanov et al. 2017, eq. 14, negated: at least 0, and within 0.0094 of the integral (worst at log lambda = -3.5).
    Written in r = 1 / lambda = mean^2 / variance, so that value and gradient are finite (both 0) at mean = 0.
    """
    r = tf.square(mean) * tf.exp(-log_variance)
    return 0.5 * tf.math.log1p(r) + _K1 * tf.sigmoid(_K3 * tf.math.log(r + _SMALLEST_RATIO) - _K2)


def weight_kl(posteriors: Iterable[tuple[tf.Tensor, tf.Tensor]]) -> tf.Tensor:
    """The sum of KL(w) over all Gaussian weights: the second term of VINNAS's objective (8), before gamma 1 / N.

    Args:
        posteriors: (mean, log_variance) of each tensor of weights; 0 without any.
    """
    pairs = list(posteriors)
    if not pairs:
        return tf.constant(0.0)
    mean, log_variance = (tf.concat([_flat(one) for one in of_all], axis=0) for of_all in zip(*pairs, strict=True))
    return tf.reduce_sum(kl_divergence(mean, log_variance))


def _flat(weights: tf.Tensor) -> tf.Tensor:
    # Most of a supergraph's are flat already, and every operation is read and optimised before the first step.
    return weights if weights.shape.rank == 1 else tf.reshape(weights, [-1])


def clip_zero(alpha: tf.Tensor, zero_index: int) -> tf.Tensor:
    """Limits the mixing weight of the zero primitive to the mean of the others (VINNAS, section V-A).

    Args:
        alpha: [..., K] architecture weights before the softmax.
        zero_index: position of zero among the K primitives.
    """
    others = tf.concat([alpha[..., :zero_index], alpha[..., zero_index + 1 :]], axis=-1)
    cap = tf.reduce_mean(others, axis=-1, keepdims=True)
    is_zero = tf.one_hot(zero_index, alpha.shape[-1], on_value=True, off_value=False, dtype=tf.bool)
    return tf.where(is_zero, tf.minimum(alpha, cap), alpha)


def entropy(probabilities: tf.Tensor) -> tf.Tensor:
    """Shannon entropy, in nats, of the distributions along the last axis: [..., K] to [...]."""
    return -tf.reduce_sum(tf.math.xlogy(probabilities, probabilities), axis=-1)
