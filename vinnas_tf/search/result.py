"""What a search found, as plain data that saves itself."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vinnas_tf.architecture.edge_values import EdgeValues
from vinnas_tf.architecture.found import Found
from vinnas_tf.architecture.genotype import Genotype
from vinnas_tf.architecture.posterior import Posterior
from vinnas_tf.methods.base import Method
from vinnas_tf.run.files import Value, write_arrays, write_metrics


@dataclass(frozen=True, eq=False)
class SearchResult:
    """What a search found.

    Attributes:
        method: the search method, which knows how to read `found`.
        genotype: the found cells.
        found: the architecture parameters of the epoch that was kept; None where nothing was trained.
        epoch: that epoch, counted from 1.
        history: the figures of each epoch, as metrics.csv holds them.
        trajectory: by "GROUP/QUANTITY", the architecture parameters at the end of each epoch, [epochs, edges, K].
    """

    method: Method
    genotype: Genotype
    found: Found | None = None
    epoch: int = 0
    history: Sequence[dict[str, Value]] = ()
    trajectory: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)

    @property
    def edge_values(self) -> EdgeValues | None:
        """What pictures show of each candidate operation; None where nothing was trained."""
        return self.method.edge_values(self.found, self.trajectory) if self.found is not None else None

    @property
    def posterior(self) -> Posterior | None:
        """The alphas as a Gaussian posterior, for a method that has alphas."""
        return Posterior.of(self.found) if self.found is not None and self.found.of("mean") else None

    def save(self, folder: str | Path) -> None:
        """Writes genotype.json, and posterior.json, metrics.csv and trajectory.npz where something was trained.

        Raises:
            FileError: the folder can't be written.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.genotype.save(folder / "genotype.json")
        if self.found is not None:
            self.found.save(folder / "posterior.json", self.method.columns(self.found))
            write_metrics(folder / "metrics.csv", self.history)
            write_arrays(folder / "trajectory.npz", self.trajectory)
