"""VINNAS as published: Ferianc et al., VINNAS: Variational Inference-based Neural Network Architecture Search."""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from vinnas_tf import kernels
from vinnas_tf.architecture.found import Found
from vinnas_tf.architecture.genotype import Genotype
from vinnas_tf.architecture.posterior import Posterior, select
from vinnas_tf.architecture.space import SPACES
from vinnas_tf.config import (
    ESTIMATOR_HELP,
    GAMMA_START_HELP,
    LOCAL_REPARAMETRIZATION,
    SELECTION_RULES,
    SearchConfig,
    require_epoch,
    require_estimator,
    require_not_negative,
    require_positive,
    setting,
)
from vinnas_tf.errors import require
from vinnas_tf.methods.base import ARCHITECTURE, WEIGHTS, Draw, Method, Network, Term
from vinnas_tf.variational import INITIAL_LOG_VARIANCE, clip_zero, entropy, kl_divergence, weight_kl

# The entropy is of an expectation; more samples of alpha than these do not change its gradient noticeably while the
# posterior is as narrow as it starts.
ENTROPY_SAMPLES = 8
GAMMA_ALPHAS_HELP = "End value of gamma 2, the weight of KL(alpha)/N."


@dataclass(frozen=True, kw_only=True)
class VinnasSettings:
    """What method=vinnas reads besides (objective (8) and Algorithm 1 of VINNAS)."""

    gamma_weights: float = setting(1.0, "End value of gamma 1, the weight of KL(w)/N.")
    gamma_alphas: float = setting(1.0, GAMMA_ALPHAS_HELP)
    gamma_entropy: float = setting(0.03, "End value of gamma 3, the weight of the mixing weights' entropy.")
    gamma_start_epoch: int = setting(2, GAMMA_START_HELP)
    log_variance_rate: float = setting(3.0, "Learning rate of log-variances as a multiple of the means'.")
    estimator: str = setting(LOCAL_REPARAMETRIZATION, ESTIMATOR_HELP)
    select: str = setting("snr", "Rule by which choices are ranked: " + " or ".join(SELECTION_RULES) + ".")
    variational: bool = setting(True, "Gaussian weights; without them, deterministic weights: an ablation.")

    def __post_init__(self) -> None:
        require_estimator(self.estimator)
        require(self.select in SELECTION_RULES, f"select must be {' or '.join(SELECTION_RULES)}, got {self.select!r}.")
        require_positive(self, "log_variance_rate")
        require_not_negative(self, "gamma_weights", "gamma_alphas", "gamma_entropy")


class Vinnas(Method):
    """Gaussian weights and Gaussian alphas under log-uniform priors; objective (8); choice by positive SNR."""

    Settings = VinnasSettings
    initial_log_variance = INITIAL_LOG_VARIANCE
    nonnegative = True
    keeps_best_epoch = True  # Algorithm 1, lines 14 to 18

    def __init__(self, config: SearchConfig, settings: VinnasSettings | None = None) -> None:
        super().__init__(config, settings)
        self.variational_weights = self.settings.variational
        self.estimator = self.settings.estimator
        self.log_variance_rate = self.settings.log_variance_rate
        self.gamma_start_epoch = self.settings.gamma_start_epoch
        require_epoch("gamma_start_epoch", self.gamma_start_epoch, config.epochs)
        self._zero = SPACES[config.space].primitives.index("zero")
        self.terms = {
            "kl_weights": Term(self.settings.gamma_weights, WEIGHTS, setting="gamma_weights"),
            "kl_alphas": Term(self.settings.gamma_alphas, ARCHITECTURE, setting="gamma_alphas"),
            "entropy": Term(self.settings.gamma_entropy, ARCHITECTURE, per_example=False, setting="gamma_entropy"),
        }

    def mixing_weights(self, alpha: tf.Tensor) -> tf.Tensor:
        """softmax(alpha) (eq. 3), the mixing weight of zero limited."""
        return tf.nn.softmax(clip_zero(alpha, self._zero), axis=-1)

    def values(self, draw: Draw, network: Network) -> dict[str, tf.Tensor]:
        """The sum of KL(w), that of KL(alpha), and the entropy of E[softmax(alpha)] of all edges: eq. (8)."""
        divergence = tf.constant(0.0)
        edge_entropy = tf.constant(0.0)
        for position, (group, mean) in enumerate(self.alphas.mean.items()):
            divergence += tf.reduce_sum(kl_divergence(mean.value, self.alphas.log_variance[group].value))
            samples = self.alphas.samples(group, kernels.fold_in(draw.seed, 0) + position, ENTROPY_SAMPLES)
            edge_entropy += tf.reduce_sum(entropy(tf.reduce_mean(self.mixing_weights(samples), axis=0)))
        return {
            "kl_weights": weight_kl(network.weight_posteriors()),
            "kl_alphas": divergence,
            "entropy": edge_entropy,
        }

    def score(self, alpha: np.ndarray) -> np.ndarray:
        """Alpha itself."""
        return alpha

    def derive(self, found: Found | None) -> Genotype:
        """Each state's best edges with their best primitive, by positive SNR or by mean (Algorithm 1, line 21)."""
        assert found is not None
        scores = Posterior.of(found).scores(self.settings.select)
        return select(scores, found.states, found.primitives, found.space)
