"""One figure of every candidate operation of every edge, as plain data: what pictures of a search show."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from vinnas_tf.architecture.genotype import Edge
from vinnas_tf.architecture.space import SearchSpace


class Note(NamedTuple):
    """What is written beside an operation.

    Attributes:
        name: short, such as "SNR".
        values: by cell group, [edges, K]; nothing is written where one is not finite.
        meaning: what the name stands for, such as "SNR: mean / variance of alpha".
    """

    name: str
    values: Mapping[str, np.ndarray]
    meaning: str


@dataclass(frozen=True, eq=False)
class EdgeValues:
    """A quantity of the candidate operations, as it was found and over the epochs.

    Attributes:
        space: the search space of the cells.
        states: number of states of a cell.
        primitives: names of the K candidate operations.
        name: what the quantity is called, such as "mean of alpha".
        values: by cell group, [edges, K].
        trajectory: by cell group, [epochs, edges, K].
        limits: least and largest value that can be; None where it has no bounds and 0 is the middle.
        deviation: standard deviation over which the trajectory is uncertain, as `trajectory`; without groups that have
            none.
        note: what is written beside an operation.
        caption: what a map of the values shows.
        heading: what curves of the trajectory show.
    """

    space: SearchSpace
    states: int
    primitives: tuple[str, ...]
    name: str
    values: Mapping[str, np.ndarray]
    trajectory: Mapping[str, np.ndarray]
    note: Note
    caption: str
    heading: str
    limits: tuple[float, float] | None = None
    deviation: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def edges(self) -> tuple[tuple[int, int], ...]:
        """The (source, target) pairs that the rows stand for."""
        return self.space.edges(self.states)

    def place(self, edge: Edge) -> tuple[int, int]:
        """The row and the column that stand for an operation of a genotype."""
        return self.edges.index((edge.source, edge.target)), self.primitives.index(edge.primitive)

    @property
    def kept_epoch(self) -> int | None:
        """The last epoch, from 1, that the values are of, where there are more than one to choose from."""
        same = [(self.trajectory[group] == values).all(axis=(1, 2)) for group, values in self.values.items()]
        epochs = np.flatnonzero(np.all(same, axis=0)) + 1
        return int(epochs[-1]) if len(epochs) and len(same[0]) > 1 else None
