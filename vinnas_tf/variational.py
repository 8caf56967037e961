"""The mathematics of variational dropout: pure functions of tensors, no layers, no state.

A weight (or an architecture parameter) has the posterior N(mean, exp(log_variance)) under the log-uniform prior
p(w) ~ 1/|w|. lambda = variance / mean^2 is its noise ratio.

Semi-implicit dropout (Wang et al. 2020, SI-VDNAS) multiplies by xi = Phi (1 + sqrt(delta) epsilon), where Phi is 1 with
probability 1 / (1 + delta), else 0, and epsilon is standard normal; delta is its rate. So E xi = 1 / (1 + delta).
"""

from collections.abc import Iterable

import tensorflow as tf

from vinnas_tf import kernels

INITIAL_LOG_VARIANCE = -10.0  # VINNAS, section V: "We initialise all the log-variances to -10"
PRUNING_THRESHOLD = 3.0  # VINNAS, section V-B: weights with log lambda >= 3 are pruned

# Constants of Molchanov et al. 2017 (Variational Dropout Sparsifies Deep Neural Networks), eq. 14.
_K1, _K2, _K3 = 0.63576, 1.8732, 1.48695
_LARGEST_LOG_RATE = 10.0  # Beyond +-10 an operation is kept or dropped for certain; the gradient is 0 there.
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


def keep_probability(log_rate: tf.Tensor) -> tf.Tensor:
    """P(Phi = 1) = 1 / (1 + delta) of semi-implicit dropout, elementwise; also E xi (SI-VDNAS, eq. (4))."""
    return tf.sigmoid(-_limited(log_rate))


def gaussian_dropout_noise(log_rate: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Draws 1 + sqrt(delta) epsilon, elementwise, from `seed`, int32 [2]: multiplicative noise N(1, delta)."""
    return 1.0 + tf.exp(0.5 * _limited(log_rate)) * tf.random.stateless_normal(log_rate.shape, seed)


def bernoulli_gate(log_rate: tf.Tensor, seed: tf.Tensor, *, straight_through: bool) -> tf.Tensor:
    """Draws Phi, 0 or 1, elementwise.

    Args:
        log_rate: log delta, of any shape.
        seed: int32 [2].
        straight_through: whether the gradient passes Phi as if it were P(Phi = 1) (Bengio et al. 2013); exact where the
            loss is linear in Phi. Without it there is none.
    """
    probability = keep_probability(log_rate)
    gate = tf.cast(tf.random.stateless_uniform(log_rate.shape, seed) < probability, tf.float32)
    return probability + tf.stop_gradient(gate - probability) if straight_through else gate


def semi_implicit_noise(log_rate: tf.Tensor, seed: tf.Tensor, *, straight_through: bool) -> tf.Tensor:
    """Draws xi = Phi (1 + sqrt(delta) epsilon), elementwise (SI-VDNAS, eqs. (3) and (4)).

    Args:
        log_rate: log delta, of any shape.
        seed: int32 [2], of Phi and epsilon.
        straight_through: as `bernoulli_gate` has it. Without it the data only tell how much noise a rate makes, and
            never that a value is worth keeping.
    """
    of_gate, of_noise = kernels.split(seed, 2)
    gate = bernoulli_gate(log_rate, of_gate, straight_through=straight_through)
    return gate * gaussian_dropout_noise(log_rate, of_noise)


def semi_implicit_kl(log_rate: tf.Tensor, annealing: tf.Tensor | float) -> tf.Tensor:
    """KL of semi-implicit dropout from its annealed prior, elementwise: P(Phi = 1) log(1 + c / delta) / 2.

    Posterior and prior have the same Phi, so the divergence is the mean over Phi of that between their Gaussians, which
    is 0 where Phi = 0. It is exact. SI-VDNAS (eqs. (10) and (11)) draws one Phi for it instead: the same objective with
    more variance, whose gradient does not see that P(Phi = 1) depends on delta.

    Args:
        log_rate: log delta.
        annealing: c = (1 - lambda)^2, in (0, 1]: 1 is the plain ARD prior, 0 would be none.
    """
    return keep_probability(log_rate) * ard_kl(log_rate, annealing)


def ard_kl(log_rate: tf.Tensor, annealing: tf.Tensor | float = 1.0) -> tf.Tensor:
    """KL of the noise N(1, delta) from an annealed ARD prior of the best variance: log(1 + c / delta) / 2.

    SI-VDNAS, eqs. (9) and (10); at c = 1 that of Liu et al. 2019, Variational Bayesian dropout with a hierarchical
    prior. It does not depend on what is multiplied.
    """
    return 0.5 * tf.math.log1p(annealing * tf.exp(-_limited(log_rate)))


def _limited(log_rate: tf.Tensor) -> tf.Tensor:
    return tf.clip_by_value(log_rate, -_LARGEST_LOG_RATE, _LARGEST_LOG_RATE)


def spike_and_slab_divergence(
    logit: tf.Tensor, squared_norm: tf.Tensor, channels: tf.Tensor, precision: float
) -> tf.Tensor:
    """What PGNAS adds for groups of kernel slices that share a drop probability p, elementwise; the mean loss has 1/N.

    precision / 2 (1 - p) ||m||^2 + channels (p log p + (1 - p) log(1 - p)): the divergence of a slice that is m with
    probability 1 - p and else 0 from N(0, 1 / precision), up to constants (PGNAS, eqs. (15) and (A8); the print of (15)
    lacks the entropy's second part, which (A8) gives).

    Args:
        logit: log(p / (1 - p)) of each group.
        squared_norm: the sum of the squares of the group's weights.
        channels: how many slices the group has.
        precision: of the prior, the square l^2 of its length scale.
    """
    keep = tf.sigmoid(-logit)
    # log p = -softplus(-logit), and log(1 - p) = -softplus(logit): finite where p is 0 or 1 in float32.
    entropy = tf.sigmoid(logit) * tf.math.softplus(-logit) + keep * tf.math.softplus(logit)
    return 0.5 * precision * keep * squared_norm - channels * entropy
