"""What feeds what in a cell: by hand, and on random cells against reachability."""

import numpy as np
import pytest

from vinnas_tf.architecture.space import DARTS, TREE_PYRAMID
from vinnas_tf.evidence import LEAST_VARIANCE
from vinnas_tf.methods.dependency import dependent_variances, leading_to

EDGES = DARTS.edges(4)


def test_variances_in_a_row_and_side_by_side_are_those_of_the_paper() -> None:
    """Equation (8): s' = 0.5, a sum of 6 into the node, s = 0.8."""
    edges = DARTS.edges(2)  # (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)
    of_edges, of_operations = np.full(5, np.inf), np.zeros((5, 3))
    of_operations[0], of_operations[1] = [1.0, 2.0, 0.05], [3.0, 0.0, 0.0]
    of_edges[4], of_operations[4] = 0.5, [0.8, 0.0, 0.01]
    identities, operations = dependent_variances(edges, 2, of_edges, of_operations)
    # 0.05 is below the least variance, so it does not count in the sum.
    assert operations[4, 0] == pytest.approx(0.2926829)
    assert identities[4] == pytest.approx(1 / (1 / 0.5 + 1 / 6))
    assert operations[0].tolist() == pytest.approx([1.0, 2.0, 0.05])  # Nothing has to feed an input.
    assert operations[4, 1] == 0.0


def test_what_is_off_takes_all_behind_it_along() -> None:
    of_edges, of_operations = np.ones(5), np.ones((5, 2))
    of_operations[:2] = 0.01
    identities, operations = dependent_variances(DARTS.edges(2), 2, of_edges, of_operations)
    assert identities[4] == 0.0 and operations[4].tolist() == [0.0, 0.0]
    of_edges[2] = 0.0
    identities, operations = dependent_variances(DARTS.edges(2), 2, of_edges, of_operations)
    assert operations[2].tolist() == [0.0, 0.0]
    assert (operations[3] > LEAST_VARIANCE).all()


def reached(kept: np.ndarray) -> set[int]:
    """The nodes that a way of kept operations leads to from an input."""
    nodes = {0, 1}
    for _ in EDGES:
        nodes |= {target for edge, (source, target) in enumerate(EDGES) if source in nodes and kept[edge].any()}
    return nodes


def test_nothing_is_kept_that_nothing_feeds() -> None:
    """Proposition 1 on 1,000 random cells, of which half have such an operation where switches are independent."""
    generator = np.random.default_rng(0)
    independent = 0
    for _ in range(1000):
        of_operations = 10 ** generator.uniform(-2, 1, (14, 7)) * (generator.random((14, 7)) < 0.05)
        of_edges = 10 ** generator.uniform(-1, 1, 14)
        kept = of_operations > LEAST_VARIANCE
        nodes = reached(kept)
        independent += any(kept[edge].any() and source not in nodes for edge, (source, _) in enumerate(EDGES))
        identities, gammas = dependent_variances(EDGES, 2, of_edges, of_operations)
        kept = gammas > LEAST_VARIANCE
        nodes = reached(kept)
        for edge, (source, _) in enumerate(EDGES):
            assert source in nodes or (gammas[edge] == 0).all()
            assert (gammas[edge] <= identities[edge]).all()
        assert (gammas <= of_operations).all()
    assert 400 < independent < 600


def test_an_edge_leads_somewhere_where_a_way_of_kept_operations_goes_on_to_an_output() -> None:
    """On random trees and graphs, against the powers of the matrix of their edges."""
    generator = np.random.default_rng(0)
    for space, states in ((TREE_PYRAMID, 12), (DARTS, 4)) * 50:
        edges, nodes = space.edges(states), space.inputs + states
        kept = generator.random((len(edges), 3)) < 0.3
        outputs = generator.choice(np.arange(space.inputs, nodes), size=2, replace=False).tolist()
        matrix = np.eye(nodes)
        for (source, target), of_edge in zip(edges, kept, strict=True):
            matrix[source, target] = of_edge.any()
        ways = np.linalg.matrix_power(matrix, nodes)[:, outputs].sum(axis=1)
        expected = [ways[target] > 0 for _, target in edges]
        assert leading_to(edges, outputs, kept).tolist() == expected
