"""The found architecture as plain data, and its file.

A cell is a small graph whose nodes are numbered. In VINNAS's space 0 is the output of the cell before the last (c-2), 1
the output of the last cell (c-1), 2 and up are the cell's states, as in DARTS's; in NAS-Bench-201's 0 is the only
input. A state is the sum of the operations that lead into it. The output concatenates all states, or is the last one
(NAS-Bench-201).
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from vinnas_tf.architecture.skeleton import CELL_TYPE_OF
from vinnas_tf.architecture.space import MOST_STATES, SPACES, VINNAS, SearchSpace
from vinnas_tf.architecture.versioned import load, parse_versioned, shown
from vinnas_tf.errors import ArchitectureError, require
from vinnas_tf.run.files import write_atomically

VERSION = 2
_FIELDS = {1: ("states", *CELL_TYPE_OF.values()), 2: ("states", "cells")}


@dataclass(frozen=True)
class Edge:
    """One kept operation: `primitive` applied to node `source`, added to state `target`."""

    target: int
    source: int
    primitive: str


@dataclass(frozen=True)
class Genotype:
    """The kept operations of each group of cells that share one architecture.

    A state may have any number of edges, and a pair of nodes any number of different primitives. A state without an
    edge is no part of the cell: where all states are joined, its output has fewer channels.

    Args:
        states: number of states of a cell.
        cells: the edges by the name of the cell group, such as "normal" and "reduction".
        space: name of the search space that the cells are of.

    Raises:
        ArchitectureError: the edges do not make a cell of the space: a node out of range, a source that does not come
            before its target or is not its parent in a tree, an unknown primitive (or zero, which is the absence of an
            edge), an edge twice, no edge (which a pyramid and NAS-Bench-201 allow), or one out of a state that no edge
            leads into (which NAS-Bench-201 allows).

    Example:
        >>> cell = (Edge(2, 0, "skip"), Edge(2, 1, "sep_conv_3x3"))
        >>> Genotype(1, {"normal": cell}).cells["normal"][1].primitive
        'sep_conv_3x3'
    """

    states: int
    cells: Mapping[str, tuple[Edge, ...]]
    space: str = VINNAS.name

    def __post_init__(self) -> None:
        require(
            type(self.states) is int and 1 <= self.states <= MOST_STATES,
            f"genotype: states must be a whole number, 1 to {MOST_STATES}, got {shown(self.states)}.",
            ArchitectureError,
        )
        known = type(self.space) is str and self.space in SPACES
        require(known, f"genotype: space must be {' or '.join(SPACES)}, got {shown(self.space)}.", ArchitectureError)
        # By length first, so that block_2 comes before block_10.
        cells = {group: tuple(self.cells[group]) for group in sorted(self.cells, key=lambda name: (len(name), name))}
        require(bool(cells), "genotype: it has no cells; give at least one.", ArchitectureError)
        for group, edges in cells.items():
            _check_cell(f"genotype, {group} cell", edges, self.states, SPACES[self.space])
        object.__setattr__(self, "cells", cells)

    def __hash__(self) -> int:
        return hash(self.to_json())

    @property
    def cells_without_weights(self) -> tuple[str, ...]:
        """The cell groups that learn nothing: only skips of stride 1 and pools lie between their inputs and output.

        In a pyramid the block around a cell learns.
        """
        if SPACES[self.space].pyramid:
            return ()
        return tuple(
            name for name in self.cells if not any(self._learns(name, edge) for edge in self.connected_edges(name))
        )

    @property
    def parameter_free_share(self) -> float:
        """The share, in [0, 1], of the operations of all cells that learn nothing: skips of stride 1 and pools."""
        learns = [self._learns(name, edge) for name, edges in self.cells.items() for edge in edges]
        return 1 - sum(learns) / max(len(learns), 1)

    def _learns(self, group: str, edge: Edge) -> bool:
        space = SPACES[self.space]
        stride = 2 if group == "reduction" and edge.source < space.inputs else 1
        return space.learns(edge.primitive, stride)

    def connected_edges(self, group: str) -> list[Edge]:
        """The edges that lie on a way from an input of the cell to its output: all of them in VINNAS's space."""
        space, edges = SPACES[self.space], self.cells[group]
        nodes = range(space.inputs + self.states)
        fed = set(nodes[: space.inputs])
        read = set(space.outputs(self.states))
        for node in nodes:
            fed |= {edge.target for edge in edges if edge.source == node and node in fed}
        for node in reversed(nodes):
            read |= {edge.source for edge in edges if edge.target == node and node in read}
        return [edge for edge in edges if edge.source in fed and edge.target in read]

    def to_json(self) -> str:
        """This genotype as the text of a JSON file."""
        cells = {group: [asdict(edge) for edge in edges] for group, edges in self.cells.items()}
        data = {"version": VERSION, "space": self.space, "states": self.states, "cells": cells}
        return json.dumps(data, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Genotype":
        """The genotype that `to_json` wrote, in this version or an earlier one.

        Raises:
            ArchitectureError: it is any other text.
        """
        # The first files did not name their space.
        data = parse_versioned(text, "genotype", _FIELDS, {"space": VINNAS.name})
        cells = data["cells"] if data["version"] == VERSION else _cells_of_version_1(data)
        require(
            isinstance(cells, dict),
            f"genotype: 'cells' must name groups of cells, got {shown(cells)}.",
            ArchitectureError,
        )
        return cls(data["states"], {group: _parse_edges(group, edges) for group, edges in cells.items()}, data["space"])

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the JSON file whole or not at all; raises FileError where it cannot be written."""
        write_atomically(path, self.to_json())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Genotype":
        """Reads the JSON file; raises ArchitectureError, naming the file, where it is missing or is not a genotype."""
        return load(path, cls.from_json)


def _cells_of_version_1(data: Mapping[str, Any]) -> dict[str, Any]:
    """The cells of a file that had one field for each type, empty for a type that the skeleton lacked."""
    space = SPACES.get(data["space"], VINNAS)
    only = len(space.cell_types) == 1  # Then the cell is there, whether it has edges or not.
    return {name: data[name] for name in CELL_TYPE_OF.values() if data[name] or (only and name in space.cell_types)}


def _parse_edges(group: str, entries: Any) -> tuple[Edge, ...]:
    require(
        isinstance(entries, list),
        f"genotype: {group!r} must be a list of edges, got {shown(entries)}.",
        ArchitectureError,
    )
    for entry in entries:
        require(
            isinstance(entry, dict) and entry.keys() == {"target", "source", "primitive"},
            f"genotype: an edge of {group!r} must have target, source and primitive and no more, got {shown(entry)}.",
            ArchitectureError,
        )
    return tuple(Edge(**entry) for entry in entries)


def _check_cell(cell: str, edges: tuple[Edge, ...], states: int, space: SearchSpace) -> None:
    nodes = range(space.inputs, space.inputs + states)
    legal = [name for name in space.primitives if name != "zero"]
    allowed = space.edges(states)
    for edge in edges:
        for field, node in (("target", edge.target), ("source", edge.source)):
            require(
                type(node) is int,
                f"{cell}: {field} must be the whole number of a node, got {shown(node)}.",
                ArchitectureError,
            )
        link = f"edge {edge.source} -> {edge.target}"
        require(
            edge.target in nodes,
            f"{cell}, {link}: the target must be a state, {nodes[0]} to {nodes[-1]}.",
            ArchitectureError,
        )
        require(
            0 <= edge.source < edge.target,
            f"{cell}, {link}: the source must be a node before the target.",
            ArchitectureError,
        )
        require(
            (edge.source, edge.target) in allowed,
            f"{cell}, {link}: in a tree of {space.name} the source of {edge.target} is its parent, "
            f"{({target: source for source, target in allowed})[edge.target]}.",
            ArchitectureError,
        )
        require(
            edge.primitive in legal,
            f"{cell}, {link}: {shown(edge.primitive)} is not one of {', '.join(legal)}.",
            ArchitectureError,
        )
        require(
            edges.count(edge) == 1,
            f"{cell}, {link}: {edge.primitive} is listed more than once; list it once.",
            ArchitectureError,
        )
        alone = [(other.source, other.target) for other in edges].count((edge.source, edge.target)) == 1
        require(
            alone or space.choice.edges_per_state is not None,
            f"{cell}, {link}: an edge has one operation in {space.name}.",
            ArchitectureError,
        )
    if space.choice.edges_per_state is None:
        return
    require(bool(edges) or space.pyramid, f"{cell}: no edge leads into any state; give it one.", ArchitectureError)
    lonely = set(nodes) - {edge.target for edge in edges}
    for edge in edges:
        require(
            edge.source not in lonely,
            f"{cell}, edge {edge.source} -> {edge.target}: no edge leads into state {edge.source}; leave it out.",
            ArchitectureError,
        )
