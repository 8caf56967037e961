"""VINNAS as published: Ferianc et al., VINNAS: Variational Inference-based Neural Network Architecture Search."""

import numpy as np
import tensorflow as tf

from vinnas_tf.architecture.genotype import Genotype
from vinnas_tf.architecture.posterior import Posterior, select
from vinnas_tf.architecture.space import SPACES
from vinnas_tf.config import SearchConfig
from vinnas_tf.methods.base import Alphas, Method, Term, sample_alphas
from vinnas_tf.variational import INITIAL_LOG_VARIANCE, clip_zero, entropy, kl_divergence

# The entropy is of an expectation; more samples of alpha than these do not change its gradient noticeably while the
# posterior is as narrow as it starts.
ENTROPY_SAMPLES = 8


class Vinnas(Method):
    """Gaussian weights and Gaussian alphas under log-uniform priors; objective (8); choice by positive SNR."""

    initial_log_variance = INITIAL_LOG_VARIANCE
    keeps_best_epoch = True  # Algorithm 1, lines 14 to 18

    def __init__(self, config: SearchConfig) -> None:
        self.variational_weights = config.variational
        self.select = config.select
        self._zero = SPACES[config.space].primitives.index("zero")
        self.terms = {
            "kl_weights": Term(config.gamma_weights, of_weights=True, per_example=True),
            "kl_alphas": Term(config.gamma_alphas, of_weights=False, per_example=True),
            "entropy": Term(config.gamma_entropy, of_weights=False, per_example=False),
        }

    def strengths(self, alphas: Alphas, seed: tf.Tensor | None) -> tf.Tensor:
        """softmax(alpha) of one Gaussian sample of alpha, or of its mean (eq. 3), the strength of zero clipped."""
        return self._mixing_weights(alphas.mean.value if seed is None else sample_alphas(alphas, seed, samples=1)[0])

    def weight_terms(self, posteriors: list[tuple[tf.Tensor, tf.Tensor]]) -> dict[str, tf.Tensor]:
        """The sum of KL(w), eq. (8), second term."""
        if not posteriors:
            return {"kl_weights": tf.constant(0.0)}
        means, log_variances = (
            tf.concat([_flat(one) for one in of_all], axis=0) for of_all in zip(*posteriors, strict=True)
        )
        return {"kl_weights": tf.reduce_sum(kl_divergence(means, log_variances))}

    def alpha_terms(self, alphas: dict[str, Alphas], seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """The sum of KL(alpha) and the edges' entropy of E[softmax(alpha)], eq. (8), third and fourth terms."""
        divergence = tf.constant(0.0)
        edge_entropy = tf.constant(0.0)
        for position, of_type in enumerate(alphas.values()):
            assert of_type.log_variance is not None
            divergence += tf.reduce_sum(kl_divergence(of_type.mean.value, of_type.log_variance.value))
            samples = sample_alphas(of_type, seed + position, ENTROPY_SAMPLES)
            edge_entropy += tf.reduce_sum(entropy(tf.reduce_mean(self._mixing_weights(samples), axis=0)))
        return {"kl_alphas": divergence, "entropy": edge_entropy}

    def score(self, alpha: np.ndarray) -> np.ndarray:
        """Alpha itself."""
        return alpha

    def derive(self, posterior: Posterior | None) -> Genotype:
        """Each state's best edges with their best primitive, by positive SNR or by mean (Algorithm 1, line 21)."""
        assert posterior is not None
        return select(posterior.scores(self.select), posterior.states, posterior.primitives, posterior.space)

    def _mixing_weights(self, alpha: tf.Tensor) -> tf.Tensor:
        return tf.nn.softmax(clip_zero(alpha, self._zero), axis=-1)


def _flat(weights: tf.Tensor) -> tf.Tensor:
    # Most are flat already, and every operation is read and optimised before the first step.
    return weights if weights.shape.rank == 1 else tf.reshape(weights, [-1])
