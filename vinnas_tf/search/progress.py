"""How far a search is: what a command asks before its first epoch, and prints of each."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vinnas_tf.console import Watch
from vinnas_tf.search.model import SearchModel
from vinnas_tf.search.record import SearchRecord


@dataclass(frozen=True)
class Progress:
    """A search that is about to begin or to go on.

    Attributes:
        model: the compiled search model.
        record: its finished epochs.
        steps: iterations an epoch.
        done: finished epochs.
    """

    model: SearchModel
    record: SearchRecord
    steps: int
    done: int

    def found(self, epoch: int) -> Any:
        """The architecture parameters at the end of an epoch, counted from 0, as the network finds them."""
        return self.model.supergraph.found(self.record.found(epoch))

    def warning(self) -> str | None:
        """One line where the choices have collapsed, else None."""
        method = self.model.method
        if len(self.record.rows) <= method.config.weight_epochs:
            return None
        return method.warning(self.found(-1))


def epoch_table(progress: Progress, ahead: Callable[[float], str] | None = None) -> Watch:
    """Prints a line an epoch; `ahead` as `Watch` takes it."""
    method, record = progress.model.method, progress.record
    epochs, warm_up = method.config.epochs, method.config.weight_epochs
    return Watch(method.table, epochs, progress.steps, lambda: record.rows[-1], warm_up, progress.warning, ahead)
