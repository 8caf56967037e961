"""Where the parts of a cell's picture stand: a layered drawing in which no two boxes overlap and no wire crosses a box.

Nodes stand in columns by their depth (the longest way from an input), and the operations into the nodes of a depth in a
column just before it. A wire that passes a column has a lane of its own there (Sugiyama et al. 1981, "Methods for
visual understanding of hierarchical system structures"). All sizes are in inches, y runs downwards.
"""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, combinations, pairwise

from vinnas_tf.architecture.genotype import Edge
from vinnas_tf.architecture.space import VINNAS, SearchSpace

_NODE = (0.72, 0.42)  # least height: a node grows with its wires
_OPERATION = (1.16, 0.44)  # least width: all operations grow with the longest name
_CHARACTER, _BESIDE_NAME = 0.072, 0.1
_LANE_HEIGHT = 0.04
_MARGIN = 0.14  # between neighbours in a column
_GAP = 0.62  # between columns, where wires curve
_OUTPUT_WIDTH = 0.3
_PORT = 0.1  # between wires that meet at a node
_STARTS, _SWEEPS, _STRAIGHTENINGS = 16, 6, 200
_STRAIGHTNESS = 20  # weight of a link between two lanes of a wire; of others 1

# A part of a path: ("node", n), ("edge", index) or ("lane", number of the path, column).
Part = tuple
# How strongly other parts draw a part to their level.
Pulls = dict[Part, dict[Part, float]]


@dataclass(frozen=True)
class Box:
    """A box around (x, y): a node, the operation of an edge, or (with neither) the output."""

    x: float
    y: float
    width: float
    height: float
    node: int | None = None
    edge: int | None = None


@dataclass(frozen=True)
class Wire:
    """A chain of cubic Bezier curves: a start, then three points a curve. Without an edge it leads to the output."""

    points: tuple[tuple[float, float], ...]
    edge: int | None


@dataclass(frozen=True)
class CellLayout:
    """All parts of a cell's picture, with its upper left corner at (0, 0)."""

    width: float
    height: float
    boxes: tuple[Box, ...]
    wires: tuple[Wire, ...]


def lay_out(edges: Sequence[Edge], states: int, space: SearchSpace = VINNAS) -> CellLayout:
    """The picture of the cell with these edges, inputs at the left and output at the right."""
    paths, columns = _paths(edges, states, space)
    heights = _heights(paths, columns)
    y = _best_arrangement(paths, columns, heights)
    ends = [y[path[-1]] for path in paths[len(edges) :]]
    output_height = max(ends) - min(ends) + 0.75
    output_y = (min(ends) + max(ends)) / 2
    top = min(output_y - output_height / 2, *(y[part] - heights[part] / 2 for part in y))
    bottom = max(output_y + output_height / 2, *(y[part] + heights[part] / 2 for part in y))
    y = {part: value - top for part, value in y.items()}

    longest = max((len(edge.primitive) for edge in edges), default=0)
    operation = max(_OPERATION[0], _CHARACTER * longest + _BESIDE_NAME)
    widths = [_NODE[0] if index % 2 == 0 else operation for index in range(len(columns))]
    lefts = list(accumulate((width + _GAP for width in widths), initial=0.0))
    span = {part: (lefts[i], lefts[i] + widths[i]) for i, column in enumerate(columns) for part in column}
    boxes = [Box(lefts[-1] + _OUTPUT_WIDTH / 2, output_y - top, _OUTPUT_WIDTH, output_height)]
    for part, (left, right) in span.items():
        if part[0] == "node":
            boxes.append(Box((left + right) / 2, y[part], _NODE[0], heights[part], node=part[1]))
        elif part[0] == "edge":
            boxes.append(Box((left + right) / 2, y[part], operation, _OPERATION[1], edge=part[1]))
    return CellLayout(
        width=lefts[-1] + _OUTPUT_WIDTH,
        height=bottom - top,
        boxes=tuple(boxes),
        wires=tuple(_wires(paths, len(edges), y, span, lefts[-1])),
    )


def _paths(edges: Sequence[Edge], states: int, space: SearchSpace) -> tuple[list[list[Part]], list[list[Part]]]:
    """The parts that each wire runs through, edges first and then one wire from each state that the output is made of.

    A state that nothing leads into is left out, but for those of a cell whose output is its last state. Returns the
    paths, and all parts by column.
    """
    depth = dict.fromkeys(range(space.inputs), 0)
    fed = {edge.target for edge in edges}
    outputs = space.outputs(states)
    nodes = [s for s in range(space.inputs, space.inputs + states) if s in fed or len(outputs) == 1]
    for state in nodes:
        depth[state] = 1 + max((depth[edge.source] for edge in edges if edge.target == state), default=0)
    deepest = 2 * max(depth.values())
    columns: list[list[Part]] = [[] for _ in range(deepest + 1)]
    for node in depth:
        columns[2 * depth[node]].append(("node", node))
    paths: list[list[Part]] = []
    for index, edge in enumerate(edges):
        stop = 2 * depth[edge.target] - 1
        lanes = [("lane", index, column) for column in range(2 * depth[edge.source] + 1, stop)]
        columns[stop].append(("edge", index))
        paths.append([("node", edge.source), *lanes, ("edge", index), ("node", edge.target)])
    for state in (node for node in nodes if node in outputs):
        lanes = [("lane", len(edges) + state, column) for column in range(2 * depth[state] + 1, deepest + 1)]
        paths.append([("node", state), *lanes])
    for path in paths:
        for part in path:
            if part[0] == "lane":
                columns[part[2]].append(part)
    return paths, columns


def _heights(paths: list[list[Part]], columns: list[list[Part]]) -> dict[Part, float]:
    """How much of a column each part needs; a node as much as the wires that meet there."""
    fixed = {"node": _NODE[1], "edge": _OPERATION[1], "lane": _LANE_HEIGHT}
    heights = {part: fixed[part[0]] for column in columns for part in column}
    wires = Counter([(path[0], "leaves") for path in paths] + [(path[-1], "enters") for path in paths if path[1:]])
    for (part, _), count in wires.items():
        heights[part] = max(heights[part], _PORT * (count + 1)) if part[0] == "node" else heights[part]
    return heights


def _best_arrangement(
    paths: list[list[Part]], columns: list[list[Part]], heights: dict[Part, float]
) -> dict[Part, float]:
    """The y of each part: of several starts, that with the fewest crossings and, next, the straightest wires."""
    links = list(chain.from_iterable(pairwise(path) for path in paths))
    before: Pulls = {part: {} for column in columns for part in column}
    after: Pulls = {part: {} for part in before}
    for first, second in links:
        before[second][first] = after[first][second] = _STRAIGHTNESS if first[0] == second[0] == "lane" else 1
    around = {part: before[part] | after[part] for part in before}
    column_of = {part: index for index, column in enumerate(columns) for part in column}
    generator = random.Random(0)
    arrangements = []
    for _ in range(_STARTS):
        # The inputs stay in order: c-2 above c-1.
        orders = [columns[0], *(generator.sample(column, len(column)) for column in columns[1:])]
        y = dict.fromkeys(before, 0.0)
        for order in orders:
            _place(order, {}, heights, y)
        for _ in range(_SWEEPS):
            for pulls, way in ((before, range(1, len(orders))), (after, range(len(orders) - 2, -1, -1))):
                for index in way:
                    if index:
                        wanted = {part: _pull(part, pulls, y)[0] for part in orders[index]}
                        orders[index].sort(key=wanted.__getitem__)
                    _place(orders[index], pulls, heights, y)
        crossings = sum(
            (y[a] - y[c]) * (y[b] - y[d]) < 0
            for (a, b), (c, d) in combinations(links, 2)
            if column_of[a] == column_of[c]
        )
        arrangements.append((crossings, sum(abs(y[a] - y[b]) for a, b in links), y, orders))
    _, _, y, orders = min(arrangements, key=lambda arrangement: arrangement[:2])
    # Column by column this descends the weighted sum of squared differences of y over all links.
    for order in orders * _STRAIGHTENINGS:
        _place(order, around, heights, y)
    return y


def _pull(part: Part, pulls: Pulls, y: dict[Part, float]) -> tuple[float, float]:
    """Where its neighbours draw a part to, and how strongly; without any it stays."""
    neighbours = pulls.get(part)
    if not neighbours:
        return y[part], 1.0
    strength = sum(neighbours.values())
    return sum(weight * y[neighbour] for neighbour, weight in neighbours.items()) / strength, strength


def _place(order: list[Part], pulls: Pulls, heights: dict[Part, float], y: dict[Part, float]) -> None:
    """Moves the parts of a column to the places nearest to where they are drawn that keep their order and margins.

    Nearest in weighted least squares: isotonic regression, after the least distances are taken off, by pooling
    adjacent violators.
    """
    distances = ((heights[a] + heights[b]) / 2 + _MARGIN for a, b in pairwise(order))
    offsets = list(accumulate(distances, initial=0.0))
    blocks: list[tuple[float, float, int]] = []  # Mean, weight and number of parts.
    for part, offset in zip(order, offsets, strict=True):
        wanted, weight = _pull(part, pulls, y)
        mean, size = wanted - offset, 1
        while blocks and blocks[-1][0] > mean:
            other_mean, other_weight, other_size = blocks.pop()
            mean = (mean * weight + other_mean * other_weight) / (weight + other_weight)
            weight, size = weight + other_weight, size + other_size
        blocks.append((mean, weight, size))
    pooled = chain.from_iterable([mean] * size for mean, _, size in blocks)
    y.update({part: mean + offset for part, mean, offset in zip(order, pooled, offsets, strict=True)})


def _wires(
    paths: list[list[Part]], edges: int, y: dict[Part, float], span: dict[Part, tuple[float, float]], output_left: float
) -> Iterator[Wire]:
    """The paths as curves that leave and enter each column level, through ports of their own where several meet."""
    leaving: dict[Part, list[tuple[float, int]]] = {}
    entering: dict[Part, list[tuple[float, int]]] = {}
    for number, path in enumerate(paths):
        leaving.setdefault(path[0], []).append((y[path[1]] if len(path) > 1 else y[path[0]], number))
        if number < edges:
            entering.setdefault(path[-1], []).append((y[path[-2]], number))

    def port(meeting: list[tuple[float, int]], number: int) -> float:
        rank = [other for _, other in sorted(meeting)].index(number)
        return _PORT * (rank - (len(meeting) - 1) / 2)

    for number, path in enumerate(paths):
        x, level = span[path[0]][1], y[path[0]] + port(leaving[path[0]], number)
        points = [(x, level)]
        stops = [(*span[part], y[part]) for part in path[1:]]
        if number < edges:
            stops[-1] = (stops[-1][0], stops[-1][0], stops[-1][2] + port(entering[path[-1]], number))
        else:
            stops.append((output_left, output_left, stops[-1][2] if stops else level))
        for left, right, height in stops:
            middle = (x + left) / 2
            points += [(middle, level), (middle, height), (left, height)]
            if right > left:
                points += [(left, height), (right, height), (right, height)]
            x, level = right, height
        yield Wire(tuple(points), number if number < edges else None)
