"""The channels that a search kept, how their drop probabilities came about, and the candidates that were judged."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from vinnas_tf.architecture.masks import Masks
from vinnas_tf.plots.style import short_number
from vinnas_tf.report.folder import RunFolder
from vinnas_tf.report.part import Chart, Series, Table, exact, percent

_MOST_STEPS = 40
_MOST_ROWS = 120  # Of more groups those that lost most channels, as in masks.png.


@dataclass(frozen=True)
class Group:
    """A group of channels.

    Attributes:
        name: of what reads them, and where they come from.
        channels: how many they are.
        kept: how many are kept; None where that is not known yet.
        runs: (first, length) of each run of kept channels.
        drop: probability that one is dropped, at each step, as text.
    """

    name: str
    channels: int | None
    kept: int | None
    runs: Sequence[tuple[int, int]]
    drop: Sequence[str]


@dataclass(frozen=True)
class Channels:
    """What the page shows of a search of channels.

    Attributes:
        summary: what is kept, in words.
        groups: rows of the table.
        left_out: how many groups are not among them.
        widest: the most channels of a group.
        titles: of each step over the epochs.
        candidates: their accuracy against their weights; None where none was judged yet.
        chosen: which of them was chosen, in words; may be empty.
    """

    summary: str
    groups: Sequence[Group]
    left_out: int
    widest: int
    titles: Sequence[str]
    candidates: Chart | None
    chosen: str


def read_channels(run: RunFolder) -> Channels | None:
    """What a search of channels has found so far; None where there is nothing yet."""
    logits = run.arrays("search", "trajectory.npz").get("channels/logit")
    if logits is None:
        return None
    path = run.file("search", "masks.json") if "search" in run.finished else None
    masks = Masks.load(path) if path else None
    epochs, count = logits.shape
    numbers = sorted({*np.linspace(0, epochs - 1, min(epochs, _MOST_STEPS)).round().astype(int).tolist()})
    drop = 1 / (1 + np.exp(-logits[numbers].astype(np.float64)))
    order = np.arange(count)
    if masks:
        lost = [int((~kept).sum()) for kept in masks.kept]
        order = np.sort(np.argsort(lost, kind="stable")[::-1][:_MOST_ROWS])
    groups = []
    for number in order[:_MOST_ROWS].tolist():
        of_epochs = [short_number(float(value)) for value in drop[:, number]]
        if masks is None:
            groups.append(Group(f"group {number + 1}", None, None, (), of_epochs))
            continue
        group, kept = masks.groups[number], masks.kept[number]
        groups.append(Group(group.name, group.channels, int(kept.sum()), _runs(kept), of_epochs))
    summary = "Which channels are kept is drawn when the last epoch has ended."
    if masks:
        vector = masks.vector
        summary = f"{int(vector.sum()):,} of {vector.size:,} channels are kept ({vector.mean():.1%})."
    result = run.json("search", "result.json") if masks else None
    chosen = result["candidates"]["chosen"] if result else None
    candidates, words = _candidates(run, chosen)
    return Channels(
        summary,
        groups,
        count - len(groups),
        max((group.channels or 1 for group in groups), default=1),
        [f"epoch {number + 1} of {epochs}" for number in numbers],
        candidates,
        words,
    )


def _runs(kept: np.ndarray) -> list[tuple[int, int]]:
    """(first, length) of each run of kept channels."""
    runs, start = [], 0
    for value, members in groupby(kept.tolist()):
        length = len(list(members))
        if value:
            runs.append((start, length))
        start += length
    return runs


def _candidates(run: RunFolder, chosen: int | None) -> tuple[Chart | None, str]:
    rows = run.rows("search", "candidates.csv")
    if not rows:
        return None, ""
    weights, accuracies = ([float(row[name] or 0) for row in rows] for name in ("weights", "accuracy"))
    labels = [f"candidate {row['index']}: {percent(of)}" for row, of in zip(rows, accuracies, strict=True)]
    in_percent = [100 * of for of in accuracies]
    series = [Series("candidates", weights, in_percent, "first", labels=labels, line=False)]
    mean = f"{np.mean(accuracies):.2%} ± {np.std(accuracies):.2%}"
    words = f"{len(rows):,} candidates, held-out accuracy {mean}."
    if chosen is not None:
        name = f"chosen, number {chosen}"
        series.append(Series(name, [weights[chosen]], [in_percent[chosen]], "accent", labels=[labels[chosen]]))
        words += f" The best, number {chosen}: {percent(accuracies[chosen])}."
    header = list(rows[0])
    best = sorted(rows, key=lambda row: -float(row["accuracy"] or 0))[:20]
    table = Table(header, [[exact(row[name]) for name in header] for row in best], "The 20 most accurate candidates")
    title = "Accuracy of candidates against the weights that they keep"
    chart = Chart("candidates", title, "weights of kernels that are kept", "held-out accuracy, %", series, table)
    return chart, words
