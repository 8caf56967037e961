"""The record of a search: one row of figures and one snapshot of the alphas an epoch, kept on disk as it grows."""

import io
from pathlib import Path

import numpy as np

from vinnas_tf.architecture.posterior import Posterior
from vinnas_tf.architecture.space import SearchSpace
from vinnas_tf.run.files import Value, read_metrics, write_atomically, write_metrics


def search_seconds(run_dir: Path) -> float:
    """Seconds of all epochs of the search in a run folder; 0 where nothing was trained."""
    return sum(float(row["seconds"] or 0) for row in read_metrics(run_dir / "search" / "metrics.csv"))


class SearchRecord:
    """The finished epochs of a search, in memory and on disk (`metrics.csv` and `trajectory.npz`).

    The best epoch so far is a function of the record, so nothing else has to survive a crash.

    Args:
        folder: where the two files lie.
        epochs: finished epochs to keep; later ones, which a killed process may have left behind, are dropped.
    """

    def __init__(self, folder: Path, epochs: int) -> None:
        self.metrics_path = folder / "metrics.csv"
        self.trajectory_path = folder / "trajectory.npz"
        self.rows: list[dict[str, Value]] = read_metrics(self.metrics_path)[:epochs] if epochs else []
        self.trajectory: dict[str, np.ndarray] = {}
        if self.rows:
            with np.load(self.trajectory_path) as arrays:
                self.trajectory = {name: arrays[name][: len(self.rows)] for name in arrays.files}

    def append(self, row: dict[str, Value], posterior: Posterior) -> None:
        """Adds a finished epoch and writes both files."""
        snapshot = {f"mean_{cell_type}": mean for cell_type, mean in posterior.mean.items()}
        snapshot |= {f"log_variance_{cell_type}": value for cell_type, value in posterior.log_variance.items()}
        self.rows.append(row)
        self.trajectory = {
            name: np.concatenate([self.trajectory.get(name, value[None][:0]), value[None]])
            for name, value in snapshot.items()
        }
        buffer = io.BytesIO()
        np.savez(buffer, **self.trajectory)  # type: ignore[arg-type]
        write_atomically(self.trajectory_path, buffer.getvalue())
        write_metrics(self.metrics_path, self.rows)

    def best_epoch(self, weight_epochs: int) -> int:
        """Index (from 0) of the epoch whose alphas are kept: the first with the least error on the alpha half.

        Algorithm 1, lines 15-18; epochs before `weight_epochs` have not moved the alphas and do not count.
        """
        errors = np.array([row["alpha_error"] for row in self.rows[weight_epochs:]], float)
        return weight_epochs + int(np.argmin(errors))

    def posterior(self, epoch: int, space: SearchSpace, states: int) -> Posterior:
        """The alphas as they stood at the end of `epoch` (from 0)."""

        def at(prefix: str) -> dict[str, np.ndarray]:
            return {
                name.removeprefix(prefix): values[epoch]
                for name, values in self.trajectory.items()
                if name.startswith(prefix)
            }

        return Posterior(space.primitives, states, at("mean_"), at("log_variance_"), space)
