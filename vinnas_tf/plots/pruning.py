"""Pictures of what pruning leaves: per layer, and against the threshold."""

import os
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from vinnas_tf.network.pruning import ParameterCount, ThresholdPoint
from vinnas_tf.plots.style import BLUE, PALE, RED, png
from vinnas_tf.run.files import write_atomically

_SHOWN_LOSS = 5.0  # Points of accuracy below the best that the threshold's picture shows.
_KEPT, _PRUNED, _ACCURACY = BLUE, PALE, RED


def draw_sparsity(counts: Mapping[str, ParameterCount], path: str | os.PathLike[str]) -> None:
    """Draws for each layer with a kernel how many of its weights are left, beside how many there were."""
    layers = {name: count for name, count in counts.items() if count.kernel_dense}
    figure = Figure(figsize=(8, 1.2 + 0.26 * len(layers)), layout="constrained")
    axes = figure.subplots()
    rows = range(len(layers))
    dense = [count.kernel_dense for count in layers.values()]
    left = [count.kernel_nonzero for count in layers.values()]
    axes.barh(rows, dense, color=_PRUNED, label="pruned")
    axes.barh(rows, left, color=_KEPT, label="left")
    for row, count in zip(rows, layers.values(), strict=True):
        share = f"{count.kernel_nonzero:,} of {count.kernel_dense:,} ({count.kernel_nonzero / count.kernel_dense:.0%})"
        axes.text(count.kernel_dense, row, f" {share}", va="center", fontsize=7)
    axes.set_yticks(rows, layers, fontsize=7)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.35 * max(dense))
    axes.set_xlabel("weights")
    total_left, total = sum(left), sum(dense)
    axes.set_title(f"{total_left:,} of {total:,} weights left ({total_left / total:.1%})", fontsize=10)
    figure.legend(loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    write_atomically(path, png(figure))


def draw_threshold(
    points: Sequence[ThresholdPoint],
    used: float,
    recommended: ThresholdPoint | None,
    images: str,
    path: str | os.PathLike[str],
) -> None:
    """Draws accuracy, with a bar of one standard error up and down, and non-zero parameters against the threshold.

    Args:
        points: the curve.
        used: the threshold in use.
        recommended: what `sparsest_within_error` chose, to be marked; None where nothing is recommended.
        images: what the accuracy was measured on, such as "held-out images".
        path: of the picture.
    """
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.subplots()
    thresholds = [point.threshold for point in points]
    accuracies, errors = ([100 * getattr(point, name) for point in points] for name in ("accuracy", "standard_error"))
    axes.errorbar(thresholds, accuracies, errors, fmt="o-", color=_ACCURACY, markersize=4, elinewidth=0.8, capsize=2)
    best, error = max(zip(accuracies, errors, strict=True))
    shown = max(_SHOWN_LOSS, 4 * error)
    axes.set_ylim(best - shown, best + max(1.2 * error, shown / 20))  # Lower down nobody would go.
    axes.set_xlabel("threshold: weights with log λ at or above it are pruned")
    axes.set_ylabel(f"accuracy on {images}, %", color=_ACCURACY)
    axes.tick_params(axis="y", colors=_ACCURACY)
    counts = axes.twinx()
    counts.plot(thresholds, [point.params_nonzero for point in points], "s--", color=_KEPT, markersize=4)
    counts.set_yscale("log")
    counts.set_ylabel("non-zero parameters", color=_KEPT)
    counts.tick_params(axis="y", which="both", colors=_KEPT)
    axes.axvline(used, color="grey", linewidth=1, linestyle=":")
    axes.text(used, 0.02, f" {used:g} in use", transform=axes.get_xaxis_transform(), color="grey", fontsize=8)
    if recommended is not None:
        axes.axhline(best - error, color=_ACCURACY, linewidth=0.8, linestyle="--", alpha=0.5)
        axes.plot(
            recommended.threshold, 100 * recommended.accuracy, "o", color="none", markeredgecolor=_ACCURACY,
            markersize=11, label=f"{recommended.threshold:g}: the sparsest within one standard error of the best",
        )  # fmt: skip
        figure.legend(loc="outside lower center", fontsize=8, frameon=False)
    axes.set_title("What another log_noise_ratio_threshold would give", fontsize=10)
    write_atomically(path, png(figure))
