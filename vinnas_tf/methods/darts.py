"""DARTS: Liu, Simonyan and Yang 2019, DARTS: Differentiable Architecture Search."""

import numpy as np
import tensorflow as tf

from vinnas_tf.config import SearchConfig
from vinnas_tf.genotype import Genotype
from vinnas_tf.methods.base import Alphas, Method
from vinnas_tf.posterior import Posterior, select, softmax


class Darts(Method):
    """Point weights and point alphas, no prior; the alpha step is of first or second order; choice by strength.

    The optimizers, their rates and the absence of weight decay are the house's, the same for every method.
    """

    def __init__(self, config: SearchConfig) -> None:
        self.looks_ahead = config.darts_order == 2
        self.terms = {}

    def strengths(self, alphas: Alphas, seed: tf.Tensor | None) -> tf.Tensor:
        """softmax(alpha), section 2.2, eq. (2); zero is one of the primitives, and not limited."""
        return tf.nn.softmax(alphas.mean.value, axis=-1)

    def score(self, alpha: np.ndarray) -> np.ndarray:
        """The mixing weights: edges compare by them."""
        return softmax(alpha)

    def derive(self, posterior: Posterior | None) -> Genotype:
        """Each state's strongest edges with their strongest primitive but zero, by mixing weight (section 2.4)."""
        assert posterior is not None
        scores = {cell_type: self.score(mean) for cell_type, mean in posterior.mean.items()}
        return select(scores, posterior.states, posterior.primitives, posterior.space)
