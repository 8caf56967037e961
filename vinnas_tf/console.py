"""What a person sees of a search while it runs, in 80 columns."""

import math
import sys
import time
from collections.abc import Callable

import keras

from vinnas_tf.run_dir import Value

# Title, column of metrics.csv, format, width: 80 characters with the epoch before and the time left behind.
_COLUMNS = (
    ("CE", "cross_entropy", "{:.3f}", 7),
    ("KL(w)", "kl_weights_weighted", "{:.3f}", 7),
    ("KL(a)", "kl_alphas_weighted", "{:.3f}", 7),
    ("g3 H", "entropy_weighted", "{:.3f}", 7),
    ("acc w", "weight_accuracy", "{:.1%}", 7),
    ("acc a", "alpha_accuracy", "{:.1%}", 7),
    ("H(z)", "mixing_entropy", "{:.3f}", 6),
    ("skip", "share_skip", "{:.0%}", 5),
    ("pool", "share_pool", "{:.0%}", 5),
    ("zero", "share_zero", "{:.0%}", 5),
)
LEGEND = """\
CE: cross-entropy of the weight steps. KL(w), KL(a), g3 H: the terms of objective
(8), weighted. acc w: running accuracy on the weight half; acc a: accuracy of the
mean network on the alpha half. H(z): mean entropy of the mixing weights (ln 10 =
2.303 is undecided). skip, pool, zero: share of edges on which they lead."""


def header() -> str:
    """The titles of the epoch table."""
    return "  epoch" + "".join(f"{title:>{width}}" for title, _, _, width in _COLUMNS) + "    left"


def line(row: dict[str, Value], epochs: int, seconds_left: float) -> str:
    """One epoch of the table; a value that the epoch does not have is a dash."""
    cells = []
    for _, name, form, width in _COLUMNS:
        value = row.get(name, math.nan)
        cells.append(f"{'-' if math.isnan(value) else form.format(value):>{width}}")
    return f"{row['epoch']:>3}/{epochs:<3}" + "".join(cells) + f"{duration(seconds_left):>8}"


def duration(seconds: float) -> str:
    """Seconds as h:mm:ss, or m:ss below an hour."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Watch(keras.callbacks.Callback):
    """Prints one line an epoch, and on a terminal the step and the time left within it.

    Args:
        epochs: epochs of the whole run.
        steps: steps an epoch.
        warm_up: epochs without alpha steps; they are faster, and are not taken to foretell the others.
        latest: the row of the epoch that has just ended.
        warning: a line to print when the choices have collapsed, else None.
    """

    def __init__(
        self,
        epochs: int,
        steps: int,
        warm_up: int,
        latest: Callable[[], dict[str, Value]],
        warning: Callable[[], str | None],
    ) -> None:
        super().__init__()
        self.epochs = epochs
        self.steps = steps
        self.warm_up = warm_up
        self.latest = latest
        self.warning = warning
        self.live = sys.stdout.isatty()
        self.seconds: dict[bool, list[float]] = {False: [], True: []}
        self.warned: str | None = None

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Prints the legend and the titles."""
        print(f"{LEGEND}\n{header()}", flush=True)

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Starts the epoch's clock."""
        self.epoch = epoch
        self.start = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Shows the step on a terminal."""
        if self.live:
            elapsed = time.monotonic() - self.start
            in_epoch = elapsed / (batch + 1) * (self.steps - batch - 1)
            text = f"{self.epoch + 1:>3}/{self.epochs:<3} step {batch + 1}/{self.steps}"
            text += f", {duration(in_epoch)} left in this epoch"
            print(f"\r{text:<79}", end="", flush=True)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Prints the epoch's line, and a warning once when the choices collapse."""
        self.seconds[epoch >= self.warm_up].append(time.monotonic() - self.start)
        if self.live:
            print("\r" + " " * 79 + "\r", end="")
        print(line(self.latest(), self.epochs, self.seconds_left(epoch + 1)), flush=True)
        warning = self.warning()
        if warning is not None and warning != self.warned:
            print(f"warning: {warning}", flush=True)
        self.warned = warning

    def seconds_left(self, done: int) -> float:
        """Estimate from this process's epochs; before an epoch with alpha steps was seen it counts as two without."""
        warm, searching = self.seconds[False], self.seconds[True]
        # The first epoch of a kind holds the tracing: leave it out as soon as there is another.
        warm_mean = sum(warm[1:] or warm) / max(len(warm[1:] or warm), 1)
        mean = sum(searching[1:] or searching) / len(searching[1:] or searching) if searching else 2 * warm_mean
        return max(0, self.warm_up - done) * warm_mean + (self.epochs - max(done, self.warm_up)) * mean
