"""What happens around the epochs of a search or a training: the schedules, and the record that survives a crash."""

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import keras
import numpy as np

from vinnas_tf.batches import Normalization, evaluation_batches
from vinnas_tf.collapse import choice_shares, mixing_entropy
from vinnas_tf.config import ConfigError, SearchConfig, TrainConfig
from vinnas_tf.data import ImageSet
from vinnas_tf.evaluation import set_best_statistics
from vinnas_tf.files import Value, write_metrics
from vinnas_tf.layers.drop_path import DropPath
from vinnas_tf.network import copy_weights, gaussian_layers, point_network
from vinnas_tf.record import SearchRecord
from vinnas_tf.search_model import SearchModel
from vinnas_tf.train_model import TrainModel
from vinnas_tf.training_images import TrainingImages
from vinnas_tf.variational import log_noise_ratio

# What the statistics of a search's normalisations are measured on.
STATISTICS_IMAGES, STATISTICS_BATCH = 1024, 64


def ramp(epoch: int, start: int, end: int) -> float:
    """0 up to epoch `start`, 1 from epoch `end` on, linear in between; a step where the two are equal."""
    return float(epoch >= start) if start == end else min(1.0, max(0.0, (epoch - start) / (end - start)))


class Schedule(keras.callbacks.Callback):
    """Raises the gammas linearly, and starts the alpha steps after `weight_epochs` (Algorithm 1, lines 9 and 19).

    Args:
        config: says from which epochs.
    """

    model: SearchModel

    def __init__(self, config: SearchConfig) -> None:
        super().__init__()
        self.config = config

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Sets the model up for `epoch`."""
        share = ramp(epoch, self.config.gamma_start_epoch, self.config.epochs - 1)
        for name, term in self.model.method.terms.items():
            self.model.gammas[name].assign(term.gamma * share)
        search_alphas = epoch >= self.config.weight_epochs
        if search_alphas != self.model.search_alphas:
            self.model.search_alphas = search_alphas
            self.model.make_train_function(force=True)


class MeasureStatistics(keras.callbacks.Callback):
    """Has a search model measure the statistics that it is then evaluated with, on the same images each time.

    They are 1,024 of those given, or as many as there are, in batches of 64. Fewer than 128 make one batch; else what
    does not fill a batch is left out. Each batch is spread evenly over all images: of images that come sorted by class
    it holds every class.

    Args:
        images: those that the weights are trained on.
        normalization: statistics of the training images' pixels.
    """

    model: SearchModel

    def __init__(self, images: ImageSet, normalization: Normalization) -> None:
        super().__init__()
        many = len(images) >= 2 * STATISTICS_BATCH
        size = STATISTICS_BATCH if many else len(images)
        batches = min(len(images), STATISTICS_IMAGES) // size
        spread = np.arange(batches * size) * len(images) // (batches * size)
        mixed = images.take(spread.reshape(size, batches).T.ravel())
        self.batches = evaluation_batches(mixed, batch_size=size, normalization=normalization)

    def on_test_begin(self, logs: dict | None = None) -> None:
        """Measures, with the weights and alphas as they now are."""
        self.model.measure_statistics(self.batches)


class Recorder(keras.callbacks.Callback):
    """Writes an epoch's figures and alphas, then the checkpoint that declares them done.

    A run that is killed in between does the epoch again and writes the same values, but for its seconds, over them. An
    epoch whose losses are not finite is not written, so the checkpoint before it stays the latest.

    Args:
        record: where the figures go.
        save: writes the checkpoint for a number of finished epochs.
    """

    model: SearchModel

    def __init__(self, record: SearchRecord, save: Callable[[int], None]) -> None:
        super().__init__()
        self.record = record
        self.save = save

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Starts the clock."""
        self.started = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Records `epoch`; raises ConfigError where a loss is not finite."""
        logs = logs or {}
        _require_finite(
            logs, epoch, "Search in a new --run_dir with a smaller --weight_learning_rate or --alpha_learning_rate."
        )
        posterior = self.model.supergraph.posterior()
        figures: dict[str, Value] = {name: float(value) for name, value in logs.items()}
        accuracy = float(logs["val_accuracy"])
        # Before the first alpha step there is nothing to average in what only alpha steps log.
        if not self.model.search_alphas:
            figures |= dict.fromkeys(self.model.alpha_step_metrics)
        row: dict[str, Value] = {"epoch": epoch + 1, "cross_entropy": figures["cross_entropy"]}
        for name in self.model.method.terms:
            row[name] = figures[name]
            row[f"{name}_weighted"] = figures[f"{name}_weighted"]
            row[f"gamma_{name}"] = float(self.model.gammas[name])
        row["alpha_cross_entropy"] = figures["alpha_cross_entropy"]
        row["weight_accuracy"] = figures["weight_accuracy"]
        row["alpha_accuracy"] = accuracy
        row["alpha_error"] = 1.0 - accuracy
        weights = {name: np.array(values) for name, values in self.model.mixing_weights().items()}
        row["mixing_entropy"] = mixing_entropy(weights)
        row |= {f"share_{kind}": share for kind, share in choice_shares(posterior).items()}
        row["seconds"] = round(time.monotonic() - self.started, 3)
        self.record.append(row, posterior)
        self.save(epoch + 1)


class TrainSchedule(keras.callbacks.Callback):
    """Raises gamma 1, and the probability of drop path, linearly.

    Args:
        config: from and to which epochs; drop path rises over the whole training, as in DARTS.
    """

    model: TrainModel

    def __init__(self, config: TrainConfig) -> None:
        super().__init__()
        self.config = config

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Sets the model up for `epoch`."""
        config = self.config
        self.model.gamma.assign(config.gamma_weights * ramp(epoch, config.gamma_start_epoch, config.gamma_end_epoch))
        for layer in self.model.network.layers:
            if isinstance(layer, DropPath):
                layer.rate.assign(config.drop_path * epoch / config.epochs)


class HeldOutImages(keras.callbacks.Callback):
    """Measures the network of each epoch on held-out images, just as the trained one is measured at the end.

    Args:
        images: those to train on, which batch statistics are of, and those held out.
        augment: of the former.
        seed: of the draw and augmentation of the former.
    """

    model: TrainModel

    def __init__(self, images: TrainingImages, augment: tuple[str, ...], seed: int) -> None:
        super().__init__()
        self.watched = images.batches(images.held_out)
        self.statistics = images.for_statistics(augment, seed)

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Makes the network to measure."""
        self.point = point_network(self.model.network)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Adds "val_loss" and "val_accuracy" to the logs, for the callbacks behind this one."""
        assert logs is not None
        copy_weights(self.model.network, self.point)
        _, found = set_best_statistics(self.point, self.statistics, self.watched)
        logs |= {"val_loss": found.nll, "val_accuracy": found.accuracy}


class TrainRecorder(keras.callbacks.Callback):
    """Writes an epoch's figures, then the checkpoint that declares them done, as `Recorder` does for a search.

    Args:
        config: the threshold of pruning.
        path: of metrics.csv.
        rows: the finished epochs; this callback adds to them.
        save: writes the checkpoint for a number of finished epochs.
    """

    model: TrainModel

    def __init__(
        self, config: TrainConfig, path: Path, rows: list[dict[str, Value]], save: Callable[[int], None]
    ) -> None:
        super().__init__()
        self.config = config
        self.path = path
        self.rows = rows
        self.save = save

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Starts the clock."""
        self.started = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Records `epoch`; raises ConfigError where a loss is not finite."""
        logs = logs or {}
        _require_finite(logs, epoch, "Train in a new --run_dir with a smaller --learning_rate.")
        row: dict[str, Value] = {"epoch": epoch + 1}
        row |= {name: float(logs[name]) for name in ("cross_entropy", "accuracy", "kl_weights", "kl_weights_weighted")}
        row["gamma_kl_weights"] = float(self.model.gamma)
        row["held_out_loss"] = logs.get("val_loss")
        row["held_out_accuracy"] = logs.get("val_accuracy")
        noise = [
            log_noise_ratio(layer.mean.value, layer.log_variance.value) for layer in gaussian_layers(self.model.network)
        ]
        kept = sum(int(np.sum(ratio < self.config.log_noise_ratio_threshold)) for ratio in noise)
        row["weights_kept"] = kept if noise else None
        row["share_kept"] = kept / sum(int(np.size(ratio)) for ratio in noise) if noise else None
        row["seconds"] = round(time.monotonic() - self.started, 3)
        self.rows.append(row)
        write_metrics(self.path, self.rows)
        self.save(epoch + 1)


def _require_finite(logs: Mapping[str, float], epoch: int, remedy: str) -> None:
    if not all(math.isfinite(value) for value in logs.values()):
        raise ConfigError(
            f"the loss is not finite in epoch {epoch + 1}; the state after epoch {epoch} is kept. {remedy}"
        )
