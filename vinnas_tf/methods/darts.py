"""DARTS: Liu, Simonyan and Yang 2019, DARTS: Differentiable Architecture Search."""

from vinnas_tf.config import SearchConfig
from vinnas_tf.methods.base import Method


class Darts(Method):
    """Point weights and point alphas, no prior; the alpha step is of first or second order; choice by strength.

    So it is what `Method` is where nothing else is said: softmax(alpha) mixes (section 2.2, eq. (2)), with zero as one
    of the primitives and not limited, and chooses (section 2.4). The optimizers, their rates and the absence of weight
    decay are the house's, the same for every method.
    """

    def __init__(self, config: SearchConfig) -> None:
        self.looks_ahead = config.darts_order == 2
        self.terms = {}
