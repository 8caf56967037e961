"""How a training tells what it does: to a log, or to a person at a console."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import keras

from vinnas_tf.console import TRAIN_TABLE, Watch, counted
from vinnas_tf.run.files import Value

Item = TypeVar("Item")
Latest = Callable[[], dict[str, Value]]

LOGGER = logging.getLogger("vinnas_tf")


class GoThrough(Protocol):
    """Yields items, and tells what is done with them."""

    def __call__(self, what: str, items: Sequence[Item]) -> Iterator[Item]:
        """Goes through `items`; `what` is one line without its end."""
        ...


@dataclass(frozen=True)
class Progress:
    """Where a training's words go.

    Attributes:
        tell: takes a line, or some.
        go_through: goes through what takes about as long, each.
        watch: makes the callback that tells of the epochs, from their number, the steps of each, what returns the row
            of the epoch that has just ended, and what makes a rough estimate from the seconds of a step.
        prune_again: says what prunes at another threshold, which stands for {:g}.
    """

    tell: Callable[[str], None]
    go_through: GoThrough
    watch: Callable[[int, int, Latest, Callable[[float], str]], keras.callbacks.Callback]
    prune_again: str = "Training(log_noise_ratio_threshold={:g}) prunes there"


class LoggedEpochs(keras.callbacks.Callback):
    """Logs one line an epoch.

    Args:
        epochs: epochs of the whole training.
        latest: the row of the epoch that has just ended.
    """

    def __init__(self, epochs: int, latest: Latest) -> None:
        super().__init__()
        self.epochs = epochs
        self.latest = latest

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Logs the epoch's figures."""
        row = self.latest()
        names = ("cross_entropy", "accuracy", "held_out_accuracy", "share_kept")
        figures = [f"{name}={row[name]:.4g}" for name in names if row[name] is not None]
        LOGGER.info("epoch %d/%d: %s", epoch + 1, self.epochs, ", ".join(figures))


def _logged(what: str, items: Sequence[Item]) -> Iterator[Item]:
    LOGGER.info(what)
    return iter(items)


def _print(text: str) -> None:
    print(text, flush=True)


LOGGED = Progress(LOGGER.info, _logged, lambda epochs, steps, latest, ahead: LoggedEpochs(epochs, latest))
PRINTED = Progress(
    _print, counted, lambda epochs, steps, latest, ahead: Watch(TRAIN_TABLE, epochs, steps, latest, ahead=ahead)
)
