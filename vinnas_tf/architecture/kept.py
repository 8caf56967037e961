"""From what is kept of each edge, any number of operations, to a genotype."""

from collections.abc import Mapping

import numpy as np

from vinnas_tf.architecture.genotype import Edge, Genotype
from vinnas_tf.architecture.space import SearchSpace


def genotype_of_kept(
    kept: Mapping[str, np.ndarray],
    preference: Mapping[str, np.ndarray],
    states: int,
    primitives: tuple[str, ...],
    space: SearchSpace,
) -> Genotype:
    """The genotype of all operations that are kept; a state without any has the one that is preferred most.

    Args:
        kept: by cell group, bool [edges, K].
        preference: the same, numbers.
        states: number of states of a cell.
        primitives: names of the K primitives, zero not among them.
        space: the search space.

    Example:
        >>> from vinnas_tf.architecture.space import VINNAS
        >>> kept, preference = {"normal": np.zeros((2, 2), bool)}, {"normal": np.array([[0.1, 0.2], [0.3, 0.2]])}
        >>> genotype_of_kept(kept, preference, 1, ("skip", "sep_conv_3x3"), VINNAS).cells["normal"]
        (Edge(target=2, source=1, primitive='skip'),)
    """
    edges = space.edges(states)
    targets = np.array([target for _, target in edges])
    cells = {}
    for group, chosen in kept.items():
        chosen = chosen.copy()
        for target in np.unique(targets):
            rows = np.flatnonzero(targets == target)
            if not chosen[rows].any():
                row, k = np.unravel_index(preference[group][rows].argmax(), (len(rows), len(primitives)))
                chosen[rows[row], k] = True
        cells[group] = tuple(Edge(edges[row][1], edges[row][0], primitives[k]) for row, k in np.argwhere(chosen))
    return Genotype(states, cells, space.name)
