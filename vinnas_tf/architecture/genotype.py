"""The found architecture as plain data, and its file.

A cell is a small graph whose nodes are numbered. In VINNAS's space 0 is the output of the cell before the last (c-2), 1
the output of the last cell (c-1), 2 and up are the cell's states; in NAS-Bench-201's 0 is the only input. A state is
the sum of the operations that lead into it. The output concatenates all states, or is the last one (NAS-Bench-201).
"""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

from vinnas_tf.architecture.primitives import convolutions
from vinnas_tf.architecture.space import SPACES, VINNAS, SearchSpace
from vinnas_tf.errors import ArchitectureError, UserError, require
from vinnas_tf.run.files import read_text, write_atomically

CELL_TYPES = ("normal", "reduction")
VERSION = 1


@dataclass(frozen=True)
class Edge:
    """One kept operation: `primitive` applied to node `source`, added to state `target`."""

    target: int
    source: int
    primitive: str


@dataclass(frozen=True)
class Genotype:
    """The kept operations of each cell type, empty for a type that the skeleton lacks.

    A state may have any number of edges, and a pair of nodes any number of different primitives.

    Args:
        states: number of states of a cell.
        normal: edges of the normal cell.
        reduction: edges of the reduction cell.
        space: name of the search space that the cells are of.

    Raises:
        ArchitectureError: the edges do not make a cell of the space: a node out of range, a source that does not come
            before its target, an unknown primitive (or zero, which is the absence of an edge), an edge twice, a state
            without input (which NAS-Bench-201 allows).
    """

    states: int
    normal: tuple[Edge, ...] = ()
    reduction: tuple[Edge, ...] = ()
    space: str = VINNAS.name

    def __post_init__(self) -> None:
        require(
            type(self.states) is int and self.states >= 1,
            f"genotype: states must be a whole number of at least 1, got {self.states!r}.",
            ArchitectureError,
        )
        known = type(self.space) is str and self.space in SPACES
        require(known, f"genotype: space must be {' or '.join(SPACES)}, got {self.space!r}.", ArchitectureError)
        require(bool(self.cells), "genotype: both cells are empty; give at least one of them edges.", ArchitectureError)
        for cell_type, edges in self.cells.items():
            _check_cell(f"genotype, {cell_type} cell", edges, self.states, SPACES[self.space])

    @property
    def cells(self) -> dict[str, tuple[Edge, ...]]:
        """The edges by cell type, without a type that the skeleton lacks; a space's only type may have no edges."""
        types = SPACES[self.space].cell_types
        edges_of = {cell_type: getattr(self, cell_type) for cell_type in CELL_TYPES}
        return {cell_type: edges for cell_type, edges in edges_of.items() if edges or types == (cell_type,)}

    @property
    def cells_without_weights(self) -> tuple[str, ...]:
        """The cell types that learn nothing: only skips of stride 1 and pools lie between their inputs and output."""
        return tuple(
            name for name in self.cells if not any(self._learns(name, edge) for edge in self.connected_edges(name))
        )

    @property
    def parameter_free_share(self) -> float:
        """The share, in [0, 1], of the operations of all cell types that learn nothing: skips of stride 1 and pools."""
        learns = [self._learns(name, edge) for name, edges in self.cells.items() for edge in edges]
        return 1 - sum(learns) / max(len(learns), 1)

    def _learns(self, cell_type: str, edge: Edge) -> bool:
        stride = 2 if cell_type == "reduction" and edge.source < SPACES[self.space].inputs else 1
        return bool(convolutions(edge.primitive, stride))

    def connected_edges(self, cell_type: str) -> list[Edge]:
        """The edges that lie on a way from an input of the cell to its output: all of them in VINNAS's space."""
        space, edges = SPACES[self.space], self.cells[cell_type]
        nodes = range(space.inputs + self.states)
        fed = set(nodes[: space.inputs])
        read = set(nodes[space.inputs if space.concatenates else -1 :])
        for node in nodes:
            fed |= {edge.target for edge in edges if edge.source == node and node in fed}
        for node in reversed(nodes):
            read |= {edge.source for edge in edges if edge.target == node and node in read}
        return [edge for edge in edges if edge.source in fed and edge.target in read]

    def to_json(self) -> str:
        """This genotype as the text of a JSON file."""
        return json.dumps({"version": VERSION, **asdict(self)}, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Genotype":
        """The genotype that `to_json` wrote; raises ArchitectureError for any other text."""
        # Files of before there were two spaces do not name theirs.
        data = parse_versioned(text, "genotype", VERSION, ("states", *CELL_TYPES), {"space": VINNAS.name})
        cells = {cell_type: _parse_edges(cell_type, data[cell_type]) for cell_type in CELL_TYPES}
        return cls(data["states"], **cells, space=data["space"])

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the JSON file whole or not at all; raises FileError where it cannot be written."""
        write_atomically(path, self.to_json())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Genotype":
        """Reads the JSON file; raises ArchitectureError, naming the file, where it is missing or is not a genotype."""
        text = read_text(path)
        try:
            return cls.from_json(text)
        except UserError as error:
            raise ArchitectureError(f"{path}: {error}") from None


def parse_versioned(
    text: str, kind: str, version: int, fields: Iterable[str], defaults: Mapping[str, Any] = MappingProxyType({})
) -> dict[str, Any]:
    """The object in a JSON text that holds "version" and `fields`, and of `defaults` what it does not leave out.

    Raises:
        ArchitectureError: it holds anything else; `kind` names in the message what was expected.
    """
    try:
        data = json.loads(text)
    except ValueError as error:
        raise ArchitectureError(f"{kind}: not JSON ({error}); expected a file that vinnas_tf wrote.") from error
    require(isinstance(data, dict), f"{kind}: expected a JSON object, got a {type(data).__name__}.", ArchitectureError)
    found = data.get("version")
    require(
        type(found) is int and found == version,
        f"{kind}: this vinnas_tf reads version {version}, got {found!r}; make the file anew.",
        ArchitectureError,
    )
    data = {**defaults, **data}
    expected = {"version", *fields, *defaults}
    wrong = [f"{name!r} is missing" for name in sorted(expected - data.keys())]
    wrong += [f"{name!r} is unknown" for name in sorted(data.keys() - expected)]
    require(not wrong, f"{kind}: {', '.join(wrong)}; expected {', '.join(sorted(expected))}.", ArchitectureError)
    return data


def _parse_edges(cell_type: str, entries: Any) -> tuple[Edge, ...]:
    require(
        isinstance(entries, list),
        f"genotype: {cell_type!r} must be a list of edges, got {entries!r}.",
        ArchitectureError,
    )
    for entry in entries:
        require(
            isinstance(entry, dict) and entry.keys() == {"target", "source", "primitive"},
            f"genotype: an edge of {cell_type!r} must have target, source and primitive and no more, got {entry!r}.",
            ArchitectureError,
        )
    return tuple(Edge(**entry) for entry in entries)


def _check_cell(cell: str, edges: tuple[Edge, ...], states: int, space: SearchSpace) -> None:
    nodes = range(space.inputs, space.inputs + states)
    legal = [name for name in space.primitives if name != "zero"]
    for edge in edges:
        for field, node in (("target", edge.target), ("source", edge.source)):
            require(
                type(node) is int,
                f"{cell}: {field} must be the whole number of a node, got {node!r}.",
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
            edge.primitive in legal,
            f"{cell}, {link}: {edge.primitive!r} is not one of {', '.join(legal)}.",
            ArchitectureError,
        )
        require(
            edges.count(edge) == 1,
            f"{cell}, {link}: {edge.primitive} is listed more than once; list it once.",
            ArchitectureError,
        )
        alone = [(other.source, other.target) for other in edges].count((edge.source, edge.target)) == 1
        require(
            alone or space.kept_edges is not None,
            f"{cell}, {link}: an edge has one operation in {space.name}.",
            ArchitectureError,
        )
    lonely = sorted(set(nodes) - {edge.target for edge in edges})
    require(
        space.kept_edges is None or not lonely,
        f"{cell}: no edge leads into state {', '.join(map(str, lonely))}; each state needs one.",
        ArchitectureError,
    )
