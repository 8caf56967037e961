"""VINNAS with its weights and architecture learnt jointly: this project's own variant, not a published method.

It answers what trials of the published rule showed on NAS-Bench-201: a held-out loss of weights that are hardly trained
favours skips, a log-uniform prior on alphas evens a softmax out instead of removing anything, and a posterior that
starts at a variance of e^-10 is sure of every choice.
"""

from dataclasses import dataclass

import keras
import tensorflow as tf

from vinnas_tf.config import GAMMA_START_HELP, SearchConfig, require_epoch, require_not_negative, setting
from vinnas_tf.methods.base import ARCHITECTURE, Draw, Method, Network, Term
from vinnas_tf.methods.steps import joint
from vinnas_tf.methods.vinnas import GAMMA_ALPHAS_HELP

PRIOR_WEIGHT = 10.0  # of KL(alpha)/N at gamma 2 = 1


@dataclass(frozen=True, kw_only=True)
class VinnasJointSettings:
    """What method=vinnas_joint reads besides."""

    gamma_alphas: float = setting(1.0, GAMMA_ALPHAS_HELP)
    gamma_start_epoch: int = setting(2, GAMMA_START_HELP)

    def __post_init__(self) -> None:
        require_not_negative(self, "gamma_alphas")


class VinnasJoint(Method):
    """Deterministic weights, Gaussian alphas under a standard normal prior, one level; choice by the mean's softmax."""

    Settings = VinnasJointSettings
    step = joint
    initial_log_variance = -2.0
    normalize_all = True
    nonnegative = True

    def __init__(self, config: SearchConfig, settings: VinnasJointSettings | None = None) -> None:
        super().__init__(config, settings)
        self.gamma_start_epoch = self.settings.gamma_start_epoch
        require_epoch("gamma_start_epoch", self.gamma_start_epoch, config.epochs)
        self.terms = {
            "kl_alphas": Term(PRIOR_WEIGHT * self.settings.gamma_alphas, ARCHITECTURE, setting="gamma_alphas")
        }

    def values(self, draw: Draw, network: Network) -> dict[str, tf.Tensor]:
        """The sum of KL(N(mean, variance) || N(0, 1))."""
        posteriors = zip(self.alphas.mean.values(), self.alphas.log_variance.values(), strict=True)
        return {"kl_alphas": tf.add_n([_kl_divergence_to_standard_normal(*posterior) for posterior in posteriors])}


def _kl_divergence_to_standard_normal(mean: keras.Variable, log_variance: keras.Variable) -> tf.Tensor:
    m, v = mean.value, log_variance.value
    return 0.5 * tf.reduce_sum(tf.square(m) + tf.exp(v) - 1.0 - v)
