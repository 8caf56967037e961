"""What happens around the epochs of a search: the schedules, and the record that survives a crash."""

import math
from collections.abc import Callable

import keras

from vinnas_tf.config import ConfigError, SearchConfig
from vinnas_tf.posterior import choice_shares, mixing_entropy
from vinnas_tf.record import SearchRecord
from vinnas_tf.run_dir import Value
from vinnas_tf.search_model import SearchModel


class Schedule(keras.callbacks.Callback):
    """Raises the gammas linearly, and starts the alpha steps after `weight_epochs` (Algorithm 1, lines 9 and 19).

    Args:
        config: says from which epochs.
    """

    model: SearchModel

    def __init__(self, config: SearchConfig) -> None:
        super().__init__()
        self.config = config

    def ramp(self, epoch: int) -> float:
        """Share of the gammas' end values in force in `epoch` (from 0): 0 up to the start, 1 in the last epoch."""
        start, last = self.config.gamma_start_epoch, self.config.epochs - 1
        return float(epoch >= start) if start == last else max(0.0, (epoch - start) / (last - start))

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Sets the model up for `epoch`."""
        for name, term in self.model.method.terms.items():
            self.model.gammas[name].assign(term.gamma * self.ramp(epoch))
        search_alphas = epoch >= self.config.weight_epochs
        if search_alphas != self.model.search_alphas:
            self.model.search_alphas = search_alphas
            self.model.make_train_function(force=True)


class Recorder(keras.callbacks.Callback):
    """Writes an epoch's figures and alphas, then the checkpoint that declares them done.

    A run that is killed in between does the epoch again and writes the same values over them. An epoch whose losses are
    not finite is not written, so the checkpoint before it stays the latest.

    Args:
        record: where the figures go.
        save: writes the checkpoint for a number of finished epochs.
    """

    model: SearchModel

    def __init__(self, record: SearchRecord, save: Callable[[int], None]) -> None:
        super().__init__()
        self.record = record
        self.save = save

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Records `epoch`; raises ConfigError where a loss is not finite."""
        logs = logs or {}
        if not all(math.isfinite(value) for value in logs.values()):
            raise ConfigError(
                f"the loss is not finite in epoch {epoch + 1}; the state after epoch {epoch} is kept. "
                "Search in a new --run_dir with a smaller --weight_learning_rate or --alpha_learning_rate."
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
        row["mixing_entropy"] = mixing_entropy(posterior)
        row |= {f"share_{kind}": share for kind, share in choice_shares(posterior).items()}
        self.record.append(row, posterior)
        self.save(epoch + 1)
