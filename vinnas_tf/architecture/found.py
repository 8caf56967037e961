"""What a search found, as plain arrays with names, and its file."""

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from vinnas_tf.architecture.space import MOST_STATES, SPACES, VINNAS, SearchSpace
from vinnas_tf.architecture.versioned import load, parse_versioned
from vinnas_tf.errors import ArchitectureError
from vinnas_tf.run.files import write_atomically

VERSION = 1

# By cell group, then by quantity, such as "mean": [edges, K], or [edges] for a quantity of a whole edge.
Columns = Mapping[str, Mapping[str, np.ndarray]]


@dataclass(frozen=True, eq=False)
class Found:
    """The architecture parameters at the end of an epoch, under names such as "normal/mean".

    Args:
        space: the search space that the cells are of.
        states: number of states of a cell.
        primitives: names of the K candidate operations, some or all of the space's.
        arrays: by "GROUP/QUANTITY", [edges, K] or [edges].

    Raises:
        ValueError: an array is of other edges or primitives, or a primitive is none of the space's.
    """

    space: SearchSpace
    states: int
    primitives: tuple[str, ...]
    arrays: Mapping[str, np.ndarray]

    def __post_init__(self) -> None:
        if not set(self.primitives) <= set(self.space.primitives):
            raise ValueError(f"primitives {', '.join(self.primitives)} are not those of {self.space.name}")
        shape = (len(self.space.edges(self.states)), len(self.primitives))
        arrays = {name: np.asarray(array, np.float64) for name, array in self.arrays.items()}
        for name, array in arrays.items():
            if array.shape not in (shape, shape[:1]):
                raise ValueError(f"{name} must be [edges, K] = {shape} or [edges], got {array.shape}")
        object.__setattr__(self, "arrays", arrays)

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of the cell groups."""
        return tuple(dict.fromkeys(name.split("/")[0] for name in self.arrays))

    def of(self, quantity: str) -> dict[str, np.ndarray]:
        """One quantity, such as "mean", by cell group; without the groups that lack it."""
        return {
            group: self.arrays[f"{group}/{quantity}"] for group in self.groups if f"{group}/{quantity}" in self.arrays
        }

    def to_json(self, columns: Columns) -> str:
        """The text of a JSON file with `columns`, by primitive or by edge; what is not finite is null."""
        edges = self.space.edges(self.states)
        cells = {
            group: [
                {
                    "source": source,
                    "target": target,
                    **({"edge": row} if (row := _row(quantities, edge, 1)) else {}),
                    "primitives": {
                        primitive: _row(quantities, (edge, k), 2) for k, primitive in enumerate(self.primitives)
                    },
                }
                for edge, (source, target) in enumerate(edges)
            ]
            for group, quantities in columns.items()
        }
        data = {
            "version": VERSION,
            "space": self.space.name,
            "states": self.states,
            "primitives": self.primitives,
            "cells": cells,
        }
        return json.dumps(data, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Found":
        """What `to_json` wrote, all columns of it, bit for bit; null is not a number.

        Raises:
            ArchitectureError: it is any other text.
        """
        fields = ("states", "primitives", "cells")
        data = parse_versioned(text, "posterior", {VERSION: fields}, {"space": VINNAS.name})
        try:
            space, primitives = SPACES[data["space"]], data["primitives"]
            arrays = {}
            if not (type(data["states"]) is int and 1 <= data["states"] <= MOST_STATES):
                raise ValueError(f"states must be a whole number, 1 to {MOST_STATES}")
            places = space.edges(data["states"])
            for group, listed in data["cells"].items():
                of_place = {(edge["source"], edge["target"]): edge for edge in listed}
                if len(listed) != len(places) or of_place.keys() != set(places):
                    raise ValueError(f"the edges of the {group} cell are not those of {data['states']} states")
                edges = [of_place[place] for place in places]
                for name in edges[0]["primitives"][primitives[0]]:
                    rows = [[edge["primitives"][p][name] for p in primitives] for edge in edges]
                    arrays[f"{group}/{name}"] = np.array(rows, np.float64)
                for name in edges[0].get("edge", ()):
                    arrays[f"{group}/{name}"] = np.array([edge["edge"][name] for edge in edges], np.float64)
            return cls(space, data["states"], tuple(primitives), arrays)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise ArchitectureError(f"posterior: not what vinnas_tf writes ({error}); make the file anew.") from error

    def save(self, path: str | os.PathLike[str], columns: Columns) -> None:
        """Writes `to_json` whole or not at all; raises FileError where it cannot be written."""
        write_atomically(path, self.to_json(columns))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Found":
        """Reads the JSON file; raises ArchitectureError, naming the file, where it is missing or is none."""
        return load(path, cls.from_json)


def _row(quantities: Mapping[str, np.ndarray], place: int | tuple[int, int], rank: int) -> dict[str, float | None]:
    """The quantities of so many dimensions at a place."""
    return {name: _finite_or_none(values[place]) for name, values in quantities.items() if values.ndim == rank}


def _finite_or_none(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
