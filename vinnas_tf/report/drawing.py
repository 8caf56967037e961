"""A cell's picture as shapes for inline SVG, from the layout that the PNG has too. Sizes are in CSS pixels."""

from collections.abc import Sequence
from dataclasses import dataclass

from vinnas_tf.architecture.genotype import Edge, Genotype
from vinnas_tf.architecture.space import SPACES
from vinnas_tf.plots.cell_layout import lay_out
from vinnas_tf.plots.style import family_of, with_minus

_INCH = 84  # Names have 11 pixels, so an inch of the layout needs no more.
_MARGIN = 4


@dataclass(frozen=True)
class Box:
    """A node, an operation or the output, with its upper left corner at (x, y)."""

    x: float
    y: float
    width: float
    height: float
    text: str
    kind: str  # "input", "state", "output" or "operation"
    family: str = ""  # of primitives, a word
    operation: int = -1  # which one
    label: str = ""  # for a reader who does not see it


@dataclass(frozen=True)
class Wire:
    """A line with an arrow's head: the path's data, and the head's corners."""

    path: str
    head: str
    family: str


@dataclass(frozen=True)
class Drawing:
    """All shapes of a cell's picture."""

    width: float
    height: float
    boxes: Sequence[Box]
    wires: Sequence[Wire]


def draw(edges: Sequence[Edge], genotype: Genotype) -> Drawing:
    """The picture of a cell of the genotype with these edges."""
    space = SPACES[genotype.space]
    layout = lay_out(edges, genotype.states, space)

    def scaled(inches: float) -> float:
        return round(_INCH * inches + _MARGIN, 1)

    boxes = []
    for box in layout.boxes:
        corner = scaled(box.x - box.width / 2), scaled(box.y - box.height / 2)
        size = round(_INCH * box.width, 1), round(_INCH * box.height, 1)
        if box.edge is not None:
            edge = edges[box.edge]
            ends = [with_minus(space.node_name(node)) for node in (edge.source, edge.target)]
            label = f"{edge.primitive} from {ends[0]} to {ends[1]}"
            boxes.append(Box(*corner, *size, edge.primitive, "operation", family_of(edge.primitive), box.edge, label))
        elif box.node is None:
            boxes.append(Box(*corner, *size, "concat" if space.concatenates else "output", "output"))
        else:
            kind = "input" if box.node < space.inputs else "state"
            boxes.append(Box(*corner, *size, with_minus(space.node_name(box.node)), kind))
    wires = []
    for wire in layout.wires:
        start, *points = ((scaled(x), scaled(y)) for x, y in wire.points)
        path = f"M{start[0]} {start[1]}C" + " ".join(f"{x} {y}" for x, y in points)
        x, y = points[-1]
        head = f"{x},{y} {x - 7},{y - 3.5} {x - 7},{y + 3.5}"
        wires.append(Wire(path, head, family_of(edges[wire.edge].primitive) if wire.edge is not None else ""))
    # Operations lie over all wires, and are read in their order.
    boxes.sort(key=lambda box: box.operation)
    return Drawing(scaled(layout.width) + _MARGIN, scaled(layout.height) + _MARGIN, boxes, wires)
