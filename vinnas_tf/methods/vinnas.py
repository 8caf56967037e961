"""VINNAS as published: Ferianc et al., VINNAS: Variational Inference-based Neural Network Architecture Search."""

import tensorflow as tf

from vinnas_tf.config import SearchConfig
from vinnas_tf.genotype import Genotype
from vinnas_tf.methods.base import Alphas, Term
from vinnas_tf.posterior import Posterior, select
from vinnas_tf.primitives import PRIMITIVES
from vinnas_tf.variational import clip_zero, entropy, kl_divergence

# The entropy is of an expectation; more samples of alpha than these do not change its gradient noticeably while the
# posterior is as narrow as it starts.
ENTROPY_SAMPLES = 8


class Vinnas:
    """Gaussian weights and Gaussian alphas under log-uniform priors; objective (8); choice by positive SNR."""

    variational_weights = True
    gaussian_alphas = True

    def __init__(self, config: SearchConfig) -> None:
        self.select = config.select
        self.terms = {
            "kl_weights": Term(config.gamma_weights, of_weights=True, per_example=True),
            "kl_alphas": Term(config.gamma_alphas, of_weights=False, per_example=True),
            "entropy": Term(config.gamma_entropy, of_weights=False, per_example=False),
        }

    def strengths(self, alphas: Alphas, seed: tf.Tensor | None) -> tf.Tensor:
        """softmax(alpha) of one Gaussian sample of alpha, or of its mean (eq. 3), the strength of zero clipped."""
        alpha = alphas.mean.value if seed is None else self._sample(alphas, seed, samples=1)[0]
        return _mixing_weights(alpha)

    def weight_terms(self, posteriors: list[tuple[tf.Tensor, tf.Tensor]]) -> dict[str, tf.Tensor]:
        """The sum of KL(w), eq. (8), second term."""
        means = tf.concat([tf.reshape(mean, [-1]) for mean, _ in posteriors], axis=0)
        log_variances = tf.concat([tf.reshape(log_variance, [-1]) for _, log_variance in posteriors], axis=0)
        return {"kl_weights": tf.reduce_sum(kl_divergence(means, log_variances))}

    def alpha_terms(self, alphas: dict[str, Alphas], seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """The sum of KL(alpha) and the edges' entropy of E[softmax(alpha)], eq. (8), third and fourth terms."""
        divergence = tf.constant(0.0)
        edge_entropy = tf.constant(0.0)
        for position, of_type in enumerate(alphas.values()):
            mean, log_variance = _gaussian(of_type)
            divergence += tf.reduce_sum(kl_divergence(mean, log_variance))
            samples = self._sample(of_type, seed + position, ENTROPY_SAMPLES)
            edge_entropy += tf.reduce_sum(entropy(tf.reduce_mean(_mixing_weights(samples), axis=0)))
        return {"kl_alphas": divergence, "entropy": edge_entropy}

    def derive(self, posterior: Posterior) -> Genotype:
        """Each state's two best edges with their best primitive, by positive SNR or by mean (Algorithm 1, line 21)."""
        return select(posterior.scores(self.select), posterior.states, posterior.primitives)

    def _sample(self, alphas: Alphas, seed: tf.Tensor, samples: int) -> tf.Tensor:
        mean, log_variance = _gaussian(alphas)
        noise = tf.random.stateless_normal((samples, *mean.shape), seed)
        return mean + tf.exp(0.5 * log_variance) * noise


def _gaussian(alphas: Alphas) -> tuple[tf.Tensor, tf.Tensor]:
    assert alphas.log_variance is not None  # `gaussian_alphas` asks for it.
    return alphas.mean.value, alphas.log_variance.value


def _mixing_weights(alpha: tf.Tensor) -> tf.Tensor:
    return tf.nn.softmax(clip_zero(alpha, list(PRIMITIVES).index("zero")), axis=-1)
