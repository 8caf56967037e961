"""What a search method is: the few questions that the supergraph, `SearchModel` and the CLIs ask it."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import keras
import tensorflow as tf

from vinnas_tf.config import SearchConfig
from vinnas_tf.genotype import Genotype
from vinnas_tf.posterior import Posterior


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
    """A search method.

    Attributes:
        variational_weights: Gaussian weights in the supergraph, or points.
        gaussian_alphas: Gaussian architecture parameters, or points.
        terms: what the loss consists of beside the cross-entropy, by name.
    """

    variational_weights: bool
    gaussian_alphas: bool
    terms: dict[str, Term]

    def __init__(self, config: SearchConfig) -> None: ...

    def strengths(self, alphas: Alphas, seed: tf.Tensor | None) -> tf.Tensor:
        """Mixing weights [edges, K] of one cell type: sampled from `seed` (int32 [2]), or at the mean for None."""
        ...

    def weight_terms(self, posteriors: list[tuple[tf.Tensor, tf.Tensor]]) -> dict[str, tf.Tensor]:
        """Raw values of the terms that the weight step adds, from all (mean, log_variance) of the weights."""
        ...

    def alpha_terms(self, alphas: dict[str, Alphas], seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """Raw values of the terms that the alpha step adds."""
        ...

    def derive(self, posterior: Posterior) -> Genotype:
        """The architecture that the posterior of the alphas stands for."""
        ...
