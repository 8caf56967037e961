"""The record of a search: one row of figures and one snapshot of the alphas an epoch, written as it grows."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from vinnas_tf.run.checkpoint import Restored
from vinnas_tf.run.files import Value, read_metrics, write_arrays, write_metrics
from vinnas_tf.run.outputs import finished_file


def search_seconds(run_dir: Path) -> float:
    """Seconds of all epochs of the search in a run folder; 0 where nothing was trained."""
    return sum(float(row["seconds"] or 0) for row in read_metrics(finished_file(run_dir, "search", "metrics.csv")))


class SearchRecord:
    """The finished epochs of a search.

    The checkpoint holds them, so that they are those of its variables. `metrics.csv` and `trajectory.npz` show them to
    people and are never read back here.

    Args:
        folder: where the two files lie; None: in memory alone.
        restored: the epochs that a checkpoint held.
    """

    def __init__(self, folder: Path | None, restored: Restored) -> None:
        self.folder = folder
        self.rows = restored.rows
        self.trajectory = restored.arrays
        if restored.epochs:
            self._write()

    def append(self, row: dict[str, Value], found: Mapping[str, np.ndarray]) -> None:
        """Adds a finished epoch and writes both files, where there is a folder.

        Args:
            row: the epoch's figures.
            found: its architecture parameters, by name.
        """
        self.rows.append(row)
        self.trajectory = {
            name: np.concatenate([self.trajectory.get(name, value[None][:0]), value[None]])
            for name, value in found.items()
        }
        self._write()

    def _write(self) -> None:
        if self.folder is not None:
            write_arrays(self.folder / "trajectory.npz", self.trajectory)
            write_metrics(self.folder / "metrics.csv", self.rows)

    def best_epoch(self, weight_epochs: int) -> int:
        """Index (from 0) of the epoch whose alphas are kept: the first with the least error on the alpha half.

        Algorithm 1, lines 15-18; epochs before `weight_epochs` have not moved the alphas and do not count.
        """
        errors = np.array([row["alpha_error"] for row in self.rows[weight_epochs:]], float)
        return weight_epochs + int(np.argmin(errors))

    def found(self, epoch: int) -> dict[str, np.ndarray]:
        """The architecture parameters as they stood at the end of `epoch` (from 0), by name."""
        return {name: values[epoch] for name, values in self.trajectory.items()}
