"""What a person sees of a search or a training while it runs, in 80 columns."""

import dataclasses
import sys
import textwrap
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import keras
import numpy as np

from vinnas_tf.architecture.genotype import Genotype
from vinnas_tf.architecture.space import SPACES
from vinnas_tf.data.images import Dataset
from vinnas_tf.data.notes import counts
from vinnas_tf.run.files import Value

Item = TypeVar("Item")

ERASED = "\r" + " " * 79 + "\r"  # Takes away the line that a terminal shows.
_TIMED_STEPS = 10
_SECONDS_BETWEEN_LINES = 30.0  # Of a log.


def _amount(value: float) -> str:
    """Three digits in at most six characters, whatever the size."""
    return f"{value:.3g}" if value == 0 or 0.01 <= value < 999.5 else f"{value:.0e}"


@dataclass(frozen=True)
class Table:
    """A table of epochs in 80 columns.

    Attributes:
        legend: what its titles mean, printed once above it.
        columns: title, column of metrics.csv, format and width of each; widths add up to 64, which leaves 7 for the
            epoch and 9 for the time left.
    """

    legend: str
    columns: tuple[tuple[str, str, Callable[[float], str], int], ...]

    def header(self) -> str:
        """The titles."""
        return "  epoch" + "".join(f"{title:>{width}}" for title, _, _, width in self.columns) + "     left"

    def line(self, row: dict[str, Value], epochs: int, seconds_left: float) -> str:
        """One epoch; a value that the epoch does not have is a dash."""
        cells = []
        for _, name, form, width in self.columns:
            value = row.get(name)
            cells.append(f"{'-' if value is None else form(value):>{width}}")
        return f"{row['epoch']:>3}/{epochs:<3}" + "".join(cells) + f"{duration(seconds_left):>9}"


SEARCH_TABLE = Table(
    """\
CE: cross-entropy of the weight steps. KL(w), KL(a), g3 H: the other terms of
objective (8), weighted. acc w: running accuracy on the weight half; acc a: that
of the mean network on the alpha half, normalised by statistics of the weight
half. H(z): mean entropy of the mixing weights (ln K: undecided; ln 10 = 2.303).
skip, pool, zero: share of edges they lead on.""",
    (
        ("CE", "cross_entropy", _amount, 7),
        ("KL(w)", "kl_weights_weighted", _amount, 7),
        ("KL(a)", "kl_alphas_weighted", _amount, 7),
        ("g3 H", "entropy_weighted", _amount, 7),
        ("acc w", "weight_accuracy", "{:.1%}".format, 7),
        ("acc a", "alpha_accuracy", "{:.1%}".format, 7),
        ("H(z)", "mixing_entropy", "{:.3f}".format, 6),
        ("skip", "share_skip", "{:.0%}".format, 5),
        ("pool", "share_pool", "{:.0%}".format, 5),
        ("zero", "share_zero", "{:.0%}".format, 5),
    ),
)
CHANNEL_TABLE = Table(
    """\
CE: cross-entropy under relaxed masks. KL: the divergence of masked kernels from
their prior, weighted. acc: running accuracy in training; held out: of held-out
training images, each under a mask of its own. p: probability that a channel is
dropped, mean over channels, least and largest. p>1/2: groups above one half.""",
    (
        ("CE", "cross_entropy", _amount, 8),
        ("KL", "kl_weighted", "{:.4f}".format, 8),
        ("acc", "weight_accuracy", "{:.2%}".format, 9),
        ("held out", "alpha_accuracy", "{:.2%}".format, 10),
        ("p mean", "drop_mean", "{:.3f}".format, 8),
        ("least", "drop_least", _amount, 7),
        ("largest", "drop_largest", "{:.3f}".format, 8),
        ("p>1/2", "groups_above_half", "{:.0f}".format, 6),
    ),
)
TRAIN_TABLE = Table(
    """\
CE: cross-entropy. KL(w): divergence of the weights, weighted as in the loss.
acc: running accuracy in training, under noise and augmentation; held out: that
of the mean network on held-out training images. kept: weights that pruning
would keep, being below the threshold of log lambda, and their share.""",
    (
        ("CE", "cross_entropy", _amount, 9),
        ("KL(w)", "kl_weights_weighted", _amount, 9),
        ("gamma 1", "gamma_kl_weights", _amount, 9),
        ("acc", "accuracy", "{:.2%}".format, 9),
        ("held out", "held_out_accuracy", "{:.2%}".format, 10),
        ("kept", "weights_kept", "{:,}".format, 11),
        ("", "share_kept", "{:.0%}".format, 7),
    ),
)


def introduce(title: str, preset: str, dataset: Dataset, *settings: Any, unread: Collection[str] = frozenset()) -> str:
    """What a command is about to do, in lines of at most 80 columns: title and preset, the images, all settings.

    Args:
        title: what it does.
        preset: the preset's name; may be empty.
        dataset: the images.
        *settings: dataclass instances.
        unread: names of settings that the command does not read.
    """
    height, width, channels = dataset.train.image_shape
    images = [
        f"{len(dataset.train)} images of {height} x {width} x {channels} in {len(dataset.class_names)} classes: "
        f"{counts(dataset.class_names, dataset.train.labels)}.",
        *dataset.notes,
    ]
    values = {name: value for config in settings for name, value in dataclasses.asdict(config).items()}
    words = [
        f"{name}={','.join(map(str, value)) if isinstance(value, tuple) else value}"
        for name, value in values.items()
        if name not in unread
    ]
    wrapped = textwrap.wrap("  ".join(words), 80, break_on_hyphens=False, break_long_words=False)
    told = [textwrap.fill(line, 80, break_on_hyphens=False) for line in images]
    return "\n".join([title + (f", preset {preset}" if preset else ""), *told, *wrapped])


def how_to_watch(run_dir: Path) -> str:
    """How a run is watched in a browser while it lasts, in one line."""
    return f"To watch it in a browser: tensorboard --logdir={run_dir}"


def describe(genotype: Genotype) -> str:
    """The found cells as text, one line a state; of a tree's, of which few may be left, those that are fed."""
    space = SPACES[genotype.space]
    lines = []
    for group, edges in genotype.cells.items():
        if space.pyramid and not edges:
            lines.append(f"  {group:<9} is pruned: its block is the shortcut")
        for state in range(space.inputs, space.inputs + genotype.states):
            terms = [f"{edge.primitive}({space.node_name(edge.source)})" for edge in edges if edge.target == state]
            if terms or not space.trees:
                lines.append(f"  {group:<9} {space.node_name(state)} = {' + '.join(terms) or 'zero'}")
    return "\n".join(lines)


def warn_of_idle_cells(genotype: Genotype, found_by: str = "") -> None:
    """Tells of cells of skips and pools alone, and of what found them."""
    for warning in idle_cells(genotype, found_by):
        print(f"warning: {warning}", flush=True)


def idle_cells(genotype: Genotype, found_by: str = "") -> list[str]:
    """One line for each cell of skips and pools alone, with what found it."""
    by = f" of {found_by}" if found_by else ""
    return [f"nothing learns in the {group} cell{by}." for group in genotype.cells_without_weights]


def warn_of_learnt(test: np.ndarray, learnt: np.ndarray) -> int:
    """Tells of test images that this or an earlier stage learnt from, and returns how many they are.

    Args:
        test: digests of the test images.
        learnt: digests of images that were learnt from.
    """
    met = int(np.isin(test, learnt).sum())
    if met:
        print(textwrap.fill(f"warning: {learnt_warning(met, len(test))}", 80), flush=True)
    return met


def learnt_warning(met: int, images: int) -> str:
    """What is to be said where `met` of so many test images were learnt from."""
    return (
        f"{met:,} of {images:,} test images are among those that the search or the training learns from, pixel for "
        "pixel: the test figures are too good by up to that share."
    )


def duration(seconds: float) -> str:
    """Seconds as h:mm:ss, or m:ss below an hour."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def counted(what: str, items: Sequence[Item]) -> Iterator[Item]:
    """Yields `items`, and tells what is done with them, how many of how many are done, and the time left.

    On a terminal this is one line that changes; in a log a line at the start and one every half a minute.

    Args:
        what: one line without its end, such as "Prunes at 15 thresholds".
        items: take about as long, each.
    """
    live = sys.stdout.isatty()
    end = "" if live else "\n"
    begun = told = time.monotonic()
    print(f"\r{what + ' ...':<79}" if live else f"{what} ...", end=end, flush=True)
    for done, item in enumerate(items):
        now = time.monotonic()
        if done and (live or now - told >= _SECONDS_BETWEEN_LINES):
            text = f"{what}: {done} of {len(items)}, {duration((now - begun) / done * (len(items) - done))} left"
            print(f"\r{text:<79}" if live else text, end=end, flush=True)
            told = now
        yield item
    if live:
        print(f"\r{what + ': done':<79}", flush=True)


class Watch(keras.callbacks.Callback):
    """Prints one line an epoch, and on a terminal the step and the time left within it.

    Args:
        table: what to print of an epoch.
        epochs: epochs of the whole run.
        steps: steps an epoch.
        latest: the row of the epoch that has just ended.
        warm_up: epochs without alpha steps; they are faster, and are not taken to foretell the others.
        warning: a line to print when the choices have collapsed, else None.
        ahead: makes a rough estimate of the seconds of a step, to be printed once the first steps were timed; or None.
    """

    def __init__(
        self,
        table: Table,
        epochs: int,
        steps: int,
        latest: Callable[[], dict[str, Value]],
        warm_up: int = 0,
        warning: Callable[[], str | None] = lambda: None,
        ahead: Callable[[float], str] | None = None,
    ) -> None:
        super().__init__()
        self.table = table
        self.epochs = epochs
        self.steps = steps
        self.warm_up = warm_up
        self.latest = latest
        self.warning = warning
        self.ahead = ahead
        self.live = sys.stdout.isatty()
        self.seconds: dict[bool, list[float]] = {False: [], True: []}
        self.warned = False

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Prints the legend."""
        print(self.table.legend, flush=True)
        if self.ahead is None:
            print(self.table.header(), flush=True)

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Notes the epoch."""
        self.epoch = epoch
        self.begun = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Shows the step on a terminal."""
        if batch == 0:
            self.first_step = time.monotonic()
        if self.ahead is not None and batch == min(_TIMED_STEPS, self.steps - 1):
            # A process's first step is left out, for it holds the tracing; where there is no other it must do.
            seconds = (time.monotonic() - self.first_step) / batch if batch else time.monotonic() - self.begun
            self._clear()
            print(textwrap.fill(self.ahead(seconds), 80), self.table.header(), sep="\n", flush=True)
            self.ahead = None
        if self.live and batch > 0:
            in_epoch = (time.monotonic() - self.first_step) / batch * (self.steps - batch - 1)
            text = f"{self.epoch + 1:>3}/{self.epochs:<3} step {batch + 1}/{self.steps}"
            text += f", {duration(in_epoch)} left in this epoch"
            print(f"\r{text:<79}", end="", flush=True)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Prints the epoch's line, and a warning when the choices have just collapsed."""
        # A process's first step is left out, for it holds the tracing; the others stand in for it.
        rest = time.monotonic() - self.first_step
        self.seconds[epoch >= self.warm_up].append(rest * self.steps / max(self.steps - 1, 1))
        self._clear()
        print(self.table.line(self.latest(), self.epochs, self.seconds_left(epoch + 1)), flush=True)
        warning = self.warning()
        if warning is not None and not self.warned:
            print(textwrap.fill(f"warning: {warning}", 80), flush=True)
        self.warned = warning is not None

    def _clear(self) -> None:
        if self.live:
            print(ERASED, end="")

    def seconds_left(self, done: int) -> float:
        """Estimate from this process's epochs; before an epoch with alpha steps was seen it counts as two without."""
        warm, searching = self.seconds[False], self.seconds[True]
        warm_mean = sum(warm) / max(len(warm), 1)
        mean = sum(searching) / len(searching) if searching else 2 * warm_mean
        return max(0, self.warm_up - done) * warm_mean + (self.epochs - max(done, self.warm_up)) * mean
