"""PGNAS: Zhou et al. 2020, Posterior-Guided Neural Architecture Search.

A given network is trained while its channels are dropped at random, and the drop probabilities are learnt with the
weights: variational dropout, whose posterior is one over pairs of architectures and weights. Architectures are then
drawn from it, and judged with the weights as they are.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, cast

import keras
import numpy as np
import tensorflow as tf

from vinnas_tf.architecture.masks import DropProbabilities
from vinnas_tf.config import SearchConfig, require_not_negative, require_positive, setting
from vinnas_tf.errors import require
from vinnas_tf.layers.channel_mask import concrete_mask
from vinnas_tf.methods.alphas import AddWeight
from vinnas_tf.methods.base import ARCHITECTURE, WEIGHTS, Draw, Network, Term
from vinnas_tf.methods.channels import ChannelMethod, ChannelNetwork
from vinnas_tf.network.backbones import BackboneSettings
from vinnas_tf.variational import spike_and_slab_divergence

LEARNT, EQUAL, PERMUTED = "learnt", "equal", "permuted"
_PERMUTATION = 2**32 - 1  # What tells its draw from those of candidates, which have numbers.
AUGMENTED_AS = 10  # N counts an augmented image so often (the paper's supplement: 5e5 for 50,000 images).


@dataclass(frozen=True, kw_only=True)
class MaskSettings(BackboneSettings):
    """What all methods read whose masks are drawn from probabilities."""

    prior_precision: float = setting(
        50.0, "Precision of the weights' Gaussian prior (l^2): a larger one drops more channels, and shrinks weights."
    )
    temperature: float = setting(
        0.2, "Of the relaxed masks in training, above 0: lower ones are closer to 0 and 1, with larger gradients."
    )
    candidates: int = setting(
        1500, "Sub-networks that are drawn after the last epoch and judged on held-out training images."
    )
    fine_tuning_epochs: int = setting(
        0,
        "Epochs in which the best candidate is trained on without masks, by adam from a tenth of "
        "weight_learning_rate to 0 along a cosine; 0 leaves it its weights, as the paper does.",
    )

    def __post_init__(self) -> None:
        parent = getattr(super(), "__post_init__", None)
        if parent is not None:
            parent()
        require_positive(self, "prior_precision", "temperature")
        require(self.candidates >= 1, f"candidates must be at least 1, got {self.candidates}.")
        require_not_negative(self, "fine_tuning_epochs")


@dataclass(frozen=True, kw_only=True)
class PgnasSettings(MaskSettings):
    """What method=pgnas reads besides."""

    initial_drop_probability: float = setting(0.1, "Probability with which each channel is dropped at the start.")
    candidate_rates: str = setting(
        LEARNT,
        "Probabilities with which candidates drop channels: learnt ones; or as controls equal, one for all channels "
        "that keeps as many weights, or permuted, the learnt ones shuffled among the channels of all layers.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            self.candidate_rates in (LEARNT, EQUAL, PERMUTED),
            f"candidate_rates must be {LEARNT}, {EQUAL} or {PERMUTED}, got {self.candidate_rates!r}.",
        )
        require_probability("initial_drop_probability", self.initial_drop_probability)


class Pgnas(ChannelMethod):
    """Learns weights and drop probabilities jointly, by the evidence lower bound (14) with relaxed masks (16)."""

    Settings: ClassVar[type] = PgnasSettings
    augmented_as = AUGMENTED_AS
    learns_probabilities = True

    def __init__(self, config: SearchConfig, settings: MaskSettings | None = None) -> None:
        super().__init__(config, settings)
        self.terms = {"kl": Term(1.0, WEIGHTS | ARCHITECTURE)}

    @property
    def initial_probability(self) -> float:
        """The probability of every group at the start."""
        return self.settings.initial_drop_probability

    def channel_parameters(self, groups: int, add_weight: AddWeight) -> Mapping[str, keras.Variable]:
        """One logit a group: the importance of channels of one layer is taken to be the same (below eq. (13))."""
        p = self.initial_probability
        self.logit = add_weight(
            name="logit",
            shape=(groups,),
            initializer=keras.initializers.Constant(math.log(p) - math.log1p(-p)),
            trainable=self.learns_probabilities,
        )
        return {"channels/logit": self.logit}

    def training_mask(self, logit: tf.Tensor, seed: tf.Tensor, images: tf.Tensor) -> tf.Tensor:
        """Relaxed, one for each image (algorithm 1, line 3; eq. (16))."""
        return concrete_mask(logit, seed, images, self.settings.temperature)

    def candidate_rates(self, found: DropProbabilities, weights: np.ndarray) -> np.ndarray:
        """Those that were learnt, or what `candidate_rates` makes of them."""
        rates, how = found.of_channels, self.settings.candidate_rates
        if how == EQUAL:
            return np.full_like(rates, found.equal_rate(weights))
        if how == PERMUTED:
            return np.random.default_rng([self.config.seed, _PERMUTATION]).permutation(rates)
        return rates

    def values(self, draw: Draw, network: Network) -> dict[str, tf.Tensor]:
        """The divergence of masked kernels from their prior, before 1/N (eq. (15))."""
        channels, squared_norms = cast(ChannelNetwork, network).channel_groups()
        precision = self.settings.prior_precision
        divergences = spike_and_slab_divergence(self.logit.value, squared_norms, channels, precision)
        return {"kl": tf.reduce_sum(divergences)}

    def schedule(self, epoch: int) -> dict[str, float]:
        """The whole divergence in every epoch."""
        return {f"gamma_{name}": term.gamma for name, term in self.terms.items()}


def require_probability(name: str, value: float) -> None:
    """Raises SettingError unless the setting lies in (0, 1)."""
    require(0 < value < 1, f"{name} must lie in (0, 1), got {value:g}.")
