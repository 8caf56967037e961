"""What a search method is: the few questions that the supergraph, `SearchModel` and the CLIs ask it."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import keras
import numpy as np
import tensorflow as tf

from vinnas_tf.architecture.genotype import Genotype
from vinnas_tf.architecture.posterior import Posterior, select, softmax
from vinnas_tf.config import SearchConfig


class Alphas(NamedTuple):
    """Architecture parameters of one cell type, each [edges, K]; `log_variance` is None where alphas are points."""

    mean: keras.Variable
    log_variance: keras.Variable | None


@dataclass(frozen=True)
class Term:
    """A term that a method adds to the cross-entropy.

    Attributes:
        gamma: its weight at the end of the ramp.
        of_weights: whether the weight step adds it, or the alpha step.
        per_example: whether the term belongs to the whole data set, so that the mean loss takes 1/N of it.
    """

    gamma: float
    of_weights: bool
    per_example: bool


class Method(Protocol):
    """A search method; what a method leaves out is as in this class: points, mixed and chosen by their softmax.

    Attributes:
        trains: whether a supergraph is trained at all.
        variational_weights: Gaussian weights in the supergraph, or points.
        initial_log_variance: of Gaussian architecture parameters; None makes them points.
        normalize_all: whether skip and bare pools are normalised, as all other primitives are.
        single_level: whether each step moves weights and architecture parameters together, on either half of the data.
        looks_ahead: whether the architecture gradient sees that weights follow architecture parameters (second order).
        keeps_best_epoch: whether the alphas of the epoch with the least error on the alpha half are kept, or the last.
        terms: what the loss consists of beside the cross-entropy, by name.
    """

    trains: bool = True
    variational_weights: bool = False
    initial_log_variance: float | None = None
    normalize_all: bool = False
    single_level: bool = False
    looks_ahead: bool = False
    keeps_best_epoch: bool = False
    terms: dict[str, Term]

    def __init__(self, config: SearchConfig) -> None: ...

    def strengths(self, alphas: Alphas, seed: tf.Tensor | None) -> tf.Tensor:
        """Mixing weights [edges, K] of one cell type: sampled from `seed` (int32 [2]), or at the mean for None."""
        return tf.nn.softmax(alphas.mean.value, axis=-1)

    def weight_terms(self, posteriors: list[tuple[tf.Tensor, tf.Tensor]]) -> dict[str, tf.Tensor]:
        """Raw values of the terms that the weight step adds, from all (mean, log_variance) of the weights."""
        return {}

    def alpha_terms(self, alphas: dict[str, Alphas], seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """Raw values of the terms that the alpha step adds."""
        return {}

    def score(self, alpha: np.ndarray) -> np.ndarray:
        """What a draw of alpha, [..., edges, K], is ranked by, of the same shape.

        The softmax compares edges: a number added to all alphas of an edge changes nothing in it.
        """
        return softmax(alpha)

    def derive(self, posterior: Posterior | None) -> Genotype:
        """The architecture that the posterior of the alphas stands for; None where nothing was trained.

        Each state's best edges with their best primitive other than zero, by the score of the mean.
        """
        assert posterior is not None
        scores = {cell_type: self.score(mean) for cell_type, mean in posterior.mean.items()}
        return select(scores, posterior.states, posterior.primitives, posterior.space)


def sample_alphas(alphas: Alphas, seed: tf.Tensor, samples: int) -> tf.Tensor:
    """Draws [samples, edges, K] of Gaussian alphas from `seed`, int32 [2]."""
    assert alphas.log_variance is not None  # `initial_log_variance` asks for it.
    mean, log_variance = alphas.mean.value, alphas.log_variance.value
    return mean + tf.exp(0.5 * log_variance) * tf.random.stateless_normal((samples, *mean.shape), seed)
