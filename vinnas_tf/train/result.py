"""What comes of a training: the network that is shipped, and its figures as plain data."""

import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from vinnas_tf.config import TrainConfig
from vinnas_tf.data.arrays import image_set, require_fit
from vinnas_tf.data.batches import Normalization
from vinnas_tf.data.image_set import ImageSet
from vinnas_tf.data.picture import Preparation
from vinnas_tf.errors import DivergenceError, require
from vinnas_tf.network.evaluation import Evaluation, evaluate
from vinnas_tf.network.files import save_network
from vinnas_tf.network.pruning import ThresholdPoint
from vinnas_tf.run.files import write_atomically, write_metrics, writing
from vinnas_tf.train.callbacks import Rows
from vinnas_tf.train.images import batches_to_evaluate
from vinnas_tf.train.progress import LOGGED, LOGGER, Progress

_NORMALIZED = ("pruned", "fine_tuned")  # The networks whose images are normalised before them.


@dataclass(frozen=True, eq=False)
class TrainResult:
    """A trained, pruned and stripped network, and what is known of it without a test image.

    Attributes:
        networks: from images to logits, in plain Keras "stripped", which is shipped, and "dense", the same before
            pruning, both of raw pixels in 0..255; "pruned" and, where there is one, "fine_tuned" of normalised ones.
        config: the settings of the training.
        class_names: name of each class, in the order of the logits.
        preparation: how pictures become the networks' input.
        normalization: statistics of the training images; "dense" and "stripped" have it inside.
        class_counts: images of each class, by "train" and "held_out".
        held_out: figures of each network on held-out images; empty where none were held out.
        curve: accuracy and size at each threshold of pruning, on held-out images, or else on training images; empty for
            a network of deterministic weights.
        costs: parameters and operations, of the network and of each layer.
        stripping_error: largest difference of a logit that stripping made.
        history: figures of each epoch of training.
        fine_tuning_history: and of fine-tuning.
        samples: uint8 [n, h, w, c] some training images, for what has to know their range.
        digests: uint64 [n] of all images that the training learnt or chose by.
    """

    networks: Mapping[str, keras.Model]
    config: TrainConfig
    class_names: tuple[str, ...]
    preparation: Preparation
    normalization: Normalization
    class_counts: Mapping[str, list[int]]
    held_out: Mapping[str, Evaluation]
    curve: tuple[ThresholdPoint, ...]
    costs: Mapping[str, Any]
    stripping_error: float
    history: Rows
    fine_tuning_history: Rows
    samples: np.ndarray
    digests: np.ndarray

    @property
    def network(self) -> keras.Model:
        """The network that is shipped: a plain Keras model from raw pixels in 0..255 to logits."""
        return self.networks["stripped"]

    @property
    def dense(self) -> keras.Model:
        """The same before pruning."""
        return self.networks["dense"]

    @property
    def unstripped(self) -> keras.Model:
        """What `network` was stripped from, of normalised images."""
        return self.networks.get("fine_tuned", self.networks["pruned"])

    def evaluate(self, images: Any, labels: Any = None) -> Evaluation:
        """Figures of `network` on images that it has not learnt from, such as test images.

        Args:
            images: as `fit` takes them.
            labels: as `fit` takes them.

        Raises:
            DataError: they are no labelled images of the training's shape and classes.
        """
        given = image_set(images, labels)
        require_fit(given, self.preparation.shape, len(self.class_names), "images")
        if met := int(np.isin(given.digests, self.digests).sum()):
            LOGGER.warning(
                "%d of %d images to evaluate on were learnt from: the figures are too good.", met, len(given)
            )
        return evaluate(self.network, batches_to_evaluate(given, None))

    def evaluate_all(self, part: str, images: ImageSet, progress: Progress = LOGGED) -> dict[str, Evaluation]:
        """Figures of each network on `images`, which are called `part`."""
        return evaluate_all(self.networks, part, images, self.normalization, progress)

    def figures(self) -> dict[str, Any]:
        """All figures, as JSON holds them."""
        return {
            "class_names": list(self.class_names),
            "image_shape": list(self.preparation.shape),
            "preparation": asdict(self.preparation),
            "seed": self.config.seed,
            "train_images": sum(self.class_counts["train"]),
            "class_counts": dict(self.class_counts),
            "log_noise_ratio_threshold": self.config.log_noise_ratio_threshold if self.curve else None,
            **({"held_out": {name: found.figures() for name, found in self.held_out.items()}} if self.held_out else {}),
            **self.costs,
            "stripping_error": self.stripping_error,
            "train_seconds": round(sum(float(row["seconds"] or 0) for row in self._all_rows()), 1),
        }

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Writes result.json, network.keras and network_dense.keras, threshold.csv, metrics.csv and fine_tuning.csv.

        Raises:
            FileError: the folder can't be written.
        """
        folder = Path(folder)
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        for name, rows in (("metrics.csv", self.history), ("fine_tuning.csv", self.fine_tuning_history)):
            if rows:
                write_metrics(folder / name, rows)
        content = {**self.figures(), **self.save_networks(folder)}
        write_atomically(folder / "result.json", json.dumps(content, indent=2) + "\n")

    def save_networks(self, folder: Path) -> dict[str, str]:
        """Writes both networks, and the curve; returns the SHA-256 of the former, by their names in result.json."""
        if self.curve:
            write_metrics(folder / "threshold.csv", [asdict(point) for point in self.curve])
        return {
            "network_sha256": save_network(self.network, folder / "network.keras"),
            "dense_network_sha256": save_network(self.dense, folder / "network_dense.keras"),
        }

    def _all_rows(self) -> Rows:
        return [*self.history, *self.fine_tuning_history]


def evaluate_all(
    networks: Mapping[str, keras.Model], part: str, images: ImageSet, normalization: Normalization, progress: Progress
) -> dict[str, Evaluation]:
    """Figures of each of a result's networks on `images`, which are called `part`.

    Raises:
        DivergenceError: a network's answers are not finite numbers.
    """
    title = f"Evaluates {len(networks)} networks on {len(images):,} {part} images"
    found = {
        name: evaluate(model, batches_to_evaluate(images, normalization if name in _NORMALIZED else None))
        for name, model in progress.go_through(title, list(networks.items()))
    }
    for name, of_network in found.items():
        require(
            math.isfinite(of_network.nll),
            f"the {name} network's answers to {part} images are not finite, so its training diverged: train in a new "
            "run_dir with a smaller learning_rate.",
            DivergenceError,
        )
    return found
