"""The posterior of the architecture parameters as plain arrays, and what is read off it.

Which operations make the genotype, and how sure that choice is. Arrays are [edges, K]: one row for each edge of the
supergraph's cell, in the order of `SearchSpace.edges`, one column for each primitive.
"""

import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from vinnas_tf.architecture.genotype import CELL_TYPES, Edge, Genotype, parse_versioned
from vinnas_tf.architecture.primitives import PRIMITIVES
from vinnas_tf.architecture.space import SPACES, VINNAS, SearchSpace
from vinnas_tf.errors import ArchitectureError, UserError, require
from vinnas_tf.run.files import read_text, write_atomically

VERSION = 1
PROBABILITY_SAMPLES = 2000  # The standard error of a probability is then at most 0.011.

# What alphas [..., edges, K] are ranked by, of the same shape.
Score = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class Posterior:
    """The factorised Gaussian over the architecture parameters, alpha ~ N(mean, exp(log_variance)).

    Args:
        primitives: names of the K primitives.
        states: number of states of a cell.
        mean: by cell type ("normal", "reduction"; those that the skeleton has), [edges, K].
        log_variance: the same; -inf where alphas are points.
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
        if not self.mean or self.mean.keys() != self.log_variance.keys() or not set(CELL_TYPES) >= self.mean.keys():
            found = f"{', '.join(self.mean)} and {', '.join(self.log_variance)}"
            raise ValueError(f"cell types of mean and log_variance must be alike and of {CELL_TYPES}, got {found}")
        for name in ("mean", "log_variance"):
            arrays = {cell_type: np.asarray(array, np.float64) for cell_type, array in getattr(self, name).items()}
            for cell_type, array in arrays.items():
                if array.shape != shape:
                    raise ValueError(f"{name} of the {cell_type} cell must be [edges, K] = {shape}, got {array.shape}")
            object.__setattr__(self, name, arrays)

    @property
    def edges(self) -> tuple[tuple[int, int], ...]:
        """The (source, target) pairs that the rows of the arrays stand for."""
        return self.space.edges(self.states)

    def place(self, edge: Edge) -> tuple[int, int]:
        """The row and the column that stand for an operation of a genotype."""
        return self.edges.index((edge.source, edge.target)), self.primitives.index(edge.primitive)

    def variance(self, cell_type: str) -> np.ndarray:
        """Variances of alpha, [edges, K]."""
        return np.exp(self.log_variance[cell_type])

    def snr(self, cell_type: str) -> np.ndarray:
        """The paper's positive signal-to-noise ratio mean / variance, [edges, K]; signed like the mean.

        Section IV-E and Algorithm 1, line 21. Infinite where the variance is 0.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.mean[cell_type] / self.variance(cell_type)

    def scores(self, rule: str) -> dict[str, np.ndarray]:
        """What `select` ranks the choices by, for a rule of `vinnas_tf.config.SELECTION_RULES`."""
        score = _SCORES[rule]
        return {cell_type: score(self, cell_type) for cell_type in self.mean}

    def to_json(self, score: Score) -> str:
        """The text of a JSON file: mean, variance, SNR and probability of being chosen of every edge and primitive.

        An infinite value (of a point alpha) is written as null.

        Args:
            score: what a draw of alpha is ranked by.
        """
        probability = choice_probabilities(self, score)
        cells = {}
        for cell_type in self.mean:
            columns = {
                "mean": self.mean[cell_type],
                "log_variance": self.log_variance[cell_type],
                "variance": self.variance(cell_type),
                "snr": self.snr(cell_type),
                "probability": probability[cell_type],
            }
            cells[cell_type] = [
                {
                    "source": source,
                    "target": target,
                    "primitives": {
                        primitive: {name: _finite_or_none(values[edge, k]) for name, values in columns.items()}
                        for k, primitive in enumerate(self.primitives)
                    },
                }
                for edge, (source, target) in enumerate(self.edges)
            ]
        data = {
            "version": VERSION,
            "space": self.space.name,
            "states": self.states,
            "primitives": self.primitives,
            "cells": cells,
        }
        return json.dumps(data, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Posterior":
        """The posterior that `to_json` wrote, bit for bit; raises ArchitectureError for any other text."""
        fields = ("states", "primitives", "cells")
        data = parse_versioned(text, "posterior", VERSION, fields, {"space": VINNAS.name})
        primitives = data["primitives"]

        def column(name: str) -> dict[str, np.ndarray]:
            return {
                cell_type: np.array([[edge["primitives"][p][name] for p in primitives] for edge in edges], np.float64)
                for cell_type, edges in data["cells"].items()
            }

        try:
            log_variance = {name: np.where(np.isnan(v), -np.inf, v) for name, v in column("log_variance").items()}
            space = SPACES[data["space"]]
            return cls(tuple(primitives), data["states"], column("mean"), log_variance, space)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ArchitectureError(f"posterior: not what vinnas_tf writes ({error}); make the file anew.") from error

    def save(self, path: str | os.PathLike[str], score: Score) -> None:
        """Writes `to_json` whole or not at all; raises FileError where it cannot be written."""
        write_atomically(path, self.to_json(score))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Posterior":
        """Reads the JSON file; raises ArchitectureError, naming the file, where it is missing or is not a posterior."""
        text = read_text(path)
        try:
            return cls.from_json(text)
        except UserError as error:
            raise ArchitectureError(f"{path}: {error}") from None


_SCORES: dict[str, Callable[[Posterior, str], np.ndarray]] = {
    "snr": lambda posterior, cell_type: posterior.snr(cell_type),
    "magnitude": lambda posterior, cell_type: posterior.mean[cell_type],
}


def select(
    scores: Mapping[str, np.ndarray], states: int, primitives: tuple[str, ...], space: SearchSpace = VINNAS
) -> Genotype:
    """The architecture in which each state keeps its best edges, each with its best primitive other than zero.

    It keeps as many as the space says: two in VINNAS's, all in NAS-Bench-201's. An edge is as good as its best
    primitive. Of equals, the earlier edge and the earlier primitive win.

    Args:
        scores: by cell type, [edges, K]; higher is better.
        states: number of states of a cell.
        primitives: names of the K primitives.
        space: the search space.

    Raises:
        ArchitectureError: a score is not a number.
    """
    edges = space.edges(states)
    kept: dict[str, tuple[Edge, ...]] = {}
    for cell_type, values in scores.items():
        require(
            not np.isnan(values).any(),
            f"select: a score of the {cell_type} cell is not a number; search again.",
            ArchitectureError,
        )
        kept[cell_type] = tuple(
            Edge(target=edges[edge][1], source=edges[edge][0], primitive=primitives[k])
            for edge, k in np.argwhere(_chosen(values, states, primitives, space))
        )
    return Genotype(states=states, space=space.name, **kept)


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
    for cell_type, mean in posterior.mean.items():
        deviation = np.sqrt(posterior.variance(cell_type))
        alpha = mean + deviation * generator.standard_normal((samples, *mean.shape))
        chosen = _chosen(score(alpha), posterior.states, posterior.primitives, posterior.space)
        probabilities[cell_type] = chosen.mean(axis=0)
    return probabilities


def _chosen(scores: np.ndarray, states: int, primitives: tuple[str, ...], space: SearchSpace) -> np.ndarray:
    """Which of scores [..., edges, K] the rule of `select` keeps, as booleans of the same shape."""
    candidates = np.where(np.array(primitives) == "zero", -np.inf, scores)
    best = candidates.max(axis=-1)
    kept = np.zeros(best.shape, bool)
    start = 0
    for target in range(space.inputs, space.inputs + states):
        of_state = slice(start, start + target)
        ranking = np.argsort(-best[..., of_state], axis=-1, kind="stable")
        np.put_along_axis(kept[..., of_state], ranking[..., : space.kept_edges], True, axis=-1)
        start += target
    is_best = np.arange(len(primitives)) == candidates.argmax(axis=-1)[..., None]
    return kept[..., None] & is_best


def softmax(alpha: np.ndarray) -> np.ndarray:
    """The softmax over the last axis: a method's score where one is to be compared between edges."""
    unnormalised = np.exp(alpha - alpha.max(axis=-1, keepdims=True))
    return unnormalised / unnormalised.sum(axis=-1, keepdims=True)


def _finite_or_none(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
