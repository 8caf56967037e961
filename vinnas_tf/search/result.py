"""What a search found, as plain data that saves itself."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from vinnas_tf.architecture.edge_values import EdgeValues
from vinnas_tf.architecture.found import Found
from vinnas_tf.architecture.genotype import Genotype
from vinnas_tf.architecture.masks import DropProbabilities, Masks
from vinnas_tf.architecture.posterior import Posterior
from vinnas_tf.methods.base import Method
from vinnas_tf.methods.channels import ChannelMethod
from vinnas_tf.network.evaluation import Evaluation
from vinnas_tf.network.files import save_network
from vinnas_tf.run.digest import sha256_of
from vinnas_tf.run.files import Value, write_arrays, write_metrics


@dataclass(frozen=True, eq=False)
class SearchResult:
    """What a search of cells found.

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


@dataclass(frozen=True, eq=False)
class ChannelResult:
    """What a search of the channels of a network found: a smaller network, with its weights.

    Attributes:
        method: the search method.
        masks: the channels that are kept.
        network: the network that is left, in plain Keras: from raw pixels in 0..255 to logits.
        found: the drop probabilities after the last epoch.
        candidates: a row for each candidate, as candidates.csv holds them.
        chosen: the number of the one whose masks are kept.
        held_out: figures of `network` on the images that candidates were judged by.
        costs: parameters and operations, of the network and of each layer, before and after.
        stripping_error: largest difference of a logit that taking out dropped channels made.
        equal_rate: the one drop probability of all channels that keeps as many weights on average as `found`.
        fine_tuning_history: figures of the epochs in which the best candidate was trained on.
        epoch: the last epoch, counted from 1.
        history: the figures of each epoch, as metrics.csv holds them.
        trajectory: by "channels/QUANTITY", the parameters at the end of each epoch, [epochs, groups].
    """

    method: ChannelMethod
    masks: Masks
    network: keras.Model
    found: DropProbabilities
    candidates: Sequence[dict[str, Value]]
    chosen: int
    held_out: Evaluation
    costs: Mapping[str, Any]
    stripping_error: float
    equal_rate: float
    fine_tuning_history: Sequence[dict[str, Value]]
    epoch: int
    history: Sequence[dict[str, Value]]
    trajectory: dict[str, np.ndarray]

    def figures(self) -> dict[str, Any]:
        """All figures that need no test image, as JSON holds them."""
        accuracies = np.array([row["accuracy"] for row in self.candidates], float)
        return {
            "seed": self.method.config.seed,
            "held_out": {"stripped": self.held_out.figures()},
            "candidates": {
                "number": len(accuracies),
                "chosen": self.chosen,
                "accuracy_mean": float(accuracies.mean()),
                "accuracy_std": float(accuracies.std()),
                "accuracy_best": float(accuracies[self.chosen]),
                "equal_rate": self.equal_rate,
            },
            **self.costs,
            "stripping_error": self.stripping_error,
            "search_seconds": _seconds(self.history),
            "fine_tuning_epochs": len(self.fine_tuning_history),
            "fine_tuning_seconds": _seconds(self.fine_tuning_history),
        }

    def save(self, folder: str | Path) -> dict[str, str]:
        """Writes masks.json, network.keras, posterior.json, candidates.csv, metrics.csv and trajectory.npz.

        Returns:
            SHA-256 of the masks and of the network, by their names in result.json.

        Raises:
            FileError: the folder can't be written.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.found.save(folder / "posterior.json")
        write_metrics(folder / "metrics.csv", self.history)
        write_metrics(folder / "candidates.csv", self.candidates)
        write_arrays(folder / "trajectory.npz", self.trajectory)
        network = save_network(self.network, folder / "network.keras")
        self.masks.save(folder / "masks.json")
        masks = sha256_of(folder / "masks.json")
        return {"masks_sha256": masks, "network_sha256": network}


def _seconds(history: Sequence[Mapping[str, Value]]) -> float:
    return round(sum(float(row["seconds"] or 0) for row in history), 1)
