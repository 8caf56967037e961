"""Random search: an architecture drawn uniformly from the space, which every search has to beat."""

import numpy as np

from vinnas_tf.architecture.genotype import Edge, Genotype
from vinnas_tf.architecture.posterior import Posterior
from vinnas_tf.architecture.skeleton import CELL_TYPE_OF
from vinnas_tf.architecture.space import SPACES, SearchSpace
from vinnas_tf.config import SearchConfig
from vinnas_tf.methods.base import Method


class RandomSearch(Method):
    """One draw from all the architectures that a search could find; nothing is trained."""

    trains = False

    def __init__(self, config: SearchConfig) -> None:
        self.config = config
        self.terms = {}

    def derive(self, posterior: Posterior | None) -> Genotype:
        """The draw of this seed."""
        space = SPACES[self.config.space]
        types = [kind for kind in space.cell_types if kind in {CELL_TYPE_OF[letter] for letter in self.config.cells}]
        return random_genotype(space, self.config.states, types, np.random.default_rng(self.config.seed))


def random_genotype(space: SearchSpace, states: int, cell_types: list[str], generator: np.random.Generator) -> Genotype:
    """Draws uniformly: into each state as many edges as the space keeps, each with any primitive other than zero.

    Args:
        space: the search space.
        states: number of states of a cell.
        cell_types: which cells to draw.
        generator: of the draw.
    """
    names = [name for name in space.primitives if name != "zero"]

    def draw_cell() -> tuple[Edge, ...]:
        edges = []
        for target in range(space.inputs, space.inputs + states):
            count = target if space.kept_edges is None else space.kept_edges
            for source in sorted(generator.choice(target, size=count, replace=False).tolist()):
                edges.append(Edge(target, source, names[generator.integers(len(names))]))
        return tuple(edges)

    return Genotype(states=states, space=space.name, **{cell_type: draw_cell() for cell_type in cell_types})
