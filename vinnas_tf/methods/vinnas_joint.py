"""VINNAS with its weights and architecture learnt jointly: this project's own variant, not a published method.

It answers what trials of the published rule showed on NAS-Bench-201: a held-out loss of weights that are hardly trained
favours skips, a log-uniform prior on alphas evens a softmax out instead of removing anything, and a posterior that
starts at a variance of e^-10 is sure of every choice.
"""

import tensorflow as tf

from vinnas_tf.config import SearchConfig
from vinnas_tf.methods.base import Alphas, Method, Term, sample_alphas

PRIOR_WEIGHT = 10.0  # of KL(alpha)/N at gamma 2 = 1


class VinnasJoint(Method):
    """Point weights, Gaussian alphas under a standard normal prior, one level; choice by the strength of the mean."""

    initial_log_variance = -2.0
    normalize_all = True
    single_level = True

    def __init__(self, config: SearchConfig) -> None:
        self.terms = {"kl_alphas": Term(PRIOR_WEIGHT * config.gamma_alphas, of_weights=False, per_example=True)}

    def strengths(self, alphas: Alphas, seed: tf.Tensor | None) -> tf.Tensor:
        """softmax(alpha) of one Gaussian sample of alpha, or of its mean."""
        alpha = alphas.mean.value if seed is None else sample_alphas(alphas, seed, samples=1)[0]
        return tf.nn.softmax(alpha, axis=-1)

    def alpha_terms(self, alphas: dict[str, Alphas], seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """The sum of KL(N(mean, variance) || N(0, 1))."""
        return {"kl_alphas": tf.add_n([_kl_divergence_to_standard_normal(of_type) for of_type in alphas.values()])}


def _kl_divergence_to_standard_normal(alphas: Alphas) -> tf.Tensor:
    assert alphas.log_variance is not None
    mean, log_variance = alphas.mean.value, alphas.log_variance.value
    return 0.5 * tf.reduce_sum(tf.square(mean) + tf.exp(log_variance) - 1.0 - log_variance)
