import itertools
import random

import numpy as np
import pytest

from vinnas_tf.architecture.genotype import Edge
from vinnas_tf.architecture.space import VINNAS
from vinnas_tf.plots.cell_layout import lay_out

OPERATIONS = VINNAS.primitives[:-1]


def two_inputs_each(seed, states):
    """A cell as `select` makes them: two edges into each state."""
    generator = random.Random(seed)
    return tuple(
        Edge(target, source, generator.choice(OPERATIONS))
        for target in range(2, 2 + states)
        for source in generator.sample(range(target), 2)
    )


CELLS = {
    **{f"{n} states, seed {seed}": (two_inputs_each(seed, n), n) for n in (2, 3, 4) for seed in (0, 1)},
    "one state": ((Edge(2, 0, "skip"),), 1),
    "chain": (tuple(Edge(target, target - 1, "skip") for target in range(2, 6)), 4),
    "all from the inputs": (tuple(Edge(t, s, "skip") for t in range(2, 6) for s in (0, 1)), 4),
    "parallel operations": (
        tuple(Edge(target, s, name) for target, s in ((2, 0), (2, 1), (3, 0), (3, 2)) for name in OPERATIONS[:4]),
        2,
    ),
}


@pytest.fixture(params=CELLS.values(), ids=list(CELLS), scope="module")
def cell(request):
    edges, states = request.param
    return edges, states, lay_out(edges, states)


def sides(box):
    return box.x - box.width / 2, box.x + box.width / 2, box.y - box.height / 2, box.y + box.height / 2


def samples(wire):
    """Points along a chain of cubic Bezier curves, [points, 2]."""
    points = np.array(wire.points)
    t = np.linspace(0, 1, 40)[:, None]
    curves = [points[i : i + 4] for i in range(0, len(points) - 1, 3)]
    return np.concatenate(
        [(1 - t) ** 3 * a + 3 * t * (1 - t) ** 2 * b + 3 * t**2 * (1 - t) * c + t**3 * d for a, b, c, d in curves]
    )


def test_every_node_and_operation_has_one_box_and_the_output_another(cell):
    edges, states, layout = cell
    assert sorted(box.node for box in layout.boxes if box.node is not None) == list(range(2 + states))
    assert sorted(box.edge for box in layout.boxes if box.edge is not None) == list(range(len(edges)))
    assert len(layout.boxes) == 2 + states + len(edges) + 1


def test_boxes_lie_within_the_picture_and_apart_from_each_other(cell):
    _, _, layout = cell
    for box in layout.boxes:
        left, right, top, bottom = sides(box)
        assert left >= -1e-9 and top >= -1e-9
        assert right <= layout.width + 1e-9 and bottom <= layout.height + 1e-9
    for a, b in itertools.combinations(layout.boxes, 2):
        a_left, a_right, a_top, a_bottom = sides(a)
        b_left, b_right, b_top, b_bottom = sides(b)
        gap = max(b_left - a_right, a_left - b_right, b_top - a_bottom, a_top - b_bottom)
        assert gap > 0.1


def test_wires_run_from_source_through_their_operation_to_target_or_output(cell):
    edges, states, layout = cell
    nodes = {box.node: sides(box) for box in layout.boxes if box.node is not None}
    (output,) = (sides(box) for box in layout.boxes if box.node is None and box.edge is None)
    operations = {box.edge: box for box in layout.boxes if box.edge is not None}
    ends = []
    for wire in layout.wires:
        if wire.edge is None:
            (start,) = (node for node, side in nodes.items() if _touches(wire.points[0], side[1], side))
            ends.append(start)
            assert _touches(wire.points[-1], output[0], output)
        else:
            edge, operation = edges[wire.edge], operations[wire.edge]
            assert _touches(wire.points[0], nodes[edge.source][1], nodes[edge.source])
            assert _touches(wire.points[-1], nodes[edge.target][0], nodes[edge.target])
            assert np.abs(samples(wire) - (operation.x, operation.y)).max(axis=1).min() < 0.05
    assert sorted(ends) == list(range(2, 2 + states))
    assert sorted(wire.edge for wire in layout.wires if wire.edge is not None) == list(range(len(edges)))


def _touches(point, x, box_sides):
    return abs(point[0] - x) < 1e-9 and box_sides[2] < point[1] < box_sides[3]


def test_no_wire_crosses_a_box_that_is_not_its_own(cell):
    _, _, layout = cell
    for wire in layout.wires:
        x, y = samples(wire).T
        for box in layout.boxes:
            if box.edge is not None and box.edge == wire.edge:
                continue
            left, right, top, bottom = sides(box)
            assert not ((x > left + 1e-9) & (x < right - 1e-9) & (y > top) & (y < bottom)).any()


def test_arrows_point_right_and_never_share_an_end(cell):
    _, _, layout = cell
    for wire in layout.wires:
        assert (np.diff(samples(wire)[:, 0]) >= -1e-9).all()
    for end in (0, -1):
        ends = [wire.points[end] for wire in layout.wires]
        assert min((np.hypot(*np.subtract(a, b)) for a, b in itertools.combinations(ends, 2)), default=1) > 0.05


def test_the_older_input_is_above_the_newer(cell):
    _, _, layout = cell
    height = {box.node: box.y for box in layout.boxes}
    assert height[0] < height[1]


def test_layout_depends_on_nothing_but_the_cell():
    edges = two_inputs_each(5, 4)
    assert lay_out(edges, 4) == lay_out(edges, 4)


def test_a_cell_that_can_be_drawn_without_crossings_is():
    # Two states side by side, each from one input: only a bad order makes wires cross.
    layout = lay_out((Edge(2, 1, "skip"), Edge(3, 0, "skip")), 2)
    height = {box.node: box.y for box in layout.boxes}
    assert height[3] < height[2]


def test_a_state_that_nothing_leads_into_is_left_out():
    edges = (Edge(3, 0, "skip"), Edge(4, 3, "skip"))
    layout = lay_out(edges, 3)
    assert {box.node for box in layout.boxes if box.node is not None} == {0, 1, 3, 4}
    assert [wire.edge for wire in layout.wires] == [0, 1, None, None]
