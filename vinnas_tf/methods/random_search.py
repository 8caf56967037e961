"""Random search: an architecture drawn uniformly from the space, which every search has to beat."""

import numpy as np

from vinnas_tf.architecture.found import Found
from vinnas_tf.architecture.genotype import Edge, Genotype
from vinnas_tf.architecture.skeleton import cell_groups
from vinnas_tf.architecture.space import SPACES, SearchSpace
from vinnas_tf.methods.base import Method


class RandomSearch(Method):
    """One draw from all the architectures that a search could find; nothing is trained."""

    trains = False
    ignores = frozenset(
        {
            "channels", "epochs", "weight_epochs", "batch_size", "weight_optimizer", "weight_learning_rate",
            "weight_schedule", "weight_schedule_epochs", "final_weight_learning_rate", "weight_decay",
            "weight_clip_norm", "alpha_learning_rate", "alpha_beta_1", "alpha_decay", "label_smoothing", "stem",
        }
    )  # fmt: skip

    @classmethod
    def can_search(cls, space: SearchSpace) -> bool:
        """Any space."""
        return True

    def derive(self, found: Found | None) -> Genotype:
        """The draw of this seed."""
        space = SPACES[self.config.space]
        groups = [*cell_groups(self.config.cells, space, self.config.states)]
        return random_genotype(space, self.config.states, groups, np.random.default_rng(self.config.seed))


def random_genotype(space: SearchSpace, states: int, groups: list[str], generator: np.random.Generator) -> Genotype:
    """Draws uniformly: into each state as many edges as the space keeps, each with any primitive other than zero.

    Args:
        space: the search space.
        states: number of states of a cell.
        groups: names of the cell groups to draw.
        generator: of the draw.
    """
    names = [name for name in space.primitives if name != "zero"]

    def draw_cell() -> tuple[Edge, ...]:
        edges = []
        for target in range(space.inputs, space.inputs + states):
            sources = [source for source, reader in space.edges(states) if reader == target]
            kept = space.choice.edges_per_state
            count = len(sources) if kept is None else kept
            for place in sorted(generator.choice(len(sources), size=count, replace=False).tolist()):
                edges.append(Edge(target, sources[place], names[generator.integers(len(names))]))
        return tuple(edges)

    return Genotype(states, {group: draw_cell() for group in groups}, space.name)
