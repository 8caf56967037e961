"""What a person reads at the end of a training, in 80 columns."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from vinnas_tf.network.pruning import ThresholdPoint, sparsest_within_error

_CLASSES_SHOWN = 12
_NAME, _NUMBER = 30, 12  # Columns for a class's name, and for each number behind it; one column stays free.

NO_ADVICE = """\
No image is held out: threshold.csv has the accuracy on training images, which is
too good, and no threshold is recommended."""


def summary(result: Mapping[str, Any]) -> str:
    """What a person wants to know of result.json, in 80 columns."""
    columns = list(result["test"])
    width = 56 // len(columns)
    rows: list[tuple[str, list[str]]] = []
    for part, title in (("held_out", "held-out accuracy"), ("test", "test accuracy")):
        if part in result:
            rows.append((title, [f"{result[part][name]['accuracy']:.2%}" for name in columns]))
    test = result["test"]
    rows.append(("test NLL, nats", [f"{test[name]['nll']:.4f}" for name in columns]))
    rows.append(("test calibration error", [f"{test[name]['ece']:.4f}" for name in columns]))
    between = [""] * (len(columns) - 2)
    stored, left = result["params_stored"], [result["params_nonzero"], result["params_stored_nonzero"]]
    rows.append(("parameters", [f"{result['params_dense']:,}", *between, f"{stored:,}"]))
    rows.append(("parameters not 0", [*between, *(f"{count:,}" for count in left)]))
    flops = result["flops"]
    rows.append(("MFLOPs an image", [f"{flops['dense'] / 1e6:.2f}", *between, f"{flops['stripped'] / 1e6:.2f}"]))
    lines = [" " * 24 + "".join(f"{name.replace('_', '-'):>{width}}" for name in columns)]
    lines += [f"{title:<24}" + "".join(f"{cell:>{width}}" for cell in cells) for title, cells in rows]
    return "\n".join([*lines, "", *_recall_table(result)])


def _recall_table(result: Mapping[str, Any]) -> list[str]:
    """Recall of each class on the test images; of many classes the lowest."""
    counts, test = result["class_counts"], result["test"]
    recalls = [test[name]["recall"] for name in ("dense", "stripped")]
    rows = list(zip(result["class_names"], counts["train"], counts["test"], *recalls, strict=True))
    titles = ("recall on test images", "trained on", "tested on", "dense", "stripped")
    rest = []
    if len(rows) > _CLASSES_SHOWN:
        # Those without test images come last.
        rows.sort(key=lambda row: (row[-1] is None, row[-1] or 0.0))
        rows, left_out = rows[:_CLASSES_SHOWN], rows[_CLASSES_SHOWN:]
        lowest = f", of {left_out[0][-1]:.2%} or more" if left_out[0][-1] is not None else ""
        titles = (f"lowest recall, {titles[0].removeprefix('recall on ')}", *titles[1:])
        rest = [f"{len(left_out)} more classes{lowest}: result.json, confusion.csv"]
    lines = [f"{titles[0]:<{_NAME}}" + "".join(f"{title:>{_NUMBER}}" for title in titles[1:])]
    for name, *images, dense, stripped in rows:
        short = name if len(name) < _NAME else name[: _NAME - 4] + "..."
        shares = ["-" if recall is None else f"{recall:.2%}" for recall in (dense, stripped)]
        cells = [*(f"{count:,}" for count in images), *shares]
        lines.append(f"{short:<{_NAME}}" + "".join(f"{cell:>{_NUMBER}}" for cell in cells))
    return [*lines, *rest]


def threshold_advice(points: Sequence[ThresholdPoint], used: float, fine_tuned: bool, prune_again: str) -> str:
    """What `sparsest_within_error` says of the threshold in use.

    Args:
        points: the curve, measured on held-out images.
        used: the threshold in use, one of the curve's.
        fine_tuned: whether fine-tuning follows, which the curve does not know.
        prune_again: says what prunes at another threshold, which stands for {:g}.
    """
    best = max(points, key=lambda point: point.accuracy)
    chosen = sparsest_within_error(points)
    (present,) = (point for point in points if point.threshold == used)
    before = ", before fine-tuning" if fine_tuned else ""
    reach = f"within one standard error of the best ({best.accuracy:.2%} +- {best.standard_error:.2%}{before})"
    if chosen.params_nonzero == present.params_nonzero:
        text = f"threshold {used:g} in use: the sparsest {reach}."
    else:
        text = (
            f"threshold {used:g} in use; {chosen.threshold:g} would leave {chosen.params_nonzero:,} parameters at an "
            f"accuracy {reach}; {prune_again.format(chosen.threshold)}."
        )
    return textwrap.fill(text, 80, break_on_hyphens=False)
