"""SI-VDNAS: Wang et al. 2020, Semi-Implicit Variational Dropout for Hierarchical One-shot Neural Architecture Search.

Operations and edges have weights and dropout rates. A rate is a probability of being kept too, so a found cell has any
number of operations on an edge and of edges into a state.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from vinnas_tf.architecture.collapse import collapse_warning, undecided_warning
from vinnas_tf.architecture.edge_values import EdgeValues
from vinnas_tf.architecture.found import Found
from vinnas_tf.architecture.genotype import Genotype
from vinnas_tf.architecture.kept import genotype_of_kept
from vinnas_tf.architecture.space import SPACES
from vinnas_tf.config import setting
from vinnas_tf.errors import require
from vinnas_tf.methods.vdnas import HVdnas, VdnasSettings
from vinnas_tf.variational import keep_probability, semi_implicit_kl, semi_implicit_noise

STRAIGHT_THROUGH, PATHWISE = GRADIENTS = ("straight_through", "pathwise")
SAMPLE, MODE = CHOICES = ("sample", "mode")


@dataclass(frozen=True, kw_only=True)
class SiVdnasSettings(VdnasSettings):
    """What method=si_vdnas reads besides."""

    annealing: float = setting(
        0.95, "Factor, in (0, 1], of the prior's (1 - lambda)^2 after each epoch of architecture steps."
    )
    bernoulli_gradient: str = setting(
        STRAIGHT_THROUGH,
        "Gradient of whether something is kept: straight_through, as if it were its probability; or pathwise, none.",
    )
    choose: str = setting(
        SAMPLE,
        "What is kept: sample, a draw with the seed, as published; or mode, all with a probability of at least 1/2.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 < self.annealing <= 1, f"annealing must lie in (0, 1], got {self.annealing}.")
        for name, known in (("bernoulli_gradient", GRADIENTS), ("choose", CHOICES)):
            value = getattr(self, name)
            require(value in known, f"{name} must be {' or '.join(known)}, got {value!r}.")


class SiVdnas(HVdnas):
    """SI-VDNAS: each weight is multiplied by semi-implicit noise, and what its last draw keeps is the network."""

    Settings = SiVdnasSettings

    def factor(self, group: str, rates: str, seed: tf.Tensor | None) -> tf.Tensor:
        """Semi-implicit noise from `seed`, int32 [2], or its expectation, the probability of being kept, for None."""
        log_rate = self._value(group, rates)
        if seed is None:
            return keep_probability(log_rate)
        through = self.settings.bernoulli_gradient == STRAIGHT_THROUGH
        return semi_implicit_noise(log_rate, seed, straight_through=through)

    def divergence(self, log_rate: tf.Tensor) -> tf.Tensor:
        """The exact divergence under the annealed prior (eqs. (10) and (11))."""
        return semi_implicit_kl(log_rate, self.scheduled["annealing"].value)

    def schedule(self, epoch: int) -> dict[str, float]:
        """(1 - lambda)^2 of the prior too: 1, times `annealing` for each epoch in which the architecture moved.

        The paper gives the factor of 0.95, and neither where it starts nor how often it comes.
        """
        moved = max(0, epoch - self.config.weight_epochs)
        return {**super().schedule(epoch), "annealing": self.settings.annealing**moved}

    def preference(self, found: Found) -> dict[str, np.ndarray]:
        """The probability that an operation is kept, with its edge."""
        return {
            group: of_operations * of_edges[:, None]
            for group, (of_operations, of_edges) in self._probabilities(found).items()
        }

    def epoch_figures(self, found: Found) -> dict[str, float]:
        """How many operations of each cell are kept in the mean over draws, and how many are likelier kept than not."""
        keep = self.preference(found)
        mean = {f"kept_{group}": float(probabilities.sum()) for group, probabilities in keep.items()}
        return mean | {f"kept_{group}_mode": int(kept.sum()) for group, kept in self._by_mode(found).items()}

    def warning(self, found: Found) -> str | None:
        """Where only operations without weights are likely to be kept, or hardly anything was decided."""
        keep = self.preference(found)
        genotype = self._kept(found, MODE) if self._any_number else self.derive(found)
        return collapse_warning(keep, found.primitives, genotype) or undecided_warning(keep)

    def figures(self, found: Found, group: str) -> dict[str, np.ndarray]:
        """The exact probabilities that an operation is kept, an edge is, and both are."""
        of_operations, of_edges = self._probabilities(found)[group]
        keep = self.preference(found)[group]
        return {"keep_operation": of_operations, "keep_edge": of_edges, "probability": keep}

    def edge_values(self, found: Found, trajectory: Mapping[str, np.ndarray]) -> EdgeValues:
        """The probability of being kept."""
        meaning = "p: probability that operation and edge are kept"
        return self._pictured(found, trajectory, "probability of being kept", meaning, (0.0, 1.0))

    def derive(self, found: Found | None) -> Genotype:
        """What one draw with the run's seed keeps (algorithm 1, line 11), or what is likelier kept than not.

        A state that is left without an operation keeps its most probable one. (The paper leaves it open.) Where a space
        has a fixed number of operations on an edge, such as one in NAS-Bench-201, each edge keeps its most probable.
        """
        assert found is not None
        return self._kept(found, self.settings.choose) if self._any_number else super().derive(found)

    @property
    def _any_number(self) -> bool:
        """Whether a cell of the space may have any number of operations on an edge."""
        return SPACES[self.config.space].choice.edges_per_state is not None

    def _kept(self, found: Found, choose: str) -> Genotype:
        kept = self._by_draw(found) if choose == SAMPLE else self._by_mode(found)
        return genotype_of_kept(kept, self.preference(found), found.states, found.primitives, found.space)

    def _by_draw(self, found: Found) -> dict[str, np.ndarray]:
        """What a draw with the run's seed keeps, bool [edges, K]."""
        generator = np.random.default_rng(self.config.seed)
        kept = {}
        for group, (of_operations, of_edges) in self._probabilities(found).items():
            operations = generator.random(of_operations.shape) < of_operations
            edges = generator.random(of_edges.shape) < of_edges
            kept[group] = operations & edges[:, None]
        return kept

    def _by_mode(self, found: Found) -> dict[str, np.ndarray]:
        """What is likelier kept than not, with its edge, bool [edges, K]."""
        return {
            group: (of_operations >= 0.5) & (of_edges >= 0.5)[:, None]
            for group, (of_operations, of_edges) in self._probabilities(found).items()
        }

    def _probabilities(self, found: Found) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Probabilities of being kept, of operations, [edges, K], and of edges, [edges]."""
        sigma = found.of("log_sigma")
        return {group: (_keep(delta), _keep(sigma[group])) for group, delta in found.of("log_delta").items()}


def _keep(log_rate: np.ndarray) -> np.ndarray:
    """`keep_probability` in double precision."""
    return keep_probability(tf.constant(log_rate, tf.float64)).numpy()
