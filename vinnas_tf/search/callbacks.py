"""What happens around the epochs of a search: its schedule, its statistics, and the record that survives a crash."""

import logging
import time
from collections.abc import Mapping

import keras

from vinnas_tf.data.batches import Normalization, spread_batches
from vinnas_tf.data.image_set import ImageSet
from vinnas_tf.data.picture_index import Watch, unwatched
from vinnas_tf.data.search_images import SearchImages
from vinnas_tf.run.checkpoint import EpochCheckpoint
from vinnas_tf.run.files import Value
from vinnas_tf.search.model import SearchModel
from vinnas_tf.search.record import SearchRecord
from vinnas_tf.training import require_finite, suspects

_log = logging.getLogger("vinnas_tf")

# What the statistics of a search's normalisations are measured on.
STATISTICS_IMAGES, STATISTICS_BATCH = 1024, 64


class Schedule(keras.callbacks.Callback):
    """Sets what the method schedules, and starts the architecture steps after `weight_epochs` (Algorithm 1, line 9)."""

    model: SearchModel

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Sets the model up for `epoch`."""
        for name, value in self.model.method.schedule(epoch).items():
            self.model.scheduled[name].assign(value)
        searches = epoch >= self.model.method.config.weight_epochs
        if searches != self.model.searches_architecture:
            self.model.searches_architecture = searches
            self.model.make_train_function(force=True)


class AfterEpoch(keras.callbacks.Callback):
    """Has the method do what it does between the epochs.

    Args:
        images: those of the search.
        watch: goes through what takes long, and tells how far it is.
    """

    model: SearchModel

    def __init__(self, images: SearchImages, watch: Watch = unwatched) -> None:
        super().__init__()
        self.images = images
        self.watch = watch

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Calls the method; raises DivergenceError where a loss is not finite."""
        _require_finite(self.model, logs or {}, epoch)
        self.model.method.after_epoch(epoch, self.model, self.images, self.watch)


def _require_finite(model: SearchModel, logs: Mapping[str, float], epoch: int) -> None:
    """Raises DivergenceError where an epoch left anything that is not finite; says what to do against it."""
    terms = model.method.terms
    weighted = {terms[name].setting: logs[f"{name}_weighted"] for name in terms if terms[name].setting}
    smaller = suspects(("weight_learning_rate", "alpha_learning_rate"), weighted, logs["cross_entropy"])
    require_finite(logs, model.trainable_variables, epoch, f"Search in a new run_dir with a smaller {smaller}.")


class MeasureStatistics(keras.callbacks.Callback):
    """Has a search model measure the statistics that it is then evaluated with, on the same images each time.

    They are 1,024 of those given, or as many as there are, in batches of 64, each spread evenly over all images. Fewer
    than 128 make one batch; else what does not fill a batch is left out.

    Args:
        images: those that the weights are trained on.
        normalization: statistics of the training images' pixels.
    """

    model: SearchModel

    def __init__(self, images: ImageSet, normalization: Normalization) -> None:
        super().__init__()
        many = len(images) >= 2 * STATISTICS_BATCH
        self.batches = spread_batches(
            images,
            batch_size=STATISTICS_BATCH if many else len(images),
            at_most=STATISTICS_IMAGES,
            normalization=normalization,
        )

    def on_test_begin(self, logs: dict | None = None) -> None:
        """Measures, with the weights and alphas as they now are."""
        self.model.measure_statistics(self.batches)


class Recorder(keras.callbacks.Callback):
    """Writes an epoch's figures and alphas, then the checkpoint that declares them done.

    A run that is killed in between does the epoch again and writes the same values, but for its seconds, over them. An
    epoch whose losses are not finite is not written, so the checkpoint before it stays the latest.

    Args:
        record: where the figures go.
        checkpoint: keeps the state of finished epochs; None where nothing is kept.
    """

    model: SearchModel

    def __init__(self, record: SearchRecord, checkpoint: EpochCheckpoint | None) -> None:
        super().__init__()
        self.record = record
        self.checkpoint = checkpoint

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Starts the clock."""
        self.started = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Records `epoch`; raises DivergenceError where a loss is not finite."""
        logs = logs or {}
        _require_finite(self.model, logs, epoch)
        found = self.model.supergraph.found()
        method, scheduled = (
            self.model.method,
            {name: float(value.numpy()) for name, value in self.model.scheduled.items()},
        )
        figures: dict[str, Value] = {name: float(value) for name, value in logs.items()}
        accuracy = float(logs["val_accuracy"])
        figures |= dict.fromkeys(self.model.idle_metrics)  # There is nothing to average in them.
        row: dict[str, Value] = {"epoch": epoch + 1, "cross_entropy": figures["cross_entropy"]}
        for name in method.terms:
            row[name] = figures[name]
            row[f"{name}_weighted"] = figures[f"{name}_weighted"]
            row[f"gamma_{name}"] = scheduled.pop(f"gamma_{name}")
        row |= scheduled
        row["alpha_cross_entropy"] = figures["alpha_cross_entropy"]
        row["weight_accuracy"] = figures["weight_accuracy"]
        row["alpha_accuracy"] = accuracy
        row["alpha_error"] = 1.0 - accuracy
        row |= {**method.decision_figures(found), **method.epoch_figures(found)}
        row["seconds"] = round(time.monotonic() - self.started, 3)
        self.record.append(row, found.arrays)
        _log.info("epoch %d/%d: accuracy %.2f%% on watched images", epoch + 1, method.config.epochs, 100 * accuracy)
        if self.checkpoint is not None:
            self.checkpoint.save(epoch + 1, self.record.rows, self.record.trajectory)
