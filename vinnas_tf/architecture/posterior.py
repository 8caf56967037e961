"""The Gaussian posterior of architecture weights: a view of what a search found, and what is read off it.

Which operations make the genotype, and how sure that choice is. Arrays are [edges, K]: one row for each edge of a
group's cell, in the order of `SearchSpace.edges`, one column for each primitive.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from vinnas_tf.architecture.edge_values import EdgeValues, Note
from vinnas_tf.architecture.found import Columns, Found
from vinnas_tf.architecture.genotype import Edge, Genotype
from vinnas_tf.architecture.primitives import PRIMITIVES
from vinnas_tf.architecture.space import VINNAS, Choice, SearchSpace
from vinnas_tf.errors import ArchitectureError, require

PROBABILITY_SAMPLES = 2000  # The standard error of a probability is then at most 0.011.

# What alphas [..., edges, K] are ranked by, of the same shape.
Score = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class Posterior:
    """The factorised Gaussian over the architecture parameters, alpha ~ N(mean, exp(log_variance)).

    Args:
        primitives: names of the K primitives.
        states: number of states of a cell.
        mean: by cell group, [edges, K].
        log_variance: the same; -inf where alphas are deterministic.
        space: the search space that the cells are of.

    Raises:
        ValueError: shapes or names that do not belong together.
    """

    primitives: tuple[str, ...]
    states: int
    mean: dict[str, np.ndarray]
    log_variance: dict[str, np.ndarray]
    space: SearchSpace = VINNAS

    def __post_init__(self) -> None:
        shape = (len(self.edges), len(self.primitives))
        if len(set(self.primitives)) != len(self.primitives) or not PRIMITIVES.keys() >= set(self.primitives):
            raise ValueError(f"primitives must be different ones of {', '.join(PRIMITIVES)}, got {self.primitives}")
        if not self.mean or self.mean.keys() != self.log_variance.keys():
            found = f"{', '.join(self.mean)} and {', '.join(self.log_variance)}"
            raise ValueError(f"mean and log_variance must be of the same cell groups, got {found}")
        for name in ("mean", "log_variance"):
            arrays = {group: np.asarray(array, np.float64) for group, array in getattr(self, name).items()}
            for group, array in arrays.items():
                if array.shape != shape:
                    raise ValueError(f"{name} of the {group} cell must be [edges, K] = {shape}, got {array.shape}")
            object.__setattr__(self, name, arrays)

    @property
    def edges(self) -> tuple[tuple[int, int], ...]:
        """The (source, target) pairs that the rows of the arrays stand for."""
        return self.space.edges(self.states)

    def variance(self, group: str) -> np.ndarray:
        """Variances of alpha, [edges, K]."""
        return np.exp(self.log_variance[group])

    def snr(self, group: str) -> np.ndarray:
        """The paper's positive signal-to-noise ratio mean / variance, [edges, K]; signed like the mean.

        Section IV-E and Algorithm 1, line 21. Infinite where the variance is 0.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.mean[group] / self.variance(group)

    def scores(self, rule: str) -> dict[str, np.ndarray]:
        """What `select` ranks the choices by, for a rule of `vinnas_tf.config.SELECTION_RULES`."""
        score = _SCORES[rule]
        return {group: score(self, group) for group in self.mean}

    def columns(self, score: Score) -> Columns:
        """What the file tells of a posterior: mean, variance, SNR and probability of being chosen.

        Args:
            score: what a draw of alpha is ranked by.
        """
        probability = choice_probabilities(self, score)
        return {
            group: {
                "mean": self.mean[group],
                "log_variance": self.log_variance[group],
                "variance": self.variance(group),
                "snr": self.snr(group),
                "probability": probability[group],
            }
            for group in self.mean
        }

    def edge_values(self, trajectory: Mapping[str, np.ndarray]) -> EdgeValues:
        """The means and their way, with the SNR beside them.

        Args:
            trajectory: by "GROUP/mean" and, of Gaussian alphas, "GROUP/log_variance": [epochs, edges, K].
        """
        of_noise = {group: f"{group}/log_variance" for group in self.mean if f"{group}/log_variance" in trajectory}
        return EdgeValues(
            self.space,
            self.states,
            self.primitives,
            "mean of alpha",
            self.mean,
            {group: trajectory[f"{group}/mean"] for group in self.mean},
            Note("SNR", {group: self.snr(group) for group in self.mean}, "SNR: mean / variance of alpha"),
            caption="mean and SNR (mean / variance) of alpha; outlined: chosen",
            heading="Mean ± standard deviation of alpha over the epochs",
            deviation={group: np.exp(0.5 * trajectory[name]) for group, name in of_noise.items()},
        )

    @classmethod
    def of(cls, found: Found) -> "Posterior":
        """The view of found arrays "mean" and, where alphas are Gaussian, "log_variance"; null, a point, is -inf."""
        mean, log_variance = found.of("mean"), found.of("log_variance")
        log_variance = {
            group: np.nan_to_num(log_variance.get(group, np.full(value.shape, np.nan)), nan=-np.inf, neginf=-np.inf)
            for group, value in mean.items()
        }
        return cls(found.primitives, found.states, mean, log_variance, found.space)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Posterior":
        """The view of a file that `Found.save` wrote; raises ArchitectureError where it is of no Gaussian."""
        found = Found.load(path)
        require(bool(found.of("mean")), f"{path} holds no means of architecture weights.", ArchitectureError)
        return cls.of(found)


_SCORES: dict[str, Callable[[Posterior, str], np.ndarray]] = {
    "snr": lambda posterior, group: posterior.snr(group),
    "magnitude": lambda posterior, group: posterior.mean[group],
}


def select(
    scores: Mapping[str, np.ndarray],
    states: int,
    primitives: tuple[str, ...],
    space: SearchSpace = VINNAS,
    choice: Choice | None = None,
) -> Genotype:
    """The architecture in which each state keeps its best edges, each with its best primitives other than zero.

    An edge is as good as its best primitive. Of equals, the earlier edge and the earlier primitive win.

    Args:
        scores: by cell group, [edges, K]; higher is better.
        states: number of states of a cell.
        primitives: names of the K primitives.
        space: the search space.
        choice: how many are kept; None: as many as the space says, such as two edges in VINNAS's.

    Raises:
        ArchitectureError: a score is not a number.
    """
    edges = space.edges(states)
    kept: dict[str, tuple[Edge, ...]] = {}
    for group, values in scores.items():
        require(
            not np.isnan(values).any(),
            f"select: a score of the {group} cell is not a number; search again.",
            ArchitectureError,
        )
        kept[group] = tuple(
            Edge(target=edges[edge][1], source=edges[edge][0], primitive=primitives[k])
            for edge, k in np.argwhere(_chosen(values, states, primitives, space, choice or space.choice))
        )
    return Genotype(states, kept, space.name)


def choice_probabilities(
    posterior: Posterior, score: Score, *, samples: int = PROBABILITY_SAMPLES, seed: int = 0
) -> dict[str, np.ndarray]:
    """The probability that each choice is in the genotype when alpha is drawn from the posterior, [edges, K].

    From each of `samples` draws is chosen as in `select`. A row's sum is the probability that its edge is kept, and
    all rows of a state together sum to the number of edges that it keeps.

    Args:
        posterior: what alpha is drawn from.
        score: what a draw [..., edges, K] is ranked by.
        samples: number of draws.
        seed: of the draws.
    """
    generator = np.random.default_rng(seed)
    probabilities = {}
    for group, mean in posterior.mean.items():
        deviation = np.sqrt(posterior.variance(group))
        alpha = mean + deviation * generator.standard_normal((samples, *mean.shape))
        chosen = _chosen(score(alpha), posterior.states, posterior.primitives, posterior.space, posterior.space.choice)
        probabilities[group] = chosen.mean(axis=0)
    return probabilities


def _chosen(
    scores: np.ndarray, states: int, primitives: tuple[str, ...], space: SearchSpace, choice: Choice
) -> np.ndarray:
    """Which of scores [..., edges, K] the rule of `select` keeps, as booleans of the same shape."""
    candidates = np.where(np.array(primitives) == "zero", -np.inf, scores)
    best = candidates.max(axis=-1)
    kept = np.zeros(best.shape, bool)
    targets = np.array([target for _, target in space.edges(states)])
    for target in range(space.inputs, space.inputs + states):
        into_state = np.flatnonzero(targets == target)
        ranking = np.argsort(-best[..., into_state], axis=-1, kind="stable")[..., : choice.edges_per_state]
        np.put_along_axis(kept, into_state[ranking], True, axis=-1)
    ranking = np.argsort(-candidates, axis=-1, kind="stable")[..., : choice.operations_per_edge]
    leads = np.zeros(candidates.shape, bool)
    np.put_along_axis(leads, ranking, True, axis=-1)
    return kept[..., None] & leads & (candidates > -np.inf)


def softmax(alpha: np.ndarray) -> np.ndarray:
    """The softmax over the last axis: a method's score where one is to be compared between edges."""
    unnormalised = np.exp(alpha - alpha.max(axis=-1, keepdims=True))
    return unnormalised / unnormalised.sum(axis=-1, keepdims=True)
