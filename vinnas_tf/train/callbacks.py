"""What happens around the epochs of a training: its schedule, held-out images, and the record of its figures."""

import time
from collections.abc import Callable

import keras

from vinnas_tf.config import TrainConfig
from vinnas_tf.layers.drop_path import DropPath
from vinnas_tf.network.build import copy_weights, deterministic_network
from vinnas_tf.network.evaluation import set_best_statistics
from vinnas_tf.run.files import Value
from vinnas_tf.train.images import TrainingImages
from vinnas_tf.train.model import TrainModel
from vinnas_tf.training import ramp, require_finite, suspects

Rows = list[dict[str, Value]]  # The figures of each epoch, as metrics.csv has them.


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
        self.point = deterministic_network(self.model.network)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Adds "val_loss" and "val_accuracy" to the logs, for the callbacks behind this one."""
        assert logs is not None
        copy_weights(self.model.network, self.point)
        _, found = set_best_statistics(self.point, self.statistics, self.watched)
        logs |= {"val_loss": found.nll, "val_accuracy": found.accuracy}


class TrainRecorder(keras.callbacks.Callback):
    """Records an epoch's figures, and then has them kept.

    Args:
        threshold: of pruning.
        rows: the finished epochs; this callback adds to them.
        save: keeps the rows and the state after a number of finished epochs; None where nothing is kept.
    """

    model: TrainModel

    def __init__(self, threshold: float, rows: Rows, save: Callable[[int], None] | None = None) -> None:
        super().__init__()
        self.threshold = threshold
        self.rows = rows
        self.save = save

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Starts the clock."""
        self.started = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Records `epoch`; raises DivergenceError where a loss is not finite."""
        assert logs is not None
        weighted = {"gamma_weights": logs["kl_weights_weighted"]}
        smaller = suspects(("learning_rate",), weighted, logs["cross_entropy"])
        where = "in a new run_dir" if self.save else "a new network"
        remedy = f"Train {where} with a smaller {smaller}."
        require_finite(logs, self.model.trainable_variables, epoch, remedy, kept=self.save is not None)
        row: dict[str, Value] = {"epoch": epoch + 1}
        row |= self.model.figures(logs)
        row["held_out_loss"] = logs.get("val_loss")
        row["held_out_accuracy"] = logs.get("val_accuracy")
        kept, of_all = self.model.count_kept(self.threshold)
        row["weights_kept"] = kept if of_all else None
        row["share_kept"] = kept / of_all if of_all else None
        row["seconds"] = round(time.monotonic() - self.started, 3)
        self.rows.append(row)
        if self.save:
            self.save(epoch + 1)
