"""The found architecture as plain data, and its file.

A cell is a small graph whose nodes are numbered: 0 is the output of the cell before the last (c-2), 1 the output of the
last cell (c-1), 2 and up are the cell's states. A state is the sum of the operations that lead into it; the cell's
output concatenates all its states.
"""

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vinnas_tf.config import ConfigError, require
from vinnas_tf.files import write_atomically
from vinnas_tf.primitives import PRIMITIVES, convolutions

PRIMITIVE_NAMES = tuple(PRIMITIVES)
CELL_TYPES = ("normal", "reduction")
VERSION = 1
_LEGAL = tuple(name for name in PRIMITIVE_NAMES if name != "zero")


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

    Raises:
        ConfigError: the edges do not make a cell: a node out of range, a source that does not come before its target,
            an unknown primitive (or zero, which is the absence of an edge), an edge twice, a state without input.
    """

    states: int
    normal: tuple[Edge, ...] = ()
    reduction: tuple[Edge, ...] = ()

    def __post_init__(self) -> None:
        require(
            type(self.states) is int and self.states >= 1,
            f"genotype: states must be a whole number of at least 1, got {self.states!r}.",
        )
        require(bool(self.cells), "genotype: both cells are empty; give at least one of them edges.")
        for cell_type, edges in self.cells.items():
            _check_cell(f"genotype, {cell_type} cell", edges, self.states)

    @property
    def cells(self) -> dict[str, tuple[Edge, ...]]:
        """The edges by cell type, without a type that the skeleton lacks."""
        both = {cell_type: getattr(self, cell_type) for cell_type in CELL_TYPES}
        return {cell_type: edges for cell_type, edges in both.items() if edges}

    @property
    def cells_without_weights(self) -> tuple[str, ...]:
        """The cell types that learn nothing: all their operations are skips of stride 1 and pools."""
        return tuple(name for name, edges in self.cells.items() if not any(_learns(name, edge) for edge in edges))

    @property
    def parameter_free_share(self) -> float:
        """The share, in [0, 1], of the operations of all cell types that learn nothing: skips of stride 1 and pools."""
        learns = [_learns(name, edge) for name, edges in self.cells.items() for edge in edges]
        return 1 - sum(learns) / len(learns)

    def to_json(self) -> str:
        """This genotype as the text of a JSON file."""
        return json.dumps({"version": VERSION, **asdict(self)}, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Genotype":
        """The genotype that `to_json` wrote; raises ConfigError for any other text."""
        data = parse_versioned(text, "genotype", VERSION, ("states", *CELL_TYPES))
        return cls(data["states"], *(_parse_edges(cell_type, data[cell_type]) for cell_type in CELL_TYPES))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the JSON file whole or not at all; raises ConfigError where it cannot be written."""
        write_atomically(path, self.to_json())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Genotype":
        """Reads the JSON file; raises ConfigError, naming the file, where it is missing or is not a genotype."""
        text = read_text(path)
        try:
            return cls.from_json(text)
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from None


def read_text(path: str | os.PathLike[str]) -> str:
    """The text of a file; raises ConfigError where it cannot be read."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"can't read {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"can't read {path}: it isn't a text file.") from error


def parse_versioned(text: str, kind: str, version: int, fields: Iterable[str]) -> dict[str, Any]:
    """The object in a JSON text that holds "version" and `fields`, no more and no less.

    Raises:
        ConfigError: it holds anything else; `kind` names in the message what was expected.
    """
    try:
        data = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"{kind}: not JSON ({error}); expected a file that vinnas_tf wrote.") from error
    require(isinstance(data, dict), f"{kind}: expected a JSON object, got a {type(data).__name__}.")
    found = data.get("version")
    require(
        type(found) is int and found == version,
        f"{kind}: this vinnas_tf reads version {version}, got {found!r}; make the file anew.",
    )
    expected = {"version", *fields}
    wrong = [f"{name!r} is missing" for name in sorted(expected - data.keys())]
    wrong += [f"{name!r} is unknown" for name in sorted(data.keys() - expected)]
    require(not wrong, f"{kind}: {', '.join(wrong)}; expected {', '.join(sorted(expected))}.")
    return data


def _learns(cell_type: str, edge: Edge) -> bool:
    stride = 2 if cell_type == "reduction" and edge.source < 2 else 1
    return bool(convolutions(edge.primitive, stride))


def _parse_edges(cell_type: str, entries: Any) -> tuple[Edge, ...]:
    require(isinstance(entries, list), f"genotype: {cell_type!r} must be a list of edges, got {entries!r}.")
    for entry in entries:
        require(
            isinstance(entry, dict) and entry.keys() == {"target", "source", "primitive"},
            f"genotype: an edge of {cell_type!r} must have target, source and primitive and no more, got {entry!r}.",
        )
    return tuple(Edge(**entry) for entry in entries)


def _check_cell(cell: str, edges: tuple[Edge, ...], states: int) -> None:
    for edge in edges:
        for field, node in (("target", edge.target), ("source", edge.source)):
            require(type(node) is int, f"{cell}: {field} must be the whole number of a node, got {node!r}.")
        link = f"edge {edge.source} -> {edge.target}"
        require(2 <= edge.target < 2 + states, f"{cell}, {link}: the target must be a state, 2 to {states + 1}.")
        require(0 <= edge.source < edge.target, f"{cell}, {link}: the source must be a node before the target.")
        require(edge.primitive in _LEGAL, f"{cell}, {link}: {edge.primitive!r} is not one of {', '.join(_LEGAL)}.")
        require(edges.count(edge) == 1, f"{cell}, {link}: {edge.primitive} is listed more than once; list it once.")
    lonely = sorted(set(range(2, 2 + states)) - {edge.target for edge in edges})
    require(not lonely, f"{cell}: no edge leads into state {', '.join(map(str, lonely))}; each state needs one.")
