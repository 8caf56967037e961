"""Which variances the switches of a cell have together: an operation is nothing without what feeds it.

BayesNAS (Zhou et al. 2019), section 4: variances add up where switches stand side by side, and their inverses where
they stand in a row, as resistances do.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from vinnas_tf.evidence import LEAST_VARIANCE


def dependent_variances(
    edges: Sequence[tuple[int, int]], inputs: int, of_edges: np.ndarray, of_operations: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The variances gamma of a cell's identities and operations, given what feeds them (eqs. (6) and (8)).

    1/gamma of the identity of an edge out of node j is 1/sum + 1/s', where the sum is that of the operations into j
    which are kept, and none where j is an input of the cell. 1/gamma of an operation is 1/s more. So gamma is 0 where
    nothing feeds an operation, or where any part of it is 0.

    Args:
        edges: (source, target) of each, a source being a smaller number than its target, by target.
        inputs: nodes that are given to the cell, the first ones.
        of_edges: s' of the identity of each edge, [edges]; 0 to infinity.
        of_operations: s, [edges, K]; 0 of an operation that is gone.

    Returns:
        gamma of the identities, [edges], and of the operations, [edges, K]. An operation is kept if it is above
        `LEAST_VARIANCE`.
    """
    identities, operations = np.zeros(of_edges.shape), np.zeros(of_operations.shape)
    feeding = dict.fromkeys(range(inputs), np.inf)
    for edge, (source, target) in enumerate(edges):
        identities[edge] = _in_a_row(feeding.get(source, 0.0), of_edges[edge])
        operations[edge] = _in_a_row(identities[edge], of_operations[edge])
        kept = operations[edge] > LEAST_VARIANCE
        feeding[target] = feeding.get(target, 0.0) + of_operations[edge][kept].sum()
    return identities, operations


def leading_to(edges: Sequence[tuple[int, int]], outputs: Iterable[int], kept: np.ndarray) -> np.ndarray:
    """Which edges lead to a node that the cell's output is made of, over edges with an operation that is kept.

    Args:
        edges: (source, target) of each, as above.
        outputs: the nodes.
        kept: bool, [edges, K].

    Returns:
        bool, [edges]; of an edge without a kept operation whether its target is on such a way.
    """
    leading, found = set(outputs), np.zeros(len(edges), bool)
    for edge in sorted(range(len(edges)), key=lambda edge: -edges[edge][1]):
        source, target = edges[edge]
        found[edge] = target in leading
        if found[edge] and kept[edge].any():
            leading.add(source)
    return found


def _in_a_row(first: np.ndarray | float, second: np.ndarray | float) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return 1.0 / (1.0 / np.asarray(first, np.float64) + 1.0 / np.asarray(second, np.float64))
