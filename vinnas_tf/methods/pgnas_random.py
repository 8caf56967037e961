"""The baseline of PGNAS: every channel is dropped with one fixed probability, and nothing else differs."""

from dataclasses import dataclass

import numpy as np

from vinnas_tf.architecture.masks import DropProbabilities
from vinnas_tf.config import setting
from vinnas_tf.methods.pgnas import MaskSettings, Pgnas, require_probability


@dataclass(frozen=True, kw_only=True)
class PgnasRandomSettings(MaskSettings):
    """What method=pgnas_random reads besides."""

    drop_probability: float = setting(0.1, "Probability with which each channel is dropped.")

    def __post_init__(self) -> None:
        super().__post_init__()
        require_probability("drop_probability", self.drop_probability)


class PgnasRandom(Pgnas):
    """Masks of a fixed rate in every layer, in training and for the candidates ("random" in PGNAS's table 3).

    As no probability moves, its term is a constant L2 penalty, (1 - p) l^2 / (2 N) ||w||^2, and a number.
    """

    Settings = PgnasRandomSettings
    ignores = Pgnas.ignores | {"alpha_learning_rate", "alpha_beta_1", "alpha_decay"}
    learns_probabilities = False

    def candidate_rates(self, found: DropProbabilities, weights: np.ndarray) -> np.ndarray:
        """The one rate."""
        return found.of_channels

    @property
    def initial_probability(self) -> float:
        """The probability that stays."""
        return self.settings.drop_probability
